"""Files in one order: time, then topic, then line, whatever the size of blocks."""

import gzip
import json
from pathlib import Path

import pytest

from streams import event_order
from streams.cli.files import EventFile, topic_of
from streams.event_order import UnsortedError, in_order

TOPICS = ("accounts", "usage", "billing")


def write(folder: Path, name: str, times: list[str]) -> EventFile:
    """Write a file whose n-th line carries id n (from 0) and the n-th time of that day; return it."""
    lines = [json.dumps({"id": f"{n}", "occurred_at": f"2026-03-01T{time}:00Z"}) for n, time in enumerate(times)]
    packed = "".join(f"{line}\n" for line in lines).encode()
    path = folder / name
    path.write_bytes(gzip.compress(packed) if name.endswith(".gz") else packed)
    return EventFile(str(path), topic_of(name))


def order_of(files: list[EventFile], whole: frozenset[str] = frozenset()) -> list[tuple[str, int, int]]:
    """Return (topic, line number, offset) of all events in the order in which they come."""
    return [
        (topic_of(line.file), line.line, line.offset)
        for stretch in in_order(files, TOPICS, whole)
        for line in stretch.lines
    ]


@pytest.fixture(params=[1, 2, 3, 100])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lines read at once, from one by one to all at once."""
    monkeypatch.setattr(event_order, "LINES_AT_ONCE", request.param)
    return int(request.param)


@pytest.mark.usefixtures("block")
def test_events_come_by_time_then_topic_then_line(tmp_path: Path) -> None:
    """Of one instant, accounts come before usage and usage before billing; a file's own order breaks the last tie."""
    billing = write(tmp_path, "billing.jsonl.gz", ["00:02", "00:04", "00:04"])
    usage = write(tmp_path, "usage.jsonl", ["00:01", "00:02", "00:02", "00:05"])
    accounts = write(tmp_path, "accounts.jsonl", ["00:02"])
    assert order_of([billing, usage, accounts]) == [
        ("usage", 1, 0),
        ("accounts", 1, 0),
        ("usage", 2, 1),
        ("usage", 3, 2),
        ("billing", 1, 0),
        ("billing", 2, 1),
        ("billing", 3, 2),
        ("usage", 4, 3),
    ]


@pytest.mark.usefixtures("block")
def test_two_files_of_a_topic_share_its_offsets(tmp_path: Path) -> None:
    """Offsets count a topic's events in the order in which they come, over all of its files."""
    first = write(tmp_path, "usage.a.jsonl", ["00:01", "00:03"])
    second = write(tmp_path, "usage.b.jsonl", ["00:02", "00:03"])
    found = [line for stretch in in_order([second, first], TOPICS) for line in stretch.lines]
    assert [(Path(line.file).name, line.line, line.offset) for line in found] == [
        ("usage.a.jsonl", 1, 0),
        ("usage.b.jsonl", 1, 1),
        ("usage.a.jsonl", 2, 2),
        ("usage.b.jsonl", 2, 3),
    ]


@pytest.mark.usefixtures("block")
def test_line_without_a_time_stays_beside_the_one_before(tmp_path: Path) -> None:
    """What is no event, or states no time, is handed out where it stands, so that it can be told with its line."""
    usage = write(tmp_path, "usage.jsonl", ["00:01", "00:02", "00:03"])
    path = Path(usage.name)
    first, second, third = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([b"{", first, b"no JSON", second, b'{"occurred_at":7}', third]))
    assert [number for _, number, _ in order_of([usage])] == [1, 2, 3, 4, 5, 6]


def test_file_out_of_order_is_told_and_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disorder beyond a block cannot be put right on the way; read whole, the file comes in order."""
    usage = write(tmp_path, "usage.jsonl", ["00:03", "00:04", "00:01"])
    monkeypatch.setattr(event_order, "LINES_AT_ONCE", 2)
    with pytest.raises(UnsortedError) as told:
        order_of([usage])
    assert told.value.name == usage.name
    assert [number for _, number, _ in order_of([usage], frozenset((usage.name,)))] == [3, 1, 2]


def test_nothing_comes_of_empty_files(tmp_path: Path) -> None:
    """A file without lines is no reason to wait."""
    assert order_of([write(tmp_path, "usage.jsonl", [])]) == []
