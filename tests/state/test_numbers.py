"""Exact scaling of numbers against the decimal module."""

import math
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.layout import NO_VALUE
from state.numbers import LARGEST, scale, scale_column
from state.rejections import RejectionCode

texts = st.from_regex(r"-?[0-9]{1,18}(\.[0-9]{1,8})?", fullmatch=True)
ties = st.builds(lambda whole, digits: whole + 0.5 * 10**-digits, st.integers(-(10**6), 10**6), st.integers(0, 5))
floats = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e6, 1e6) | ties
given_numbers = st.integers() | st.integers(-(10**9), 10**9) | floats | texts
columns = st.one_of(
    st.lists(st.none() | given_numbers),
    st.lists(texts),
    st.lists(floats),
    st.lists(st.integers()),
    st.lists(st.integers(0, 10**6) | ties),
)


def oracle(number: float | str, digits: int) -> int | None:
    """Return the scaled number by decimal arithmetic with room for every digit, or None beyond the range."""
    with localcontext(prec=400):
        exact = Decimal(repr(number) if isinstance(number, float) else number)
        scaled = int((exact * 10**digits).to_integral_value(ROUND_HALF_EVEN))
    return scaled if abs(scaled) <= LARGEST else None


def scaled_and_refused(column, digits, *, may_be_negative=True):
    """Return the scaled column as a list, and what was refused: index → code."""
    refused = {}
    scaled = scale_column(column, digits, absent=NO_VALUE, may_be_negative=may_be_negative, reject=refused.__setitem__)
    return scaled.tolist(), refused


@given(columns, st.sampled_from([0, 3, 4]))
def test_a_column_equals_decimal_arithmetic(column, digits):
    """Whatever the mixture, each number is its shortest decimal form, rounded half to even, or out of range."""
    expected = [None if number is None else oracle(number, digits) for number in column]
    scaled, refused = scaled_and_refused(column, digits)
    assert scaled == [NO_VALUE if number is None else number for number in expected]
    out = {
        index
        for index, (number, wanted) in enumerate(zip(column, expected, strict=True))
        if number is not None and wanted is None
    }
    assert refused == dict.fromkeys(out, RejectionCode.OUT_OF_RANGE)


@given(columns, st.sampled_from([3, 4]), st.booleans())
def test_a_column_equals_its_numbers_one_by_one(column, digits, may_be_negative):
    """The fast ways and the exact way give one verdict."""
    scaled, refused = scaled_and_refused(column, digits, may_be_negative=may_be_negative)
    for index, number in enumerate(column):
        if number is None:
            continue
        alone = scale(number, digits, may_be_negative=may_be_negative)
        if isinstance(alone, RejectionCode):
            assert refused[index] == alone
        else:
            assert scaled[index] == alone


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("129.90", 1_299_000),
        (129.9, 1_299_000),
        (0.1 + 0.2, 3000),
        (1e-7, 0),
        ("0.00005", 0),
        ("0.00015", 2),
        (0.00015, 2),
        (-0.0, 0),
        ("-0", 0),
        ("007", 70_000),
        (900_719_925_474, 9_007_199_254_740_000),
    ],
)
def test_amounts(number, expected):
    """Amounts keep ten-thousandths exactly; a tie goes to the even one."""
    assert scale(number, 4) == expected


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "INVALID_NUMBER"),
        ("1,5", "INVALID_NUMBER"),
        ("1e3", "INVALID_NUMBER"),
        ("+1", "INVALID_NUMBER"),
        (".5", "INVALID_NUMBER"),
        ("5.", "INVALID_NUMBER"),
        (" 1", "INVALID_NUMBER"),
        ("1\n", "INVALID_NUMBER"),
        ("NaN", "INVALID_NUMBER"),
        ("Infinity", "INVALID_NUMBER"),
        ("\uff11", "INVALID_NUMBER"),
        ("1_000", "INVALID_NUMBER"),
        ("1" * 65, "INVALID_NUMBER"),
        ("-0.00001", "NEGATIVE"),
        (-1, "NEGATIVE"),
        (-1e-9, "NEGATIVE"),
        (math.inf, "OUT_OF_RANGE"),
        (math.nan, "OUT_OF_RANGE"),
        (1e308, "OUT_OF_RANGE"),
        (10**30, "OUT_OF_RANGE"),
        ("9" * 30, "OUT_OF_RANGE"),
        (-(2**63), "OUT_OF_RANGE"),
    ],
)
def test_refused_amounts(number, code):
    """Only plain decimals within the countable range are amounts, alone and in a column."""
    assert scale(number, 4) == code
    assert scaled_and_refused([number, number], 4, may_be_negative=False)[1] == {0: code, 1: code}
