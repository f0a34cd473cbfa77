"""RFC 3339 times to milliseconds UTC, a column at a time.

Accepted: `YYYY-MM-DDTHH:MM:SS`, any number of fraction digits (what is finer than a millisecond is cut off), then `Z` or
`±hh:mm`. `t`, `z` and a blank for the `T` are accepted as RFC 3339 section 5.6 allows. Refused: no offset, days that do
not exist, year 0000, hour 24, and second 60, because milliseconds UTC have no place for a leap second.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit

from state.layout import DAY_MS, NO_VALUE
from state.texts import byte_at, join_texts

_SHORTEST: Final = 20  # 2026-03-01T00:00:00Z
_DATE_SIZE: Final = 10
_DAYS_TO_1970: Final = 719_468  # from 0000-03-01


@njit(cache=True, inline="always")
def _number(buffer: np.ndarray, at: int, size: int) -> int:
    """Return the decimal number of `size` digits, or a large negative number where one of them is no digit."""
    number = 0
    for place in range(size):
        digit = byte_at(buffer, at + place) - 48
        if digit < 0 or digit > 9:
            return -1_000_000
        number = number * 10 + digit
    return number


@njit(cache=True)
def _day_number(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01, or NO_VALUE for a day that does not exist.

    Years are counted from 1 March, so that the leap day is the last of its year (Howard Hinnant, "chrono-Compatible
    Low-Level Date Algorithms", days_from_civil).
    """
    if year < 1 or month < 1 or month > 12 or day < 1:
        return NO_VALUE
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = 28 + is_leap if month == 2 else 30 + ((month + month // 8) & 1)
    if day > last:
        return NO_VALUE
    from_march = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    leaps = from_march // 4 - from_march // 100 + from_march // 400
    return from_march * 365 + leaps + day_of_year - _DAYS_TO_1970


@njit(cache=True)
def _date(buffer: np.ndarray, start: int) -> int:
    """Return the days since 1970-01-01 of the `YYYY-MM-DD` at `start`, or NO_VALUE."""
    if buffer[start + 4] != 45 or buffer[start + 7] != 45:  # -
        return NO_VALUE
    return _day_number(_number(buffer, start, 4), _number(buffer, start + 5, 2), _number(buffer, start + 8, 2))


@njit(cache=True)
def _offset_ms(buffer: np.ndarray, at: int, stop: int) -> int:
    """Return how far the local time is ahead of UTC, from `Z` or `±hh:mm`, or NO_VALUE."""
    sign = buffer[at]
    if sign == 90 or sign == 122:  # Z z  # noqa: PLR1714  (numba compiles this form faster)
        return 0 if at + 1 == stop else NO_VALUE
    if at + 6 != stop or buffer[at + 3] != 58 or (sign != 43 and sign != 45):  # : + -  # noqa: PLR1714
        return NO_VALUE
    hours, minutes = _number(buffer, at + 1, 2), _number(buffer, at + 4, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return NO_VALUE
    ahead_ms = (hours * 60 + minutes) * 60_000
    return ahead_ms if sign == 43 else -ahead_ms


@njit(cache=True)
def _clock_ms(buffer: np.ndarray, at: int) -> int:
    """Return the milliseconds since midnight of the `HH:MM:SS` at `at`, or NO_VALUE."""
    if buffer[at + 2] != 58 or buffer[at + 5] != 58:  # :
        return NO_VALUE
    hour, minute, second = _number(buffer, at, 2), _number(buffer, at + 3, 2), _number(buffer, at + 6, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return NO_VALUE
    return ((hour * 60 + minute) * 60 + second) * 1000


@njit(cache=True)
def _fraction(buffer: np.ndarray, at: int, stop: int) -> tuple[int, int]:
    """Return (milliseconds, where the offset begins) of the optional fraction at `at`; (NO_VALUE, at) if it is bare."""
    if buffer[at] != 46:  # .
        return 0, at
    milliseconds, unit, place = 0, 100, at + 1
    while place < stop and 48 <= buffer[place] <= 57:
        milliseconds += (byte_at(buffer, place) - 48) * unit
        unit //= 10
        place += 1
    return (NO_VALUE, at) if place == at + 1 or place == stop else (milliseconds, place)


@njit(cache=True)
def _time(buffer: np.ndarray, start: int, stop: int) -> int:
    """Return milliseconds UTC of the RFC 3339 text at `start:stop`, or NO_VALUE."""
    if stop - start < _SHORTEST:
        return NO_VALUE
    between = buffer[start + 10]
    if between != 84 and between != 116 and between != 32:  # T t blank  # noqa: PLR1714
        return NO_VALUE
    days = _date(buffer, start)
    clock_ms = _clock_ms(buffer, start + 11)
    milliseconds, at = _fraction(buffer, start + 19, stop)
    ahead_ms = _offset_ms(buffer, at, stop)
    if NO_VALUE in (days, clock_ms, milliseconds, ahead_ms):
        return NO_VALUE
    return days * DAY_MS + clock_ms + milliseconds - ahead_ms


@njit(cache=True)
def _time_all(buffer: np.ndarray, ends: np.ndarray) -> np.ndarray:
    times = np.empty(ends.size, np.int64)
    start = 0
    for index in range(ends.size):
        times[index] = _time(buffer, start, ends[index])
        start = ends[index]
    return times


def parse_times(column: Sequence[str]) -> np.ndarray:
    """Return a column of RFC 3339 texts as milliseconds UTC.

    Returns
    -------
    np.ndarray
        int64, milliseconds UTC; NO_VALUE where the text is not a valid time.
    """
    return _time_all(*join_texts(column))


def parse_moment(text: str) -> int | None:
    """Return milliseconds UTC of an RFC 3339 text, or of a plain date at 00:00 UTC; None when it is neither.

    Examples
    --------
    >>> parse_moment("1970-01-02T00:00:00.5+01:00")
    82800500
    >>> parse_moment("1970-01-02")
    86400000
    """
    is_date = len(text) == _DATE_SIZE
    encoded = (text + "T00:00:00Z" if is_date else text).encode()
    moment = int(_time(np.frombuffer(encoded, np.uint8), 0, len(encoded)))
    return None if moment == NO_VALUE else moment
