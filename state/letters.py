"""Records that do not become state here: dead letters, and events on their way to another partition."""

from collections.abc import Sequence

from state.decode import Record
from state.flush import Message
from state.rejections import Rejection


def dead_letter(topic: str, partition: int, record: Record, rejection: Rejection) -> Message:
    """Return a refused record as a dead letter: its bytes unchanged, where it stood and why in headers."""
    own = [(name, value) for name, value in _headers(record) if not name.startswith("bw_")]
    origin = _origin(topic, partition, record)
    why = [
        ("bw_reason", rejection.code.value.encode()),
        ("bw_path", rejection.path.encode()),
        ("bw_given", rejection.given.encode()),
    ]
    return Message(record.key, record.value, [*own, *origin, *why], record.timestamp)


def rerouted(topic: str, partition: int, record: Record, account: str, target: int) -> Message:
    """Return a record that stands in the wrong partition for its account, addressed to the right one."""
    headers = [*_headers(record), *_origin(topic, partition, record)]
    return Message(account.encode(), record.value, headers, record.timestamp, target)


def original_topic(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Return the topic a rerouted record came from, "" where it does not say."""
    return next(((value or b"").decode(errors="replace") for name, value in headers if name == "bw_topic"), "")


def _origin(topic: str, partition: int, record: Record) -> list[tuple[str, bytes]]:
    """Return where a record stood first; a rerouted one says so itself."""
    if any(name == "bw_topic" for name, _ in record.headers):
        return [(name, value) for name, value in _headers(record) if name in ("bw_topic", "bw_partition", "bw_offset")]
    return [
        ("bw_topic", topic.encode()),
        ("bw_partition", str(partition).encode()),
        ("bw_offset", str(record.offset).encode()),
    ]


def _headers(record: Record) -> list[tuple[str, bytes]]:
    """Return a record's headers; a null one becomes empty, which every client can write."""
    return [(name, value or b"") for name, value in record.headers]
