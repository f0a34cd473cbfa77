"""From a row to numbers: every value of the model at one instant, and the range it can take until midnight.

Within one UTC day, and without events, a value moves only because time passes. `value_bounds` gives limits that hold
for every instant between two times of the same day; `state.advance` uses them to skip grid points that cannot change
anything.
"""

import math

from numba import njit

from scoring import plan as p
from scoring import trajectory
from scoring.plan import Plan
from state.layout import (
    CHAMPION,
    CONTACTS,
    CONTRACT_START,
    DAY,
    DAY_MS,
    DECAYS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    EXECUTIVE,
    FIRST_AT,
    LAST_AT,
    LAST_VALUE,
    NO_VALUE,
    OPEN_COUNT,
    OPEN_OLDEST,
    OUTCOME_NARRATIVE,
    RELATIONSHIP_AT,
    RENEWAL_AT,
    SEATS,
    SIGNAL_COLUMNS,
    STRATEGIC_FIT,
    SUMS,
    TILE_DAYS,
    TOPICS_SEEN,
)
from state.rows import Rows
from state.tiles import WINDOW_DAYS, tile

MONTH_WINDOW = 2
"""Index of the 30-day window, over which the use of seats is counted."""


@njit(cache=True)
def decayed_rate(plan: Plan, rows: Rows, row: int, signal: int, decay: int, at_ms: int) -> float:
    """Return a signal's exponentially decayed rate per day at an instant of the row's day; decay 0-2 is 7, 28, 90 days.

    Weights fall by whole days and the history's length bounds the weights, so a new account is not taken for a quiet one.
    """
    day = rows.derived[row, DAY]
    slot = plan.signals[signal, p.SIGNAL_DECAY] * DECAYS + decay
    elapsed = (at_ms - day * DAY_MS) / DAY_MS
    first_at = rows.ints[row, FIRST_AT]
    first_day = first_at // DAY_MS
    weight = elapsed
    if first_day < day:
        sealed = min(day - first_day, TILE_DAYS - 1)
        weight += plan.decay_total[decay, sealed]
        if day - first_day <= TILE_DAYS - 1:
            weight -= plan.decay_power[decay, sealed] * (first_at - first_day * DAY_MS) / DAY_MS
    else:
        weight -= (first_at - first_day * DAY_MS) / DAY_MS
    amount = rows.decays[row, slot] + tile(plan, rows, row, signal, day)
    return amount / plan.unit[signal] / max(weight, trajectory.MINIMUM_EXPOSURE_DAYS)


@njit(cache=True)
def window_exposure(rows: Rows, row: int, window: int, at_ms: int) -> float:
    """Return the days a window really covers at an instant of the row's day."""
    elapsed = (at_ms - rows.derived[row, DAY] * DAY_MS) / DAY_MS
    return trajectory.exposure_days(WINDOW_DAYS[window], elapsed, (at_ms - rows.ints[row, FIRST_AT]) / DAY_MS)


@njit(cache=True)
def attribute(rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return an attribute as a number (see `scoring.plan`), NaN where it is not known."""
    if which == p.ATTRIBUTE_DAYS_TO_RENEWAL:
        at = rows.ints[row, RENEWAL_AT]
        return math.nan if at == NO_VALUE else (at - at_ms) / DAY_MS
    if which == p.ATTRIBUTE_DAYS_SINCE_START:
        started_at = rows.ints[row, CONTRACT_START]
        return (at_ms - (rows.ints[row, FIRST_AT] if started_at == NO_VALUE else started_at)) / DAY_MS
    column = CHAMPION
    unit = 1.0
    if which == p.ATTRIBUTE_EXECUTIVE:
        column = EXECUTIVE
    elif which == p.ATTRIBUTE_OUTCOME:
        column = OUTCOME_NARRATIVE
    elif which == p.ATTRIBUTE_CONTACTS:
        column = CONTACTS
    elif which == p.ATTRIBUTE_STRATEGIC_FIT:
        column = STRATEGIC_FIT
        unit = 1e6
    number = rows.ints[row, column]
    return math.nan if number == NO_VALUE else number / unit


@njit(cache=True)
def value_at(plan: Plan, rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return value number `which` at an instant of the row's day (or that day's end), NaN where there is no data."""
    kind = plan.values[which, p.VALUE_KIND]
    signal = plan.values[which, p.VALUE_SIGNAL]
    if kind == p.VALUE_ATTRIBUTE:
        if signal == p.ATTRIBUTE_SEAT_USE:
            seats = rows.ints[row, SEATS]
            users = plan.values[which, p.VALUE_OTHER]
            if seats <= 0 or users < 0:
                return math.nan
            used = rows.derived[row, DERIVED_FIXED + users * DERIVED_SIGNAL + SUMS + MONTH_WINDOW]
            return used / seats
        return attribute(rows, row, signal, at_ms)
    if rows.ints[row, TOPICS_SEEN] >> plan.signals[signal, p.SIGNAL_TOPIC] & 1 == 0:
        return math.nan
    base = DERIVED_FIXED + signal * DERIVED_SIGNAL
    if kind == p.VALUE_OPEN:
        return float(rows.derived[row, base + OPEN_COUNT])
    if kind == p.VALUE_AGE:
        oldest = rows.derived[row, base + OPEN_OLDEST]
        return 0.0 if oldest == NO_VALUE else max((at_ms - oldest) / DAY_MS, 0.0)
    window = plan.values[which, p.VALUE_WINDOW]
    if kind == p.VALUE_SUM:
        return rows.derived[row, base + SUMS + window] / plan.unit[signal]
    if kind == p.VALUE_SHARE:
        other = plan.values[which, p.VALUE_OTHER]
        whole = rows.derived[row, DERIVED_FIXED + other * DERIVED_SIGNAL + SUMS + window] / plan.unit[other]
        return math.nan if whole == 0.0 else rows.derived[row, base + SUMS + window] / plan.unit[signal] / whole
    block = plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS
    last_at = rows.ints[row, block + LAST_AT]
    if last_at == NO_VALUE:
        return math.nan
    if kind == p.VALUE_LAST:
        last_value = rows.ints[row, block + LAST_VALUE]
        return math.nan if last_value == NO_VALUE else last_value / plan.unit[signal]
    if kind == p.VALUE_DAYS_SINCE:
        return max((at_ms - last_at) / DAY_MS, 0.0)
    if kind == p.VALUE_RATE:
        total = rows.derived[row, base + SUMS + window] / plan.unit[signal]
        return total / window_exposure(rows, row, window, at_ms)
    if kind == p.VALUE_RATIO:
        longer = plan.values[which, p.VALUE_LONG_WINDOW]
        long_total = rows.derived[row, base + SUMS + longer]
        if long_total == 0:
            return math.nan
        ratio = rows.derived[row, base + SUMS + window] / long_total
        return ratio * window_exposure(rows, row, longer, at_ms) / window_exposure(rows, row, window, at_ms)
    fast = decayed_rate(plan, rows, row, signal, 0, at_ms)
    if kind == p.VALUE_LEVEL:
        return fast
    slow = decayed_rate(plan, rows, row, signal, 2, at_ms)
    if kind == p.VALUE_MOMENTUM:
        return trajectory.momentum(fast, slow)
    if kind == p.VALUE_SURPRISE:
        return trajectory.surprise(fast, slow, plan.dispersion[signal])
    return trajectory.silence(slow, max(at_ms - last_at, 0) / DAY_MS, plan.dispersion[signal])


@njit(cache=True)
def value_bounds(plan: Plan, rows: Rows, row: int, which: int, start_ms: int, end_ms: int) -> tuple[float, float]:
    """Return limits of a value over all instants of ``[start, end]``, which lie in the row's day; NaN where no data.

    Every value but two is monotone within a day: numerators stand still and denominators grow in a line, so the ends
    are the extremes. `surprise` is bounded by the extremes of its two rates, `silence` by those of its two factors.
    """
    kind = plan.values[which, p.VALUE_KIND]
    signal = plan.values[which, p.VALUE_SIGNAL]
    if kind == p.VALUE_SURPRISE or kind == p.VALUE_SILENCE:
        last_at = rows.ints[row, plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT]
        if last_at == NO_VALUE:
            return math.nan, math.nan
        dispersion = plan.dispersion[signal]
        slow_most = decayed_rate(plan, rows, row, signal, 2, start_ms)
        slow_least = decayed_rate(plan, rows, row, signal, 2, end_ms)
        if kind == p.VALUE_SILENCE:
            least = trajectory.silence(slow_least, max(start_ms - last_at, 0) / DAY_MS, dispersion)
            return least, trajectory.silence(slow_most, max(end_ms - last_at, 0) / DAY_MS, dispersion)
        fast_most = decayed_rate(plan, rows, row, signal, 0, start_ms)
        fast_least = decayed_rate(plan, rows, row, signal, 0, end_ms)
        # Of (fast - slow)/sqrt(slow) both parts fall as slow grows.
        low = min(
            trajectory.surprise(fast_least, slow_most, dispersion),
            trajectory.surprise(fast_least, slow_least, dispersion),
        )
        high = max(
            trajectory.surprise(fast_most, slow_least, dispersion),
            trajectory.surprise(fast_most, slow_most, dispersion),
        )
        return low, high
    first = value_at(plan, rows, row, which, start_ms)
    last = value_at(plan, rows, row, which, end_ms)
    return min(first, last), max(first, last)


@njit(cache=True)
def validity(plan: Plan, rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return how much a hand-entered fact still counts: 1 until its validity ends, then in a line to 0 after twice that."""
    valid_for = plan.inputs[which, p.INPUT_VALID_FOR]
    if valid_for == 0:
        return 1.0
    stated_at = rows.ints[row, RELATIONSHIP_AT]
    if stated_at == NO_VALUE:
        return 0.0
    return min(max(2.0 - (at_ms - stated_at) / valid_for, 0.0), 1.0)
