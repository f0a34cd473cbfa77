"""`bellwether demo`, as far as it goes without workers: what it refuses before anything is started, and what it shows."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streams.cli import main
from streams.demo.alarms import Alarm
from streams.demo.feed import History
from streams.demo.progress import Display
from streams.demo.watch import describe


def test_a_book_out_of_range_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Too few days are refused with exit code 2 and one sentence, before Kafka is started."""
    assert main(["demo", "--days", "60"]) == 2
    expected = "days: expected 110 to 730, got 60 — the longest story takes 70 days after 35 calm ones\n"
    assert capsys.readouterr().err == expected


def test_a_folder_without_histories_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without event files is refused with exit code 1, before Kafka is started."""
    assert main(["demo", "--input", str(tmp_path)]) == 1
    assert "expected files such as usage.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-3", "86401", "soon"])
def test_seconds_out_of_range_are_wrong_usage(seconds: str) -> None:
    """A duration that is none is refused by the parser with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", f"--seconds={seconds}"])
    assert caught.value.code == 2


def test_an_alert_line_copes_with_missing_parts() -> None:
    """An alert without bands and reasons is still one line, with what is known."""
    alarm = Alarm("acme", "f00", "falling", "firing", "critical", 1_767_323_045_678)
    assert describe(alarm, b"{}", {}).split() == ["2026-01-02", "critical", "acme", "falling"]


def test_lines_are_printed_as_they_are() -> None:
    """A line with brackets, as an alert's reason may have, is not taken for markup, and is not wrapped."""
    output = StringIO()
    display = Display(Console(file=output, width=20), History(0, 86_400_000, []))
    text = "acct-00001 [red] logins down 42 % in 14 days"
    with display:
        display.line(text)
    assert output.getvalue() == f"{text}\n"
