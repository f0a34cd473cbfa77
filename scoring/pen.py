"""Text and numbers as UTF-8 bytes, written by compiled code into a buffer.

Every function writes at a place and returns the place after it; the caller has made sure of room. Records are written
by the hundred thousand, and a formatted string in Python costs as much as scoring the account.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scoring.jit import part

Bytes = NDArray[np.uint8]

NUMBER_BYTES = 24
"""The longest number: 17 digits and six decimals, or a sign and 18 digits."""
LARGEST_UNITS = 1e17
"""Sizes are cut off here; nothing that is scored comes near it."""


@part
def put_text(buffer: Bytes, place: int, text: Bytes | bytes) -> int:
    """Write bytes as they are: a literal, or an array."""
    for k in range(len(text)):
        buffer[place + k] = text[k]
    return place + len(text)


@part
def put_digits(buffer: Bytes, place: int, number: int, least: int) -> int:
    """Write a whole number ≥ 0 with at least that many digits, zeros in front."""
    count = 1
    rest = number // 10
    while rest > 0:
        count += 1
        rest //= 10
    count = max(count, least)
    for k in range(count - 1, -1, -1):
        buffer[place + k] = np.uint8(48 + number % 10)
        number //= 10
    return place + count


@part
def put_whole(buffer: Bytes, place: int, number: int) -> int:
    """Write a whole number, with its sign where it is negative."""
    if number < 0:
        buffer[place] = 45
        return put_digits(buffer, place + 1, -number, 1)
    return put_digits(buffer, place, number, 1)


@part
def put_units(buffer: Bytes, place: int, units: int, decimals: int) -> int:
    """Write ``units / 10**decimals`` as a JSON number: no zeros at its end but the one after the point."""
    if units < 0:
        buffer[place] = 45
        place += 1
        units = -units
    scale = 1
    for _ in range(decimals):
        scale *= 10
    place = put_digits(buffer, place, units // scale, 1)
    buffer[place] = 46
    rest = units % scale
    while decimals > 1 and rest % 10 == 0:
        rest //= 10
        decimals -= 1
    return put_digits(buffer, place + 1, rest, decimals)


@part
def put_number(buffer: Bytes, place: int, number: float) -> int:
    """Write a number to a millionth, null for NaN."""
    if math.isnan(number):
        return put_text(buffer, place, b"null")
    return put_units(buffer, place, units_of(number, 1e6), 6)


@part
def units_of(number: float, scale: float) -> int:
    """Return ``number * scale`` to the nearest whole number, half up in size."""
    units = math.floor(min(abs(number) * scale + 0.5, LARGEST_UNITS))
    return -units if number < 0.0 else units


@part
def put_rounded(buffer: Bytes, place: int, number: float, decimals: int) -> int:
    """Write a number for people, always with that many decimals (0-6); one that rounds to 0 has no sign."""
    scale = 1
    for _ in range(decimals):
        scale *= 10
    units = units_of(number, float(scale))
    if units < 0:
        buffer[place] = 45
        place += 1
        units = -units
    place = put_digits(buffer, place, units // scale, 1)
    if decimals == 0:
        return place
    buffer[place] = 46
    return put_digits(buffer, place + 1, units % scale, decimals)


@part
def put_brief(buffer: Bytes, place: int, number: float) -> int:
    """Write a number for people to four significant digits, without zeros at its end."""
    size = abs(number)
    decimals = 3
    while size >= 10.0 and decimals > 0:
        size /= 10.0
        decimals -= 1
    while 0.0 < size < 1.0 and decimals < 6:
        size *= 10.0
        decimals += 1
    end = put_rounded(buffer, place, number, decimals)
    if decimals > 0:
        while buffer[end - 1] == 48:
            end -= 1
        if buffer[end - 1] == 46:
            end -= 1
    return end


@part
def put_time(buffer: Bytes, place: int, at_ms: int) -> int:
    """Write an instant, milliseconds since 1970 (≥ 0), as RFC 3339 in UTC to the millisecond: 24 bytes.

    The date is found in the 400-year cycle of the Gregorian calendar, years beginning in March so that the leap day is
    a year's last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    """
    day = at_ms // 86_400_000 + 719_468
    rest = at_ms % 86_400_000
    cycle = day // 146_097
    of_cycle = day % 146_097
    of_years = (of_cycle - of_cycle // 1_460 + of_cycle // 36_524 - of_cycle // 146_096) // 365
    of_year = of_cycle - (365 * of_years + of_years // 4 - of_years // 100)
    month = (5 * of_year + 2) // 153
    place = put_digits(buffer, place, of_years + cycle * 400 + (1 if month >= 10 else 0), 4)
    buffer[place] = 45
    place = put_digits(buffer, place + 1, month - 9 if month >= 10 else month + 3, 2)
    buffer[place] = 45
    place = put_digits(buffer, place + 1, of_year - (153 * month + 2) // 5 + 1, 2)
    buffer[place] = 84
    place = put_digits(buffer, place + 1, rest // 3_600_000, 2)
    buffer[place] = 58
    place = put_digits(buffer, place + 1, rest // 60_000 % 60, 2)
    buffer[place] = 58
    place = put_digits(buffer, place + 1, rest // 1_000 % 60, 2)
    buffer[place] = 46
    place = put_digits(buffer, place + 1, rest % 1_000, 3)
    buffer[place] = 90
    return place + 1
