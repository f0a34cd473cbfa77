"""Whole numbers as bytes: every 64-bit number comes back, and the usual ones are short."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit

from state import varint
from state.layout import NEVER, NO_VALUE
from state.varint import MAXIMUM_BYTES

# What is inlined has no door for Python; these are theirs.
put = njit(varint.put.py_func)
take = njit(varint.take.py_func)
put_hash = njit(varint.put_hash.py_func)
take_hash = njit(varint.take_hash.py_func)


@given(number=st.integers(-(2**63), 2**63 - 1), place=st.integers(0, 5))
@example(number=NO_VALUE, place=0)
@example(number=NO_VALUE + 1, place=0)
@example(number=2**63 - 1, place=0)
@example(number=NEVER, place=0)
@settings(max_examples=500, deadline=None)
def test_every_number_comes_back(number, place):
    """Reading gives what was written and the place after it, within ten bytes."""
    buffer = np.full(place + MAXIMUM_BYTES, 255, np.uint8)
    end = put(buffer, place, number)
    assert end - place <= MAXIMUM_BYTES
    assert take(buffer, place) == (number, end)


@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
@settings(max_examples=200, deadline=None)
def test_numbers_stand_one_after_the_other(numbers):
    """No length is written: each number tells its own end."""
    buffer = np.zeros(MAXIMUM_BYTES * len(numbers) + 1, np.uint8)
    end = 0
    for number in numbers:
        end = put(buffer, end, number)
    place, found = 0, []
    for _ in numbers:
        number, place = take(buffer, place)
        found.append(number)
    assert (found, place) == (numbers, end)


@pytest.mark.parametrize(
    ("number", "length"), [(NO_VALUE, 1), (0, 1), (-1, 1), (62, 1), (-63, 1), (63, 1), (64, 2), (-64, 2)]
)
def test_small_numbers_are_short(number, length):
    """The absent value and numbers of either sign near 0 take one byte."""
    assert put(np.zeros(MAXIMUM_BYTES, np.uint8), 0, number) == length


@given(number=st.integers(0, 2**64 - 1))
@settings(max_examples=200, deadline=None)
def test_every_hash_comes_back(number):
    """A hash is eight bytes, whatever its bits."""
    buffer = np.zeros(8, np.uint8)
    assert put_hash(buffer, 0, np.uint64(number)) == 8
    assert take_hash(buffer, 0) == (number, 8)
