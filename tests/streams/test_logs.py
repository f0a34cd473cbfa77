"""Log lines: for people and for machines, with what they speak of in fields of their own."""

import json
import logging
import sys

import pytest

from state.flush import Flush, Message
from streams.logs import ConsoleLine, JsonLine, configuration, log_flush
from streams.settings import Settings

ALERT = Message(b"a", b"{}", (("ce_id", b"ab-12-3"), ("ce_type", b"io.bellwether.alert.firing")))


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    """Return a record as a logger makes it."""
    made = logging.makeLogRecord(
        {"name": "streams.x", "levelname": "INFO", "msg": message, "args": arguments, **fields}
    )
    made.created = 1_700_000_000.25
    return made


def test_a_json_line_is_one_object_with_time_and_fields() -> None:
    """The time is UTC to the millisecond, known fields stand beside the message, line ends are escaped."""
    line = JsonLine().format(record("read %d\nlines", 3, partition=2, sequence=9, unknown=1, process=7))
    assert "\n" not in line
    assert json.loads(line) == {
        "at": "2023-11-14T22:13:20.250Z", "level": "INFO", "logger": "streams.x", "process": 7,
        "message": "read 3\nlines", "partition": 2, "sequence": 9,
    }  # fmt: skip


def test_an_exception_is_a_field() -> None:
    """A trace stays within its object."""
    try:
        int("no")
    except ValueError:
        line = JsonLine().format(record("failed", exc_info=sys.exc_info()))
    assert json.loads(line)["exception"].endswith("base 10: 'no'")
    assert "\n" not in line


def test_a_console_line_ends_with_its_fields() -> None:
    """People read the sentence first."""
    line = ConsoleLine().format(record("alert firing", alert_id="ab", process=7))
    assert line.endswith("] [7] [INFO] alert firing [alert_id=ab]")
    assert ConsoleLine().format(record("well", process=7)).endswith("] [INFO] well")


def test_libraries_are_quiet_unless_everything_is_wanted() -> None:
    """At INFO Faust's tables are left out; at DEBUG nothing is."""
    assert configuration(Settings())["loggers"]["faust"] == {"level": "WARNING"}
    assert configuration(Settings(log_level="DEBUG"))["loggers"] == {}


def test_a_flush_names_its_alerts(caplog: pytest.LogCaptureFixture) -> None:
    """Each alert of a flush is a line with its id, its partition and the journal's sequence."""
    caplog.set_level(logging.INFO)
    log_flush(3, Flush(sequence=8, journal=Message(b"8", b"{}"), offsets={}, alerts=[ALERT]))
    (line,) = caplog.records
    assert (line.getMessage(), line.__dict__["alert_id"]) == ("alert firing", "ab-12")
    assert (line.__dict__["partition"], line.__dict__["sequence"]) == (3, 8)
