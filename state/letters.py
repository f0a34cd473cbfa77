"""Records that do not become state here: dead letters, and events on their way to another partition."""

from collections.abc import Sequence
from typing import Final

from state.flush import Message
from state.record import Record
from state.rejections import Rejection

REROUTED: Final = "rerouted"
ORIGIN: Final = ("bw_topic", "bw_partition", "bw_offset")
"""Headers that say where a record stood first."""


def dead_letter(topic: str, partition: int, record: Record, rejection: Rejection) -> Message:
    """Return a refused record as a dead letter: its bytes unchanged, where it stood and why in headers."""
    origin = _origin(topic, partition, record)
    why = [
        ("bw_reason", rejection.code.value.encode()),
        ("bw_path", rejection.path.encode()),
        ("bw_given", rejection.given.encode()),
    ]
    return Message(record.key, record.value, [*_foreign(record), *origin, *why], record.timestamp)


def rerouted(topic: str, partition: int, record: Record, account: str, target: int) -> Message:
    """Return a record that stands in the wrong partition for its account, addressed to the right one."""
    headers = [*_foreign(record), *_origin(topic, partition, record)]
    return Message(account.encode(), record.value, headers, record.timestamp, target)


def original_topic(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Return the topic a rerouted record came from, "" where it does not say."""
    return next(((value or b"").decode(errors="replace") for name, value in headers if name == "bw_topic"), "")


def _origin(topic: str, partition: int, record: Record) -> list[tuple[str, bytes]]:
    """Return where a record stood first. One on `rerouted` says so itself; elsewhere such headers are a producer's, and no proof."""
    said = [(name, value or b"") for name, value in record.headers if name in ORIGIN]
    if topic == REROUTED and {name for name, _ in said} == set(ORIGIN):
        return said
    return list(zip(ORIGIN, (topic.encode(), str(partition).encode(), str(record.offset).encode()), strict=True))


def _foreign(record: Record) -> list[tuple[str, bytes]]:
    """Return a record's headers but for our own; a null one becomes empty, which every client can write."""
    return [(name, value or b"") for name, value in record.headers if not name.startswith("bw_")]


def by_origin(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Return rerouted records in runs of the same original topic."""
    runs: list[tuple[str, list[Record]]] = []
    for record in records:
        topic = original_topic(record.headers)
        if not runs or runs[-1][0] != topic:
            runs.append((topic, []))
        runs[-1][1].append(record)
    return runs
