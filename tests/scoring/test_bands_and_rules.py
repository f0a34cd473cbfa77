"""Bands with hysteresis and the life cycle of rules, as tables and as laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.bands import INSUFFICIENT, band_of, dwell_of
from scoring.lifecycle import (
    ACKNOWLEDGED,
    CLEARING,
    FIRING,
    INACTIVE,
    MOVES,
    NO_MOVE,
    PENDING,
    RESOLVED,
    SNOOZED,
    due_at,
    next_state,
)

ENTER, LEAVE = np.array([40.0, 65.0]), np.array([45.0, 70.0])
DWELL = np.array([24, 48])
NEVER = 2**62


@pytest.mark.parametrize(
    ("health", "current", "wanted"),
    [
        (39.999999, 2, 0),
        (40.0, 2, 1),
        (44.999999, 0, 0),
        (45.0, 0, 1),
        (64.999999, 2, 1),
        (65.0, 2, 2),
        (69.999999, 1, 1),
        (70.0, 1, 2),
        (100.0, 0, 2),
        (42.0, INSUFFICIENT, 1),
        (66.0, INSUFFICIENT, 2),
    ],
)
def test_band_a_health_asks_for(health, current, wanted):
    """Entered below one threshold, left at or above a higher one; without a band the entrances decide."""
    assert band_of(health, current, ENTER, LEAVE) == wanted


@given(current=st.integers(0, 2), healths=st.lists(st.floats(0, 100), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_band_asked_for_is_at_rest(current, healths):
    """Once in the band a health asks for, the same health asks for no other."""
    for health in healths:
        current = band_of(health, current, ENTER, LEAVE)
        assert band_of(health, current, ENTER, LEAVE) == current


@given(noise=st.lists(st.floats(0, 0.999999), max_size=30), band=st.integers(0, 1), side=st.booleans())
@settings(max_examples=200, deadline=None)
def test_nothing_flaps_inside_a_gap(noise, band, side):
    """While health stays between a band's two thresholds, an account stays on the side it came from."""
    current = band if side else band + 1
    for share in noise:
        assert band_of(ENTER[band] + share * (LEAVE[band] - ENTER[band]), current, ENTER, LEAVE) == current


def test_dwell_is_that_of_the_worse_band():
    """Leaving red and entering red wait equally long."""
    assert [dwell_of(0, 2, DWELL), dwell_of(2, 0, DWELL), dwell_of(1, 2, DWELL)] == [24, 24, 48]


@pytest.mark.parametrize(
    ("state", "is_true", "now", "wanted"),
    [
        (INACTIVE, False, 0, NO_MOVE),
        (INACTIVE, True, 49, NO_MOVE),
        (INACTIVE, True, 50, PENDING),
        (PENDING, False, 9, INACTIVE),
        (PENDING, True, 9, NO_MOVE),
        (PENDING, True, 10, FIRING),
        (FIRING, True, 99, NO_MOVE),
        (FIRING, False, 99, CLEARING),
        (ACKNOWLEDGED, True, 99, NO_MOVE),
        (ACKNOWLEDGED, False, 99, CLEARING),
        (SNOOZED, True, 49, NO_MOVE),
        (SNOOZED, True, 50, FIRING),
        (SNOOZED, False, 50, CLEARING),
        (CLEARING, True, 5, FIRING),
        (CLEARING, False, 19, NO_MOVE),
        (CLEARING, False, 20, RESOLVED),
    ],
)
def test_every_move_of_the_table(state, is_true, now, wanted):
    """A rule with `for` 10 and `keep_firing_for` 20, in its state since 0, snoozed or resting until 50."""
    assert next_state(state, is_true, now, 0, 50, 10, 20, False, False) == wanted


@pytest.mark.parametrize(("state", "is_true", "wanted"), [(INACTIVE, True, FIRING), (FIRING, False, RESOLVED)])
def test_without_durations_moves_are_direct(state, is_true, wanted):
    """With no `for` nothing is pending, with no `keep_firing_for` nothing clears."""
    assert next_state(state, is_true, 0, 0, 0, 0, 0, False, False) == wanted


@given(
    state=st.integers(INACTIVE, CLEARING),
    is_true=st.booleans(),
    times=st.tuples(*[st.integers(0, 6)] * 5),
    is_muted=st.booleans(),
    is_flapping=st.booleans(),
)
@settings(max_examples=2000, deadline=None)
def test_the_compiled_life_is_that_of_the_table(state, is_true, times, is_muted, is_flapping):
    """`MOVES` is the specification: the first line whose guards all hold is what `next_state` answers."""
    now, since, until, for_ms, keep_ms = times
    guards = {
        "true": is_true,
        "false": not is_true,
        "rested": now >= until,
        "snooze over": now >= until,
        "for": for_ms > 0,
        "no for": for_ms == 0,
        "true for so long": is_true and now >= since + for_ms,
        "false for so long": not is_true and now >= since + keep_ms,
        "keep_firing_for or flapping": keep_ms > 0 or is_flapping,
        "neither": keep_ms == 0 and not is_flapping,
        "not muted": not is_muted,
        "not flapping": not is_flapping,
    }
    lines = [end for start, names, end in MOVES if start == state and all(guards[name] for name in names)]
    wanted = lines[0] if lines else NO_MOVE
    assert next_state(state, is_true, now, since, until, for_ms, keep_ms, is_muted, is_flapping) == wanted


@given(
    state=st.integers(INACTIVE, CLEARING),
    is_true=st.booleans(),
    since=st.integers(0, 100),
    until=st.integers(0, 100),
    for_ms=st.integers(0, 100),
    keep_ms=st.integers(0, 100),
    now=st.integers(0, 300),
)
@settings(max_examples=300, deadline=None)
def test_a_state_moves_by_time_only_when_it_is_due(state, is_true, since, until, for_ms, keep_ms, now):
    """With the same truth, the answer changes only where `due_at` says that a timer ends."""
    at_start = next_state(state, is_true, since, since, until, for_ms, keep_ms, False, False)
    due = due_at(state, since, until, for_ms, keep_ms, NEVER)
    if since <= now < due:
        later = next_state(state, is_true, now, since, until, for_ms, keep_ms, False, False)
        assert later == at_start or since >= due
