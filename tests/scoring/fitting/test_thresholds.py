"""Thresholds for a number of calls: entries are counted with the gap that bands have."""

import numpy as np

from scoring.fitting.thresholds import threshold_for


def test_entries_count_with_the_gap() -> None:
    """An account that wobbles inside the gap enters once, not at every step.

    health   60 48 52 48 52 70 48 70 …    enter below 50, leave above 55: in at 48, out at 70, in again
    """
    health = np.array([60.0, 48, 52, 48, 52, 70, 48, *[70] * 13])
    steps, accounts = np.arange(20), np.zeros(20, int)
    happened = (steps == 4).astype(float)
    found = threshold_for(health, accounts, steps, happened, 5.0, 2 / 20)
    assert found is not None
    assert (found.entries_per_step, found.captured_ratio) == (2 / 20, 1.0)
    assert 48 < found.enter_below <= 70
    lower = threshold_for(health, accounts, steps, happened, 5.0, 1 / 20)
    assert (lower.enter_below, lower.entries_per_step) == (48, 0.0)


def test_a_bigger_budget_never_gives_a_lower_threshold() -> None:
    """More calls reach further up."""
    chance = np.random.default_rng(2)
    health = np.clip(chance.normal(70, 15, 2_000), 0, 100)
    accounts, steps = np.repeat(np.arange(100), 20), np.tile(np.arange(20), 100)
    happened = (chance.random(2_000) < 0.05).astype(float)
    found = [threshold_for(health, accounts, steps, happened, 8.0, budget) for budget in (1.0, 3.0, 10.0)]
    assert [each.enter_below for each in found] == sorted(each.enter_below for each in found)
    assert all(each.entries_per_step <= budget for each, budget in zip(found, (1.0, 3.0, 10.0), strict=True))


def test_no_threshold_keeps_within_too_small_a_budget() -> None:
    """Where even the lowest is entered too often there is no proposal."""
    health = np.tile([0.0, 100.0, 100.0], 50)
    found = threshold_for(health, np.zeros(150, int), np.arange(150), np.zeros(150), 5.0, 0.1)
    assert found is None
