"""Decimal numbers to whole thousandths and ten-thousandths, exactly.

A text means what it says; a JSON number means its shortest decimal form (0.1 is one tenth, not the nearest double). What
is finer than the scale is rounded half to even. A scaled value is at most 2⁵³, the largest a double holds exactly.
"""

import math
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import numpy as np
from numba import njit

from state.layout import NO_VALUE
from state.rejections import RejectionCode
from state.texts import byte_at, join_texts

LARGEST: Final = 2**53
"""Largest scaled value; about 900 billion currency units, or 9 · 10¹² of a quantity."""
THOUSANDTHS: Final = 3
TEN_THOUSANDTHS: Final = 4

Number = int | float | str

_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TEXT_LIMIT: Final = 64
_EXACT: Final = Context(prec=_TEXT_LIMIT + 8, rounding=ROUND_HALF_EVEN)
_SURE: Final = 2.0**40
"""Below it, a product with 10⁴ is off by less than 10⁻³, so only a near-tie needs the decimal way."""


def scale(given: Number, digits: int, *, may_be_negative: bool = False) -> int | RejectionCode:
    """Return `given` times 10^digits as a whole number, or why it cannot be one.

    Parameters
    ----------
    given
        A JSON number, or a plain decimal text: digits, optionally a point and digits, optionally a minus.
    digits
        Decimal places that are kept, 0 to 8.

    Examples
    --------
    >>> scale("129.90", 4), scale(0.1, 3), scale("0.0005", 3)
    (1299000, 100, 0)
    """
    if isinstance(given, str):
        if len(given) > _TEXT_LIMIT or _PLAIN.fullmatch(given) is None:
            return RejectionCode.INVALID_NUMBER
        exact = Decimal(given)
    elif isinstance(given, int):
        if abs(given) > LARGEST:
            return RejectionCode.OUT_OF_RANGE
        exact = Decimal(given)
    else:
        if not math.isfinite(given) or abs(given) > LARGEST:
            return RejectionCode.OUT_OF_RANGE
        exact = Decimal(repr(given))
    if exact < 0 and not may_be_negative:
        return RejectionCode.NEGATIVE
    scaled = int(_EXACT.scaleb(exact, digits).to_integral_value(context=_EXACT))
    return scaled if abs(scaled) <= LARGEST else RejectionCode.OUT_OF_RANGE


def scale_column(
    column: Sequence[Number | None],
    digits: int,
    *,
    absent: int,
    may_be_negative: bool,
    reject: Callable[[int, RejectionCode], None],
) -> np.ndarray:
    """Return a column of numbers times 10^digits; what cannot be scaled is told to `reject` and left as `absent`.

    Parameters
    ----------
    absent
        What stands where the column holds None.
    reject
        Called with the index in the column and the reason.

    Returns
    -------
    np.ndarray
        int64.
    """
    if None in column:
        scaled = np.full(len(column), absent, np.int64)
        present = [index for index, given in enumerate(column) if given is not None]
        if present:
            given = [column[index] for index in present]
            scaled[present] = scale_column(
                given,
                digits,
                absent=absent,
                may_be_negative=may_be_negative,
                reject=lambda index, code: reject(present[index], code),
            )
        return scaled
    scaled, unsure = _scale_fast(column, digits)  # type: ignore[arg-type]  # no None is left
    for index in np.flatnonzero(unsure).tolist():
        one = scale(column[index], digits, may_be_negative=may_be_negative)  # type: ignore[arg-type]
        if isinstance(one, RejectionCode):
            reject(index, one)
            scaled[index] = absent
        else:
            scaled[index] = one
    if not may_be_negative:
        for index in np.flatnonzero((scaled < 0) & (scaled != absent)).tolist():
            reject(index, RejectionCode.NEGATIVE)
            scaled[index] = absent
    return scaled


def _scale_fast(column: Sequence[Number], digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scaled column, and where it must be done the exact way instead."""
    types = set(map(type, column))
    if types == {str}:
        return _scale_texts(*join_texts(column), digits)  # type: ignore[arg-type]
    everything = np.ones(len(column), bool)
    if str in types:
        return np.zeros(len(column), np.int64), everything
    numbers = np.array(column)
    if numbers.dtype == np.int64:
        limit = LARGEST // 10**digits
        unsure = (numbers > limit) | (numbers < -limit)
        return np.where(unsure, 0, numbers) * 10**digits, unsure
    if numbers.dtype == np.float64:
        unsure = ~(np.abs(numbers) < _SURE / 10**digits)
        scaled = np.where(unsure, 0.0, numbers) * 10.0**digits
        rounded = np.rint(scaled)
        # A near-tie, or something below zero that rounds to nothing: the exact way looks at the digits and the sign.
        unsure |= (np.abs(scaled - rounded) > 0.499) | ((scaled < 0) & (rounded == 0))
        return rounded.astype(np.int64), unsure
    return np.zeros(len(column), np.int64), everything  # whole numbers beyond 64 bits


@njit(cache=True)
def _scale_text(buffer: np.ndarray, start: int, stop: int, digits: int) -> int:
    """Return the text `start:stop` times 10^digits, or NO_VALUE where it needs the exact way (or is no number)."""
    is_negative = stop > start and buffer[start] == 45  # -
    at = start + is_negative
    if stop - at > 14 or stop == at:  # 14 digits and 4 more stay inside int64
        return NO_VALUE
    number, whole, fraction = 0, 0, -1
    for place in range(at, stop):
        byte = byte_at(buffer, place)
        if byte == 46 and fraction < 0:  # .
            fraction = 0
        elif 48 <= byte <= 57:
            number = number * 10 + byte - 48
            if fraction < 0:
                whole += 1
            else:
                fraction += 1
        else:
            return NO_VALUE
    if whole == 0 or fraction == 0 or fraction > digits:
        return NO_VALUE
    for _ in range(digits - max(fraction, 0)):
        number *= 10
    # What rounds to nothing may still be below zero: the exact way looks at the sign.
    if number > LARGEST or (is_negative and number == 0):
        return NO_VALUE
    return -number if is_negative else number


@njit(cache=True)
def _scale_texts(buffer: np.ndarray, ends: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    scaled = np.zeros(ends.size, np.int64)
    unsure = np.zeros(ends.size, np.bool_)
    start = 0
    for index in range(ends.size):
        scaled[index] = _scale_text(buffer, start, ends[index], digits)
        if scaled[index] == NO_VALUE:
            scaled[index] = 0
            unsure[index] = True
        start = ends[index]
    return scaled, unsure
