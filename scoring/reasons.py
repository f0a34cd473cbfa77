"""Reasons: why a score is what it is and why it moved, as codes, sentences with numbers, and points that add up.

A contribution is a signed share of the score in points. Those of the inputs, of missing data and of overrides sum,
with the baseline, to the health; their differences from an earlier day sum to its change. What is shown is a choice
of the largest. Every snapshot and alert carries reasons, so they are written by compiled code from the phrases of the
model.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.arrays import Floats
from scoring.jit import part
from scoring.model import Input, Model, ValueKind
from scoring.pen import (
    NUMBER_BYTES,
    Bytes,
    put_brief,
    put_digits,
    put_rounded,
    put_text,
    put_units,
    units_of,
)

LIMIT: Final = 4
"""At most four reasons: what people read, and what adverse-action practice asks for."""
SMALLEST: Final = 0.5
"""Points below which a contribution is no reason."""
MISSING_DATA: Final = "MISSING_DATA"
OVERRIDE: Final = "OVERRIDE"

ASIDE: Final = ", its cohort's quiet days aside"
"""Said of values that count cohort days."""

# Columns of `Words.says`: one line an input, then missing data, then overrides.
SAY_KIND = 0
SAY_CODE = 1
SAY_TITLE = 2
SAY_AFTER = 3
SAY_CATEGORY = 4
SAY_COLUMNS = 5

# What stands between the title and the points.
SAY_NOTHING = 0
SAY_NUMBER = 1
SAY_LOG_CHANGE = 2
SAY_RATIO = 3
SAY_DEVIATIONS = 4
SAY_EVENTS = 5
SAY_OLDEST = 6
SAY_PERCENT = 7
SAY_NAME = 8


class Words(NamedTuple):
    """The phrases of one model, JSON-escaped, and what each contribution says with them.

    ``text[byte]``; ``spans[phrase] = (start, end)`` in it; ``says[contribution, SAY_*]``: kind, and numbers of phrases.
    """

    text: NDArray[np.uint8]
    spans: NDArray[np.int64]
    says: NDArray[np.int64]


class _Phrases:
    """Collects phrases and numbers them."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._spans: list[tuple[int, int]] = []

    def add(self, phrase: str) -> int:
        escaped = orjson.dumps(phrase)[1:-1]
        self._spans.append((len(self._text), len(self._text) + len(escaped)))
        self._text += escaped
        return len(self._spans) - 1

    def words(self, says: list[tuple[int, ...]]) -> Words:
        return Words(
            text=np.frombuffer(bytes(self._text), np.uint8).copy(),
            spans=np.array(self._spans, np.int64).reshape(-1, 2),
            says=np.array(says, np.int64).reshape(-1, SAY_COLUMNS),
        )


def words_of(model: Model, names: Sequence[str] = ()) -> Words:
    """Return the phrases of a model; `names` are the caller's own, phrases 0 and on."""
    phrases = _Phrases()
    for name in names:
        phrases.add(name)
    says = [_say(entry, phrases) for entry in model.inputs]
    for code, title in (
        (MISSING_DATA, "data that is missing counts {} points"),
        (OVERRIDE, "an override moves the score by {} points"),
    ):
        before, after = title.split("{}")
        says.append((SAY_NOTHING, phrases.add(code), phrases.add(before), phrases.add(after), 0))
    return phrases.words(says)


def room_of(words: Words) -> int:
    """Return how many bytes a reason takes at most."""
    longest = int((words.spans[:, 1] - words.spans[:, 0]).max())
    return 4 * longest + 4 * NUMBER_BYTES + 120


def _say(entry: Input, phrases: _Phrases) -> tuple[int, ...]:
    kind, after = _saying(entry)
    after += ASIDE if entry.value.is_relative else ""
    code, title, rest = phrases.add(entry.code), phrases.add(entry.title), phrases.add(after)
    names = [phrases.add(name.replace("_", " ")) for name, _ in entry.categories]
    return kind, code, title, rest, names[0] if names else 0


def _saying(entry: Input) -> tuple[int, str]:
    """Return how an input's value is put into words, and what stands after the number."""
    value = entry.value
    if entry.categories:
        return SAY_NAME, ""
    match value.kind:
        case ValueKind.MOMENTUM:
            return SAY_LOG_CHANGE, " against the last 90 days"
        case ValueKind.RATIO:
            return SAY_RATIO, f" in {value.window_days} days against {value.long_window_days}"
        case ValueKind.SURPRISE:
            return SAY_DEVIATIONS, " its habit"
        case ValueKind.SILENCE:
            return SAY_EVENTS, " expected events did not come"
        case ValueKind.AGE:
            return SAY_OLDEST, " days"
        case ValueKind.BURN:
            return SAY_NUMBER, f" times its budget in {value.window_days} and in {value.long_window_days} days"
    if value.kind is ValueKind.SHARE or value.attribute == "seat_use":
        return SAY_PERCENT, " %"
    unit = f" {entry.unit}" if entry.unit and entry.unit not in entry.title else ""
    return SAY_NUMBER, unit + (f" in {value.window_days} days" if value.window_days else "")


@part
def put_phrase(words: Words, buffer: Bytes, place: int, phrase: int) -> int:
    """Write one phrase."""
    start = words.spans[phrase, 0]
    end = words.spans[phrase, 1]
    for k in range(start, end):
        buffer[place + k - start] = words.text[k]
    return place + end - start


@part
def put_change(buffer: Bytes, place: int, change: float) -> int:
    """Write a relative change, such as "down 42 %"."""
    if abs(change) < 0.005:
        return put_text(buffer, place, b" unchanged")
    place = put_text(buffer, place, b" up ") if change > 0.0 else put_text(buffer, place, b" down ")
    place = put_rounded(buffer, place, 100.0 * abs(change), 0)
    return put_text(buffer, place, b" %")


@part
def put_value(words: Words, buffer: Bytes, place: int, which: int, value: float) -> int:
    """Write what an input's value (in its own unit, NaN = no data) says after its title."""
    kind = words.says[which, SAY_KIND]
    if math.isnan(value):
        return put_text(buffer, place, b": no data")
    if kind == SAY_NAME:
        place = put_text(buffer, place, b": ")
        return put_phrase(words, buffer, place, words.says[which, SAY_CATEGORY] + np.int64(value))
    if kind == SAY_LOG_CHANGE:
        place = put_change(buffer, place, math.exp(value) - 1.0)
    elif kind == SAY_RATIO:
        place = put_change(buffer, place, value - 1.0)
    elif kind == SAY_DEVIATIONS:
        place = put_rounded(buffer, put_text(buffer, place, b" "), abs(value), 1)
        place = put_text(buffer, place, b" standard deviations ")
        place = put_text(buffer, place, b"below") if value < 0.0 else put_text(buffer, place, b"above")
    elif kind == SAY_EVENTS:
        place = put_rounded(buffer, put_text(buffer, place, b": "), value, 1)
    elif kind == SAY_OLDEST:
        if value <= 0.0:
            return put_text(buffer, place, b": none")
        place = put_rounded(buffer, put_text(buffer, place, b": oldest "), value, 0)
    elif kind == SAY_PERCENT:
        place = put_rounded(buffer, put_text(buffer, place, b" "), 100.0 * value, 0)
    else:
        place = put_brief(buffer, put_text(buffer, place, b": "), value)
    return put_phrase(words, buffer, place, words.says[which, SAY_AFTER])


@part
def put_points(buffer: Bytes, place: int, points: float, days: int) -> int:
    """Write signed points and, where `days` > 0, over how many days they came together."""
    if points >= 0.0:
        place = put_text(buffer, place, b"+")
    place = put_rounded(buffer, place, points, 1)
    if days > 0:
        place = put_text(buffer, place, b" over ")
        place = put_digits(buffer, place, days, 1)
        place = put_text(buffer, place, b" days")
    return place


@part
def put_reason(words: Words, buffer: Bytes, place: int, which: int, values: Floats, points: float, days: int) -> int:
    """Write one reason: a stable code, its sentence, and its share in points."""
    place = put_text(buffer, place, b'{"code":"')
    place = put_phrase(words, buffer, place, words.says[which, SAY_CODE])
    place = put_text(buffer, place, b'","text":"')
    place = put_phrase(words, buffer, place, words.says[which, SAY_TITLE])
    if words.says[which, SAY_KIND] == SAY_NOTHING:
        place = put_points(buffer, place, points, 0)
        place = put_phrase(words, buffer, place, words.says[which, SAY_AFTER])
        if days > 0:
            place = put_text(buffer, place, b" over ")
            place = put_digits(buffer, place, days, 1)
            place = put_text(buffer, place, b" days")
    else:
        place = put_value(words, buffer, place, which, values[which])
        place = put_text(buffer, place, b" (")
        place = put_points(buffer, place, points, days)
        place = put_text(buffer, place, b")")
    place = put_text(buffer, place, b'","contribution":')
    place = put_units(buffer, place, units_of(points, 1e6), 6)
    return put_text(buffer, place, b"}")


@part
def next_largest(points: Floats, before: Floats, last: int) -> int:
    """Return the place of the largest difference, sign aside, after number `last` in that order (-1 = from the start).

    Of equal ones the first comes first. -1 where none is left that is worth a reason.
    """
    limit = math.inf if last < 0 else abs(points[last] - before[last])
    best = -1
    size = SMALLEST
    for k in range(points.size):
        own = abs(points[k] - before[k])
        if (own < limit or (own == limit and k > last)) and (own > size or (best < 0 and own == size)):
            best = k
            size = own
    return best


@part
def put_reasons(
    words: Words, buffer: Bytes, place: int, values: Floats, points: Floats, before: Floats, days: int
) -> int:
    """Write the largest differences of contributions as a list of reasons, at most `LIMIT`.

    Parameters
    ----------
    values : float64 array, of the inputs first, in their own units
    points, before : float64 arrays, contributions now and then (zeros: the distance from a healthy account), points
    days : int, how long ago "then" was; 0 = no comparison. With one, what is left over stands in a last reason "OTHER",
        so that the contributions sum to the change, in millionths.
    """
    total = 0.0
    for k in range(points.size):
        total += points[k] - before[k]
    left = units_of(total, 1e6)
    place = put_text(buffer, place, b"[")
    count = 0
    which = next_largest(points, before, -1)
    while which >= 0 and count < LIMIT:
        if count > 0:
            place = put_text(buffer, place, b",")
        difference = points[which] - before[which]
        place = put_reason(words, buffer, place, which, values, difference, days)
        left -= units_of(difference, 1e6)
        count += 1
        which = next_largest(points, before, which)
    if days > 0 and left != 0:
        if count > 0:
            place = put_text(buffer, place, b",")
        place = put_text(buffer, place, b'{"code":"OTHER","text":"smaller moves together","contribution":')
        place = put_units(buffer, place, left, 6)
        place = put_text(buffer, place, b"}")
    return put_text(buffer, place, b"]")
