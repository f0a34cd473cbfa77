"""What the bands said before an outcome.

days before   5 4 3 2 1 0
first         g g y y r r     left green 4 days before: columns run the other way, the nearest first
second        g y g g g g     a yellow day that passed is no warning
third         - g i r r r     insufficient data is no warning either
"""

import numpy as np

from scoring.backtest.warning import INSUFFICIENT, UNSEEN, band_shares, confusion, lead_days, lead_time

NAMES = ("red", "yellow", "green")
RED, YELLOW, GREEN = range(3)
BANDS = np.array(
    [
        [RED, RED, YELLOW, YELLOW, GREEN, GREEN],
        [GREEN, GREEN, GREEN, GREEN, YELLOW, GREEN],
        [RED, RED, RED, INSUFFICIENT, GREEN, UNSEEN],
    ],
    np.int8,
)


def test_lead_time_counts_the_days_since_green_was_left_for_good() -> None:
    """Only the last unbroken stretch outside green is a warning."""
    assert lead_days(BANDS, GREEN).tolist() == [4, 0, 3]


def test_a_warning_older_than_the_look_back_counts_as_just_that_long() -> None:
    """An account that was red all the time was warned for at least the whole stretch."""
    assert lead_days(np.zeros((1, 6), np.int8), GREEN).tolist() == [6]


def test_confusion_counts_each_outcome_in_one_band() -> None:
    """Bands, insufficient data and not yet seen add up to the outcomes of the kind."""
    found = confusion(BANDS, ("churned", "renewed", "churned"), NAMES, 5)
    assert found["churned"] == {"red": 0, "yellow": 0, "green": 1, "insufficient_data": 0, "not_seen_yet": 1}
    assert found["renewed"] == {"red": 0, "yellow": 0, "green": 1, "insufficient_data": 0, "not_seen_yet": 0}
    assert confusion(BANDS, ("churned", "renewed", "churned"), NAMES, 3)["churned"]["insufficient_data"] == 1


def test_lead_time_speaks_of_those_who_were_warned() -> None:
    """Median over the warned, shares over all."""
    found = lead_time(np.array([0, 10, 20, 40]))
    assert (found["outcomes"], found["warned"], found["median_days"]) == (4, 3, 20.0)
    assert found["warned_ratio_by_days"]["14"] == 0.5
    assert lead_time(np.empty(0, np.int64))["median_days"] is None


def test_shares_are_of_the_accounts_that_had_a_band() -> None:
    """Day 0 and day 5: insufficient and unseen are left out of the whole."""
    found = band_shares(BANDS, NAMES)
    assert found["red"] == [2 / 3, 0.0]
    assert found["green"] == [1 / 3, 1.0]
