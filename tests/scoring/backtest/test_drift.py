"""The stability index: nothing where nothing moved, the textbook's sum where it did."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.backtest.drift import stability, stability_of_counts, verdict


def test_the_same_numbers_have_not_moved() -> None:
    """A sample against itself is 0, against another of the same source next to nothing."""
    chance = np.random.default_rng(1)
    one, other = chance.normal(0, 1, 5_000), chance.normal(0, 1, 5_000)
    assert stability(one, one) == 0.0
    assert verdict(stability(one, other)) == "steady"


def test_a_known_shift_has_the_textbooks_index() -> None:
    """Half of the rows at 0 and half at 1, later a quarter and three: 0.25 log 1.5 + 0.25 log 2 in two bins."""
    before = np.repeat([0.0, 1.0], 100)
    after = np.repeat([0.0, 1.0], [50, 150])
    assert stability(before, after) == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5))
    assert verdict(stability(before, after)) == "moved"


def test_data_that_goes_missing_has_moved() -> None:
    """No data is a bin of its own: an input that falls silent shows."""
    values = np.random.default_rng(2).normal(0, 1, 400)
    silent = values.copy()
    silent[:200] = np.nan
    assert verdict(stability(values, silent)) == "moved"


def test_too_few_rows_say_nothing() -> None:
    """Under fifty rows there is no index."""
    assert stability(np.zeros(49), np.zeros(500)) is None
    assert verdict(None) == "unknown"


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_the_index_is_never_negative(seed: int, before: int, after: int) -> None:
    """Whatever the samples, however many values they share."""
    chance = np.random.default_rng(seed)
    samples = [chance.integers(0, values, int(chance.integers(50, 90))).astype(float) for values in (before, after)]
    assert stability(*samples) >= -1e-12


@given(st.lists(st.integers(0, 11), min_size=50, max_size=90), st.lists(st.integers(0, 11), min_size=50, max_size=90))
def test_counts_give_the_index_of_the_values_counted(one: list[int], other: list[int]) -> None:
    """Of values that are whole steps, nothing is lost by counting them."""
    counts = [np.bincount(np.array(each), minlength=12) for each in (one, other)]
    values = [np.array(each, float) for each in (one, other)]
    assert stability_of_counts(*counts) == pytest.approx(stability(*values))


def test_few_counts_say_nothing() -> None:
    """As with few values."""
    assert stability_of_counts(np.array([25, 24]), np.array([250, 250])) is None
