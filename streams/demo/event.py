"""One record of the simulated book, ready to be sent, and how its instants are written."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec


class Event(NamedTuple):
    """One record of the book.

    Parameters
    ----------
    topic
        Input topic.
    account_id
        Key of the record.
    value
        Its JSON bytes; deliberately broken ones for a ``bad`` fault.
    occurred_at_ms
        When it happened, milliseconds UTC; what the payload says, except where the payload is broken.
    arrives_at_ms
        When it reaches the log: the record's timestamp, milliseconds UTC.
    fault
        ``""``, ``late``, ``duplicate`` or ``bad: <kind>``. Known to the truth, never sent.
    """

    topic: str
    account_id: str
    value: bytes
    occurred_at_ms: int
    arrives_at_ms: int
    fault: str = ""


def instant(at_ms: int) -> str:
    """Return an instant in RFC 3339 with milliseconds.

    Parameters
    ----------
    at_ms
        Milliseconds UTC.

    Examples
    --------
    >>> instant(1_762_128_000_000)
    '2025-11-03T00:00:00.000Z'
    """
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def event(topic: str, account_id: str, at_ms: int, fields: dict[str, Any]) -> Event:
    """Return an event that arrives when it happens.

    Parameters
    ----------
    topic
        Input topic.
    account_id
        Whose event.
    at_ms
        When it happened, milliseconds UTC.
    fields
        The payload besides ``account_id`` and ``occurred_at``.
    """
    body = {**fields, "account_id": account_id, "occurred_at": instant(at_ms)}
    return Event(topic, account_id, msgspec.json.encode(body), at_ms, at_ms)
