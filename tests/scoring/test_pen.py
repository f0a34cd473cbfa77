"""Numbers and times as bytes, held against Python's own."""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.jit import entry
from scoring.pen import put_brief, put_number, put_rounded, put_time, put_units, put_whole
from state.moments import rfc3339


@entry
def _number(buffer: Any, number: float) -> int:
    return put_number(buffer, 0, number)


@entry
def _whole(buffer: Any, number: int) -> int:
    return put_whole(buffer, 0, number)


@entry
def _units(buffer: Any, units: int, decimals: int) -> int:
    return put_units(buffer, 0, units, decimals)


@entry
def _rounded(buffer: Any, number: float, decimals: int) -> int:
    return put_rounded(buffer, 0, number, decimals)


@entry
def _brief(buffer: Any, number: float) -> int:
    return put_brief(buffer, 0, number)


@entry
def _time(buffer: Any, at_ms: int) -> int:
    return put_time(buffer, 0, at_ms)


def written(write: Callable[..., int], *given: float) -> str:
    """Return what a function writes."""
    buffer = np.zeros(64, np.uint8)
    return buffer[: write(buffer, *given)].tobytes().decode()


@settings(deadline=None)
@given(st.floats(-1e9, 1e9))
@example(0.0)
@example(-1e-9)
@example(1e-6)
@example(12.5)
def test_number_reads_back_to_a_millionth(number):
    """What is written is JSON, at most half a millionth (and the float's own error) away, and has no idle zeros."""
    text = written(_number, number)
    assert abs(orjson.loads(text) - number) <= 0.5e-6 + 1e-15 * abs(number)
    assert text == f"{orjson.loads(text):.6f}".rstrip("0") + ("0" if float(text) == int(float(text)) else "")


def test_nan_is_null():
    """A number that is not known is null."""
    assert written(_number, math.nan) == "null"


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62))
def test_whole_number_is_as_python_writes_it(number):
    """Whole numbers of either sign equal Python's text."""
    assert written(_whole, number) == str(number)


@settings(deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(1, 6))
def test_units_are_exact(units, decimals):
    """A count of decimal units is written without any rounding."""
    assert Decimal(written(_units, units, decimals)) == Decimal(units).scaleb(-decimals)


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(0, 3))
def test_rounded_for_people(eighths, decimals):
    """Eighths, which floats hold exactly, round half away from 0 to the wanted decimals; 0 has no sign."""
    wanted = Decimal(eighths) / 8
    wanted = wanted.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    assert written(_rounded, eighths / 8, decimals) == (f"{wanted:f}" if wanted else f"{abs(wanted):f}")


@settings(deadline=None)
@given(st.floats(1e-3, 1e6))
def test_brief_keeps_four_digits(number):
    """Four significant digits are kept, all digits before the point are, and nothing idle stands at the end."""
    text = written(_brief, number)
    assert abs(float(text) - number) <= max(0.5, 0.51e-3 * number) if number >= 1000 else 0.51e-3 * number
    assert "." not in text or text[-1] not in "0."


@settings(deadline=None)
@given(st.integers(0, 253_402_300_799_999))
@example(0)
@example(951_782_400_000)  # 2000-02-29
@example(4_107_542_399_999)  # 2100-02-28, no leap year
def test_time_equals_the_calendar(at_ms):
    """Every instant to the year 9999 reads as the calendar has it."""
    assert written(_time, at_ms) == rfc3339(at_ms)
