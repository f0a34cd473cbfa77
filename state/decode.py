"""A chunk of Kafka records to columns, with a rejection for every record that is not a valid event.

Each value is decoded on its own. Joining the values into one JSON array would be no faster (both take about 190 ns per
160-byte event) and would let two broken records complete each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import compress
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numba import njit

from state.cloudevents import fill_from_headers
from state.columns import COLUMNS_OF, Columns, Faults
from state.events import EVENT_TYPES, Event, Moment, Money
from state.numbers import TEN_THOUSANDTHS, scale
from state.record import Headers, Record
from state.rejections import (
    Fault,
    Rejection,
    RejectionCode,
    rejection_at,
    rejection_of,
    shorten_bytes,
)
from state.timestamps import parse_moment

SIZE_LIMIT: Final = 256 * 1024
"""Largest value, in bytes."""
DEPTH_LIMIT: Final = 256
"""Deepest nesting. The decoder recurses: without a limit, the depth of our own call stack would decide."""


class LoneRecord(NamedTuple):
    """An event that did not come from a log."""

    value: bytes | None
    headers: Headers = ()
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None


@dataclass(slots=True)
class Chunk(Columns):
    """The accepted events of a chunk in log order, as columns, and its refused records.

    Parameters
    ----------
    topic
        The input topic.
    offset
        int64, offset of each accepted event's record.
    timestamp_ms
        int64, milliseconds UTC, its record's timestamp.
    structs
        The accepted events as decoded.
    rejections
        (index in the chunk, rejection), in log order.
    """

    topic: str
    offset: np.ndarray
    timestamp_ms: np.ndarray
    structs: list[Any]
    rejections: list[tuple[int, Rejection]]


def decode_chunk(topic: str, records: Sequence[Record], skew_ms: int | None = None) -> Chunk:
    """Return the events and rejections of records of one topic, in log order. O(bytes).

    Parameters
    ----------
    topic
        A key of `EVENT_TYPES`.
    skew_ms
        ≥ 0, milliseconds: an event that says it happened later than its record's timestamp plus this is refused as
        FUTURE; None switches the check off.
    """
    assert topic in EVENT_TYPES, topic
    refused: dict[int, Rejection] = {}
    values = _screened([record.value for record in records], refused)
    headers = [record.headers for record in records]
    if any(headers):
        _fill_all(values, headers, refused)
    events = _decode_all(topic, values, refused)
    offset = np.array([record.offset for record in records], np.int64)
    timestamp_ms = np.array([record.timestamp for record in records], np.int64)
    places: Sequence[int] = range(len(values))
    if refused:
        places = [place for place in places if place not in refused]
        offset, timestamp_ms = offset[places], timestamp_ms[places]
    faults = Faults()
    columns = COLUMNS_OF[topic](events, faults)
    if skew_ms is not None and topic != "ticks":
        late = columns.occurred_at_ms > timestamp_ms + skew_ms
        faults.note_where(late, RejectionCode.FUTURE, "$.occurred_at")
    for index, (code, path) in faults.found.items():
        place = places[index]
        refused[place] = rejection_at(code, path, values[place])
    chunk = Chunk(
        **{column.name: getattr(columns, column.name) for column in fields(Columns)},
        topic=topic,
        offset=offset,
        timestamp_ms=timestamp_ms,
        structs=events,
        rejections=sorted(refused.items()),
    )
    return _without(chunk, faults.found) if faults.found else chunk


def decode_event(topic: str, value: bytes | None, headers: Headers = ()) -> Event | Rejection:
    """Return one event, or why it is refused; the same verdict as `decode_chunk` without its FUTURE check.

    Examples
    --------
    >>> decode_event("outcomes", b'{"id": "o1", "account_id": "a", "occurred_at": "2026-03-01", "outcome": "won"}')
    Rejection(code=<RejectionCode.UNKNOWN_VALUE: 'UNKNOWN_VALUE'>, path='$.outcome', given='"won"')
    """
    chunk = decode_chunk(topic, [LoneRecord(value, headers)])
    return chunk.rejections[0][1] if chunk.rejections else chunk.structs[0]


def warm() -> None:
    """Compile (or load from the cache) everything that decoding runs, so that the first chunk is not a slow one."""
    stamp = b'"id":"1","account_id":"a","occurred_at":"2026-03-01T00:00:00Z","event":"e","source":"s"'
    decode_event("usage", b'{%b,"user_id":"u"}' % stamp)
    decode_event("billing", b'{%b,"amount":"1.5","due_at":"2026-03-01T00:00:00Z"}' % stamp)
    decode_event("accounts", b'{%b,"renewal_at":"2026-03-01"}' % stamp)
    _depth(np.frombuffer(b"{}", np.uint8))


def _without(chunk: Chunk, refused: Mapping[int, object]) -> Chunk:
    """Return the chunk without the events whose indices are refused."""
    kept = np.ones(len(chunk.structs), bool)
    kept[list(refused)] = False
    selected: dict[str, Any] = {}
    for column in fields(Chunk):
        entries = getattr(chunk, column.name)
        if isinstance(entries, np.ndarray):
            entries = entries[kept]
        elif isinstance(entries, list) and column.name != "rejections":
            entries = list(compress(entries, kept))
        selected[column.name] = entries
    return Chunk(**selected)


def _screened(values: Sequence[bytes | None], refused: dict[int, Rejection]) -> list[bytes]:
    """Return the values as bytes; note those that must not reach the decoder.

    The decoder itself skips unknown fields without looking whether they are UTF-8, and has no limits.
    """
    if None not in values:
        present: list[bytes] = list(values)  # type: ignore[arg-type]
        # A shorter value cannot nest too deep.
        if max(map(len, present), default=0) <= 2 * DEPTH_LIMIT and _are_utf8(present) and b"" not in present:
            return present
    for place, value in enumerate(values):
        fault = _screen(value)
        if fault is not None:
            refused[place] = fault
    return [value or b"" for value in values]


def _are_utf8(values: Sequence[bytes]) -> bool:
    """Return whether every value is UTF-8: with an ASCII byte between them, no two can complete each other."""
    joined = b"\n".join(values)
    if joined.isascii():
        return True
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return True


def _screen(value: bytes | None) -> Rejection | None:
    """Return why a value is refused whatever its topic, or None."""
    if not value:
        return Rejection(RejectionCode.EMPTY, "$", "")
    if len(value) > SIZE_LIMIT:
        return Rejection(RejectionCode.TOO_LARGE, "$", f"{len(value)} bytes")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return Rejection(RejectionCode.INVALID_UTF8, "$", shorten_bytes(value[max(error.start - 20, 0) :]))
    is_suspect = len(value) > 2 * DEPTH_LIMIT and value.count(b"{") + value.count(b"[") > DEPTH_LIMIT
    if is_suspect and _depth(np.frombuffer(value, np.uint8)) > DEPTH_LIMIT:
        return Rejection(RejectionCode.TOO_DEEP, "$", shorten_bytes(value))
    return None


@njit(cache=True)
def _depth(buffer: np.ndarray) -> int:
    """Return the deepest nesting of objects and arrays in JSON bytes."""
    depth, deepest, in_text, at = 0, 0, False, 0
    while at < buffer.size:
        byte = buffer[at]
        if byte == 34:  # "
            in_text = not in_text
        elif in_text:
            at += byte == 92  # a backslash: what follows it is text
        elif byte in (91, 123):  # [ {
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (93, 125):  # ] }
            depth -= 1
        at += 1
    return deepest


def _fill_all(values: list[bytes], headers: Sequence[Headers], refused: dict[int, Rejection]) -> None:
    """Put what `ce_` headers state into the values."""
    for place, given in enumerate(headers):
        if given and place not in refused:
            filled = fill_from_headers(values[place], given)
            if isinstance(filled, Rejection):
                refused[place] = filled
            else:
                values[place] = filled


def _decode_all(topic: str, values: Sequence[bytes], refused: dict[int, Rejection]) -> list[Any]:
    """Return the structs of the values that are not refused; note the others."""
    decode = _DECODERS[topic].decode
    if not refused:
        try:
            return list(map(decode, values))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # Some value is bad: look at each, which costs a little more.
    events = []
    for place, value in enumerate(values):
        if place in refused:
            continue
        try:
            events.append(decode(value))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            refused[place] = rejection_of(error, value)
    return events


def _convert(kind: type, given: object) -> object:
    """Return a wire value as one of our own types; msgspec adds the path to the fault."""
    if kind is Moment:
        if not isinstance(given, str):
            raise Fault(RejectionCode.WRONG_TYPE)
        moment = parse_moment(given)
        if moment is None:
            raise Fault(RejectionCode.INVALID_TIME)
        return Moment(moment)
    assert kind is Money, kind
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise Fault(RejectionCode.WRONG_TYPE)
    scaled = scale(given, TEN_THOUSANDTHS)
    if isinstance(scaled, RejectionCode):
        raise Fault(scaled)
    return Money(scaled)


_DECODERS: Final = {topic: msgspec.json.Decoder(kind, dec_hook=_convert) for topic, kind in EVENT_TYPES.items()}
