"""From a row to numbers: every value of the model at one instant of the row's day."""

import math

from scoring import plan as p
from scoring import trajectory
from scoring.jit import inlined, part
from scoring.plan import Plan
from state.births import known_since
from state.layout import (
    BURST,
    CHAMPION,
    CONTACTS,
    CONTRACT_START,
    DAY,
    DAY_MS,
    DECAY_COLUMNS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    EXECUTIVE,
    FIRST_AT,
    LAST_AT,
    LAST_VALUE,
    MICRO,
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
from state.relative import relative_value
from state.rows import Rows
from state.tiles import WINDOW_DAYS, decayed, tile
from state.work import Work

MONTH_WINDOW = 2
"""Index of the 30-day window, over which the use of seats is counted."""


@inlined
def recent_rate(plan: Plan, rows: Rows, row: int, signal: int, at_ms: int) -> float:
    """Return a signal's rate per day decayed over 7 days, at an instant of the row's day.

    Weights fall by whole days, and the length of the history bounds them, so a new account is not taken for a quiet one.
    """
    day = rows.derived[row, DAY]
    first_at = known_since(plan, rows, row, signal)
    first_day = first_at // DAY_MS
    weight = (at_ms - day * DAY_MS) / DAY_MS
    missing = (first_at - first_day * DAY_MS) / DAY_MS
    sealed = day - first_day
    if sealed > 0:
        weight += plan.decay_total[0, min(sealed, TILE_DAYS - 1)]
        missing *= plan.decay_power[0, sealed] if sealed < TILE_DAYS else 0.0
    amount = decayed(plan, rows, row, signal, 0) + tile(plan, rows, row, signal, day)
    return amount / plan.unit[signal] / max(weight - missing, trajectory.MINIMUM_EXPOSURE_DAYS)


@inlined
def habit_rate(plan: Plan, rows: Rows, row: int, signal: int, last_at: int, at_ms: int) -> float:
    """Return a signal's rate per day decayed over 90 days, as it stood on the last day the signal spoke.

    Silence does not wear the habit down, or a dead account would soon look as usual again: the weights count back from
    the day of the last event, so within a silence the habit stands still.
    """
    day = rows.derived[row, DAY]
    first_at = known_since(plan, rows, row, signal)
    first_day = first_at // DAY_MS
    quiet = max(day - last_at // DAY_MS, 0)
    amount = decayed(plan, rows, row, signal, 2)
    sealed = min(day - first_day, TILE_DAYS - 1) - quiet
    weight = plan.decay_total[2, sealed] if sealed > 0 else 0.0
    missing = (first_at - first_day * DAY_MS) / DAY_MS
    if day - first_day < TILE_DAYS and sealed > 0:
        missing *= plan.decay_power[2, sealed]
    elif sealed > 0:
        missing = 0.0
    if quiet > 0:
        amount /= plan.decay_power[2, quiet]
        weight += 1.0
    else:
        amount += tile(plan, rows, row, signal, day)
        weight += (at_ms - day * DAY_MS) / DAY_MS
    return amount / plan.unit[signal] / max(weight - missing, trajectory.HABIT_MINIMUM_DAYS)


@inlined
def dispersion_of(plan: Plan, rows: Rows, row: int, signal: int, habit: float) -> float:
    """Return how bursty a signal is: the model's dispersion, or the account's own variance over mean where greater."""
    burst = rows.decays[row, plan.signals[signal, p.SIGNAL_DECAY] * DECAY_COLUMNS + BURST] / plan.unit[signal]
    return max(plan.dispersion[signal], burst - habit)


@inlined
def window_exposure(plan: Plan, rows: Rows, row: int, signal: int, window: int, at_ms: int) -> float:
    """Return the days a window really covers at an instant of the row's day, for a signal."""
    elapsed = (at_ms - rows.derived[row, DAY] * DAY_MS) / DAY_MS
    known_days = (at_ms - known_since(plan, rows, row, signal)) / DAY_MS
    return trajectory.exposure_days(WINDOW_DAYS[window], elapsed, known_days)


@inlined
def attribute(rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return an attribute as a number (see `scoring.plan`), NaN where it is not known."""
    if which == p.ATTRIBUTE_DAYS_TO_RENEWAL:
        at = rows.ints[row, RENEWAL_AT]
        return math.nan if at == NO_VALUE else (at - at_ms) / DAY_MS
    if which == p.ATTRIBUTE_DAYS_SINCE_START:
        started_at = rows.ints[row, CONTRACT_START]
        if started_at == NO_VALUE:
            started_at = rows.ints[row, FIRST_AT]
        return math.nan if started_at == NO_VALUE else (at_ms - started_at) / DAY_MS
    if which == p.ATTRIBUTE_UNCONFIRMED:
        stated_at = rows.ints[row, RELATIONSHIP_AT]
        if stated_at == NO_VALUE:
            stated_at = rows.ints[row, FIRST_AT]
        return math.nan if stated_at == NO_VALUE else max((at_ms - stated_at) / DAY_MS, 0.0)
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
    elif which == p.ATTRIBUTE_SEATS:
        column = SEATS
    elif which == p.ATTRIBUTE_CONFIRMED:
        stated_at = rows.ints[row, RELATIONSHIP_AT]
        return math.nan if stated_at == NO_VALUE else max((at_ms - stated_at) / DAY_MS, 0.0)
    number = rows.ints[row, column]
    return math.nan if number == NO_VALUE else number / unit


@inlined
def has_spoken(plan: Plan, rows: Rows, row: int, signal: int) -> bool:
    """Return whether the account ever sent an event on the signal's topic: without one there is no data, not 0."""
    return rows.ints[row, TOPICS_SEEN] >> plan.signals[signal, p.SIGNAL_TOPIC] & 1 != 0


@part
def recent_sum(plan: Plan, rows: Rows, row: int, signal: int, window: int, at_ms: int) -> float:
    """Return a signal's sum over a window; over the last 24 hours it is today's and what they leave of yesterday's."""
    if window != p.A_DAY:
        return rows.derived[row, DERIVED_FIXED + signal * DERIVED_SIGNAL + SUMS + window] / plan.unit[signal]
    day = rows.derived[row, DAY]
    left = 1.0 - (at_ms - day * DAY_MS) / DAY_MS
    amount = tile(plan, rows, row, signal, day) + left * tile(plan, rows, row, signal, day - 1)
    return amount / plan.unit[signal]


@part
def burn_rate(plan: Plan, rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return how many times its budget is spent over both windows of a value, NaN where the slow one holds nothing."""
    bad = plan.values[which, p.VALUE_SIGNAL]
    every = plan.values[which, p.VALUE_OTHER]
    slow = plan.values[which, p.VALUE_LONG_WINDOW]
    fast = plan.values[which, p.VALUE_WINDOW]
    whole = recent_sum(plan, rows, row, every, slow, at_ms)
    if whole <= 0.0:
        return math.nan
    spent = recent_sum(plan, rows, row, bad, slow, at_ms) / whole
    lately = recent_sum(plan, rows, row, every, fast, at_ms)
    if lately <= 0.0:
        return 0.0
    return (
        min(recent_sum(plan, rows, row, bad, fast, at_ms) / lately, spent) * MICRO / plan.values[which, p.VALUE_BUDGET]
    )


@inlined
def value_at(plan: Plan, rows: Rows, work: Work, row: int, which: int, at_ms: int) -> float:
    """Return value number `which` at an instant of the row's day (or that day's end), NaN where there is no data."""
    kind = plan.values[which, p.VALUE_KIND]
    signal = plan.values[which, p.VALUE_SIGNAL]
    if kind == p.VALUE_ATTRIBUTE:
        if signal == p.ATTRIBUTE_SEAT_USE:
            seats = rows.ints[row, SEATS]
            users = plan.values[which, p.VALUE_OTHER]
            if seats <= 0 or users < 0 or not has_spoken(plan, rows, row, users):
                return math.nan
            used = rows.derived[row, DERIVED_FIXED + users * DERIVED_SIGNAL + SUMS + MONTH_WINDOW]
            return used / seats
        return attribute(rows, row, signal, at_ms)
    if not has_spoken(plan, rows, row, signal):
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
    if kind == p.VALUE_BURN:
        return burn_rate(plan, rows, row, which, at_ms)
    block = plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS
    if kind == p.VALUE_TOTAL and rows.ints[row, block + LAST_VALUE] == NO_VALUE:
        return 0.0
    last_at = rows.ints[row, block + LAST_AT]
    if last_at == NO_VALUE:
        return math.nan
    if kind == p.VALUE_TOTAL:
        return rows.ints[row, block + LAST_VALUE] / plan.unit[signal]
    if kind == p.VALUE_LAST:
        last_value = rows.ints[row, block + LAST_VALUE]
        return math.nan if last_value == NO_VALUE else last_value / plan.unit[signal]
    if kind == p.VALUE_DAYS_SINCE:
        return max((at_ms - last_at) / DAY_MS, 0.0)
    if plan.values[which, p.VALUE_COHORT] >= 0:
        return relative_value(plan, rows, work, row, which, last_at, at_ms)
    if kind == p.VALUE_RATE:
        total = rows.derived[row, base + SUMS + window] / plan.unit[signal]
        return total / window_exposure(plan, rows, row, signal, window, at_ms)
    if kind == p.VALUE_RATIO:
        longer = plan.values[which, p.VALUE_LONG_WINDOW]
        long_total = rows.derived[row, base + SUMS + longer]
        if long_total == 0:
            return math.nan
        ratio = rows.derived[row, base + SUMS + window] / long_total
        return (
            ratio
            * window_exposure(plan, rows, row, signal, longer, at_ms)
            / window_exposure(plan, rows, row, signal, window, at_ms)
        )
    if kind == p.VALUE_LEVEL:
        return recent_rate(plan, rows, row, signal, at_ms)
    return change_of_habit(plan, rows, row, signal, kind, last_at, at_ms)


@inlined
def change_of_habit(plan: Plan, rows: Rows, row: int, signal: int, kind: int, last_at: int, at_ms: int) -> float:
    """Return momentum, surprise or silence: how the present differs from what the account is used to."""
    is_dormant = rows.derived[row, DAY] - last_at // DAY_MS > trajectory.DORMANT_DAYS
    if is_dormant and kind == p.VALUE_MOMENTUM:
        return -trajectory.MOMENTUM_LIMIT
    if is_dormant and kind == p.VALUE_SURPRISE:
        return -trajectory.SURPRISE_LIMIT
    if is_dormant:
        return trajectory.silence(1.0, (at_ms - last_at) / DAY_MS, plan.dispersion[signal])
    if kind != p.VALUE_SILENCE:
        history_days = rows.derived[row, DAY] - known_since(plan, rows, row, signal) // DAY_MS
        if history_days < trajectory.HABIT_MINIMUM_DAYS:
            return 0.0
    habit = habit_rate(plan, rows, row, signal, last_at, at_ms)
    if kind == p.VALUE_MOMENTUM:
        return trajectory.momentum(recent_rate(plan, rows, row, signal, at_ms), habit)
    dispersion = dispersion_of(plan, rows, row, signal, habit)
    if kind == p.VALUE_SURPRISE:
        return trajectory.surprise(recent_rate(plan, rows, row, signal, at_ms), habit, dispersion)
    return trajectory.silence(habit, max(at_ms - last_at, 0) / DAY_MS, dispersion)


@inlined
def validity(plan: Plan, rows: Rows, row: int, which: int, at_ms: int) -> float:
    """Return how much an input counts, 0-1.

    A hand-entered fact counts in full until its validity ends, then in a line to 0 after twice that. What reads a signal that
    a model change brought counts in a line from 0 at the change to 1 once its history is long enough.
    """
    ripe_at = plan.inputs[which, p.INPUT_RIPE_AT]
    if at_ms < ripe_at:
        ripening = plan.inputs[which, p.INPUT_RIPENING]
        if rows.ints[row, FIRST_AT] < ripe_at - ripening:  # an account that came later has all of its history
            return max(1.0 - (ripe_at - at_ms) / ripening, 0.0)
    valid_for = plan.inputs[which, p.INPUT_VALID_FOR]
    if valid_for == 0:
        return 1.0
    stated_at = rows.ints[row, RELATIONSHIP_AT]
    if stated_at == NO_VALUE:
        return 0.0
    return min(max(2.0 - (at_ms - stated_at) / valid_for, 0.0), 1.0)
