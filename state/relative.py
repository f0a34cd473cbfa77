"""Values that count cohort days: the measures of `state.measure`, with each day as long as it was busy.

An account's habit per cohort day stands still over a holiday, and so does its silence. See `scoring.cohorts`.
"""

import math

import numpy as np

from scoring import plan as p
from scoring import trajectory
from scoring.arrays import Ints
from scoring.cohorts import LONG_SILENCE, LONG_SILENCE_DAYS, PACE_LIMIT, PACE_UNIT, RELATIVE_DORMANT_DAYS, leaned_rate
from scoring.jit import inlined, part
from scoring.plan import Plan
from state.births import known_since
from state.busyness import DAILY, FAST, PLAIN, SLOW, sums_place
from state.layout import (
    AS_OF,
    BURST,
    CLOSED,
    DAY,
    DAY_MS,
    DECAY_COLUMNS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    FIRST_AT,
    LAST_AT,
    NO_VALUE,
    SEGMENT,
    SIGNAL_COLUMNS,
    SUMS,
    TILE_DAYS,
    TOPICS_SEEN,
)
from state.rows import Rows
from state.tiles import WINDOW_DAYS, decayed, tile
from state.work import Work


@inlined
def history_days(plan: Plan, rows: Rows, row: int, signal: int) -> int:
    """Return how many sealed days of a signal's history tiles are kept of, its first one included."""
    return min(rows.derived[row, DAY] - known_since(plan, rows, row, signal) // DAY_MS, TILE_DAYS - 1)


@inlined
def unseen(plan: Plan, rows: Rows, row: int, signal: int) -> float:
    """Return the part of the history's first day before the first event, 0-1; 0 where that day is out of reach."""
    first_at = known_since(plan, rows, row, signal)
    if rows.derived[row, DAY] - first_at // DAY_MS >= TILE_DAYS:
        return 0.0
    return first_at % DAY_MS / DAY_MS


@inlined
def window_days(plan: Plan, rows: Rows, row: int, place: int, signal: int, window: int, at_ms: int) -> float:
    """Return the cohort days of a window, today's elapsed part included, within the history."""
    sums = rows.busy_sums[place]
    elapsed = (at_ms - rows.derived[row, DAY] * DAY_MS) / DAY_MS
    sealed = min(history_days(plan, rows, row, signal), WINDOW_DAYS[window] - 1)
    covered = sums[PLAIN, sealed] + elapsed * sums[DAILY, 0]
    if sealed == history_days(plan, rows, row, signal):
        covered -= unseen(plan, rows, row, signal) * sums[DAILY, sealed]
    return covered


@inlined
def habit(plan: Plan, rows: Rows, row: int, place: int, signal: int, last_at: int, at_ms: int) -> float:
    """Return a signal's rate per cohort day decayed over 90 days, as it stood on the last day the signal spoke."""
    sums = rows.busy_sums[place]
    day = rows.derived[row, DAY]
    quiet = max(day - last_at // DAY_MS, 0)
    sealed = history_days(plan, rows, row, signal)
    amount = decayed(plan, rows, row, signal, 2)
    if quiet > 0:
        scale = plan.decay_power[2, quiet]
        amount /= scale
        exposure = (sums[SLOW, max(sealed, quiet)] - sums[SLOW, quiet - 1]) / scale
    else:
        scale = 1.0
        amount += tile(plan, rows, row, signal, day)
        exposure = sums[SLOW, sealed] + (at_ms - day * DAY_MS) / DAY_MS * sums[DAILY, 0]
    exposure -= unseen(plan, rows, row, signal) * sums[DAILY, sealed] * plan.decay_power[2, sealed] / scale
    return amount / plan.unit[signal] / max(exposure, trajectory.HABIT_MINIMUM_DAYS)


@inlined
def recent(plan: Plan, rows: Rows, row: int, place: int, signal: int, usual: float, at_ms: int) -> float:
    """Return a signal's rate per cohort day decayed over 7 days, leaning on the usual rate where cohort days are few."""
    sums = rows.busy_sums[place]
    day = rows.derived[row, DAY]
    elapsed = (at_ms - day * DAY_MS) / DAY_MS
    sealed = history_days(plan, rows, row, signal)
    missing = unseen(plan, rows, row, signal) * plan.decay_power[0, sealed]
    amount = decayed(plan, rows, row, signal, 0) + tile(plan, rows, row, signal, day)
    exposure = sums[FAST, sealed] + elapsed * sums[DAILY, 0] - missing * sums[DAILY, sealed]
    calendar = plan.decay_total[0, sealed] + elapsed - missing
    return leaned_rate(amount / plan.unit[signal], exposure, calendar, usual)


@inlined
def quiet_days(rows: Rows, row: int, place: int, last_at: int, at_ms: int) -> float:
    """Return the cohort days since an instant within the tiles' reach."""
    sums = rows.busy_sums[place]
    day = rows.derived[row, DAY]
    quiet = day - last_at // DAY_MS
    if quiet <= 0:
        return max(at_ms - last_at, 0) / DAY_MS * sums[DAILY, 0]
    rest = (1.0 - last_at % DAY_MS / DAY_MS) * sums[DAILY, quiet]
    return rest + sums[PLAIN, quiet - 1] + (at_ms - day * DAY_MS) / DAY_MS * sums[DAILY, 0]


@inlined
def dispersion(plan: Plan, rows: Rows, row: int, signal: int, usual: float) -> float:
    """Return how bursty a signal is: the model's dispersion, or the account's own variance over mean where greater."""
    burst = rows.decays[row, plan.signals[signal, p.SIGNAL_DECAY] * DECAY_COLUMNS + BURST] / plan.unit[signal]
    return max(plan.dispersion[signal], burst - usual)


@inlined
def fast_exposure(plan: Plan, rows: Rows, row: int, place: int, signal: int, at_ms: int) -> float:
    """Return the cohort days of the recent rate."""
    elapsed = (at_ms - rows.derived[row, DAY] * DAY_MS) / DAY_MS
    return (
        rows.busy_sums[place, FAST, history_days(plan, rows, row, signal)] + elapsed * rows.busy_sums[place, DAILY, 0]
    )


@inlined
def usual_rate(
    plan: Plan, rows: Rows, work: Work, row: int, place: int, signal: int, last_at: int, at_ms: int
) -> float:
    """Return `habit`, found once an evaluation."""
    if math.isnan(work.usual[signal]):
        work.usual[signal] = habit(plan, rows, row, place, signal, last_at, at_ms)
    return work.usual[signal]


@inlined
def recent_rate(
    plan: Plan, rows: Rows, work: Work, row: int, place: int, signal: int, usual: float, at_ms: int
) -> float:
    """Return `recent`, found once an evaluation."""
    if math.isnan(work.recent[signal]):
        work.recent[signal] = recent(plan, rows, row, place, signal, usual, at_ms)
    return work.recent[signal]


@inlined
def relative_value(plan: Plan, rows: Rows, work: Work, row: int, which: int, last_at: int, at_ms: int) -> float:
    """Return value number `which`, counted in cohort days; the signal has spoken, last at `last_at`."""
    kind = plan.values[which, p.VALUE_KIND]
    signal = plan.values[which, p.VALUE_SIGNAL]
    place = sums_place(plan, rows, row, plan.values[which, p.VALUE_COHORT])
    if kind == p.VALUE_RATE or kind == p.VALUE_RATIO:
        base = DERIVED_FIXED + signal * DERIVED_SIGNAL + SUMS
        window = plan.values[which, p.VALUE_WINDOW]
        covered = window_days(plan, rows, row, place, signal, window, at_ms)
        if covered < 1.0:
            return math.nan
        rate = rows.derived[row, base + window] / plan.unit[signal] / covered
        if kind == p.VALUE_RATE:
            return rate
        longer = plan.values[which, p.VALUE_LONG_WINDOW]
        total = rows.derived[row, base + longer] / plan.unit[signal]
        return math.nan if total == 0.0 else rate / total * window_days(plan, rows, row, place, signal, longer, at_ms)
    quiet = rows.derived[row, DAY] - last_at // DAY_MS
    if quiet > RELATIVE_DORMANT_DAYS:
        if kind == p.VALUE_LEVEL:
            return 0.0
        if kind == p.VALUE_SILENCE:
            return trajectory.silence(1.0, (at_ms - last_at) / DAY_MS, plan.dispersion[signal])
        return -trajectory.MOMENTUM_LIMIT if kind == p.VALUE_MOMENTUM else -trajectory.SURPRISE_LIMIT
    is_young = rows.derived[row, DAY] - known_since(plan, rows, row, signal) // DAY_MS < trajectory.HABIT_MINIMUM_DAYS
    if is_young and (kind == p.VALUE_MOMENTUM or kind == p.VALUE_SURPRISE):
        return 0.0
    usual = usual_rate(plan, rows, work, row, place, signal, last_at, at_ms)
    if kind == p.VALUE_SILENCE:
        bursts = dispersion(plan, rows, row, signal, usual)
        return trajectory.silence(usual, quiet_days(rows, row, place, last_at, at_ms), bursts)
    rate = recent_rate(plan, rows, work, row, place, signal, usual, at_ms)
    if kind == p.VALUE_LEVEL:
        return rate
    if kind == p.VALUE_MOMENTUM:
        return trajectory.momentum(rate, usual)
    # Few cohort days make the recent rate that much noisier.
    noise = max(trajectory.FAST_DECAY_DAYS / max(fast_exposure(plan, rows, row, place, signal, at_ms), 1.0), 1.0)
    return trajectory.surprise(rate, usual, dispersion(plan, rows, row, signal, usual) * noise)


@part
def own_habit(plan: Plan, rows: Rows, row: int, signal: int, number: int, at_ms: int) -> float:
    """Return the rate an account's days are measured by; NaN while it says nothing about days: silent, or leaving."""
    last_at = rows.ints[row, plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT]
    has_spoken = rows.ints[row, TOPICS_SEEN] >> plan.signals[signal, p.SIGNAL_TOPIC] & 1 != 0
    if not has_spoken or last_at == NO_VALUE or rows.derived[row, DAY] - last_at // DAY_MS > RELATIVE_DORMANT_DAYS:
        return math.nan
    place = sums_place(plan, rows, row, number)
    usual = habit(plan, rows, row, place, signal, last_at, at_ms)
    quiet = quiet_days(rows, row, place, last_at, at_ms)
    missed = trajectory.silence(usual, quiet, dispersion(plan, rows, row, signal, usual))
    return math.nan if quiet > LONG_SILENCE_DAYS and missed > LONG_SILENCE else usual


@part
def add_pace(plan: Plan, rows: Rows, row: int, first_day: int, clock_ms: int, sums: Ints) -> None:
    """Add a row's paces on sealed days to its cohort's sums.

    Parameters
    ----------
    first_day : int, a UTC day; all days are before the row's own
    clock_ms : int, the partition's clock
    sums : int64 array [day, cohort, signal with cohort days, accounts|paces], added to
    """
    if rows.ints[row, CLOSED] != 0 or rows.ints[row, AS_OF] == NO_VALUE or rows.ints[row, FIRST_AT] == NO_VALUE:
        return
    at_ms = max(rows.ints[row, AS_OF], clock_ms)
    cohort = max(rows.ints[row, SEGMENT], 0)
    # An account's first week says nothing. Events may have taken a row far ahead of a clock that stood still: then its
    # tiles of the days are gone.
    least = max(
        rows.ints[row, FIRST_AT] // DAY_MS + trajectory.HABIT_MINIMUM_DAYS, rows.derived[row, DAY] - TILE_DAYS + 1
    )
    for signal in range(plan.signals.shape[0]):
        number = plan.signals[signal, p.SIGNAL_COHORT]
        if number < 0:
            continue
        young = known_since(plan, rows, row, signal) // DAY_MS + trajectory.HABIT_MINIMUM_DAYS
        begin = max(first_day, least, young)
        if begin >= first_day + sums.shape[0]:
            continue
        usual = own_habit(plan, rows, row, signal, number, at_ms)
        if math.isnan(usual):
            continue
        for day in range(begin, first_day + sums.shape[0]):
            pace = tile(plan, rows, row, signal, day) / plan.unit[signal] / max(usual, trajectory.RATE_FLOOR)
            sums[day - first_day, cohort, number, 0] += 1
            units = math.floor(min(max(pace, 0.0), PACE_LIMIT) * PACE_UNIT + 0.5)
            sums[day - first_day, cohort, number, 1] += np.int64(units)
