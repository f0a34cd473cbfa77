"""Files are cut into the same events, whatever is read at once."""

from pathlib import Path

import pytest

from streams.cli import files
from streams.cli.files import EventFile

LINES = ['{"id":"1"}', "", '{"id":"a longer one, of several pieces"}', "  ", '{"id":"3"}\r', '{"id":"4"}']
EVENTS = [(1, b'{"id":"1"}'), (3, b'{"id":"a longer one, of several pieces"}'), (5, b'{"id":"3"}'), (6, b'{"id":"4"}')]


@pytest.mark.parametrize("n_bytes", [1, 7, 11, 12, 1_000])
@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_lines_are_cut_the_same_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int, size: int, end: str
) -> None:
    """Pieces may end within a line, at its end or hold many; blank lines count and give nothing; no block exceeds its size."""
    monkeypatch.setattr(files, "BYTES_AT_ONCE", n_bytes)
    path = tmp_path / "usage.jsonl"
    path.write_text("\n".join(LINES) + end)
    blocks = list(EventFile(str(path), "usage").blocks(size))
    assert [event for block in blocks for event in zip(block.numbers, block.values, strict=True)] == EVENTS
    assert all(0 < len(block.values) <= size for block in blocks)
