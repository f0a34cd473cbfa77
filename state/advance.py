"""Time passes for one row: midnights, grid points and timers, in order, up to an instant.

Silence is evaluated on an hourly grid of event time, so that how often a clock ticks cannot show in a result. A row
remembers when it may next change (`next_due`): the end of a timer, the next midnight, or the next full hour where
`is_quiet` cannot rule out that a band, rule or override moves before midnight. Skipping is an optimisation only; the
oracle in the tests evaluates every hour.
"""

import math

import numpy as np

from scoring import plan as p
from scoring.bands import INSUFFICIENT, band_of
from scoring.jit import entry, part
from scoring.plan import Plan
from scoring.trajectory import SLOPE_DAYS, days_to_cross, slope_per_day
from scoring.vm import holds, holds_within
from state.judge import judge, micro, next_timer
from state.layout import (
    ACCELERATION,
    AMOUNT_UNIT,
    ARR,
    AS_OF,
    BAND,
    BAND_SINCE,
    CANDIDATE,
    CLOSE_UNIT,
    CLOSED,
    COLD_DAY,
    DAY,
    DAY_MS,
    HOUR_MS,
    MICRO,
    NEVER,
    NO_CLOSE,
    NO_VALUE,
    SLOPE,
    TILE_DAYS,
)
from state.rows import Rows
from state.score import (
    close_health,
    depends_on_health,
    limit_bounds,
    propensity_bounds,
    score_at,
    score_bounds,
)
from state.tiles import roll_day
from state.work import COUNT_EVALUATIONS, COUNT_MOVES, Work

ROUNDING = 2.0 / MICRO
"""Limits of a rounded score are wider by this much."""


@part
def keep_close(plan: Plan, rows: Rows, work: Work, row: int) -> None:
    """Keep yesterday's close: the contributions as they stand at this midnight; fit slope and acceleration anew."""
    width = plan.inputs.shape[0] + 2
    day = rows.derived[row, DAY]
    start = ((day - 1) % TILE_DAYS) * width
    if math.isnan(work.score[0]):
        rows.closes[row, start] = NO_CLOSE
    else:
        for k in range(width):
            units = math.floor(work.contributions[k] * CLOSE_UNIT + 0.5)
            rows.closes[row, start + k] = np.int16(min(max(units, -32767.0), 32767.0))
    fit_trajectory(plan, rows, work, row)


@part
def fit_trajectory(plan: Plan, rows: Rows, work: Work, row: int) -> None:
    """Fit slope and acceleration to the closes of the last 28 days; both stand still until the next midnight."""
    day = rows.derived[row, DAY]
    for k in range(2 * SLOPE_DAYS):
        work.closes[k] = close_health(plan, rows, row, day - 2 * SLOPE_DAYS + k)
    slope = slope_per_day(work.closes, 2 * SLOPE_DAYS - 1, SLOPE_DAYS)
    earlier = slope_per_day(work.closes, SLOPE_DAYS - 1, SLOPE_DAYS)
    rows.derived[row, SLOPE] = micro(slope)
    rows.derived[row, ACCELERATION] = micro((slope - earlier) / SLOPE_DAYS)


@part
def health_variable_bounds(
    plan: Plan, rows: Rows, work: Work, row: int, which: int, start_ms: int, end_ms: int, low: float, high: float
) -> tuple[float, float]:
    """Return the limits of a variable that depends on health, over ``[start, end]`` of one day without a band change."""
    kind = plan.variables[which, 0]
    target = plan.variables[which, 1]
    if kind == p.VARIABLE_HEALTH:
        return low, high
    if kind == p.VARIABLE_RISK or kind == p.VARIABLE_EXPANSION:
        chosen = 0 if kind == p.VARIABLE_RISK else 1
        return propensity_bounds(plan, rows, work, row, start_ms, end_ms, chosen, low, high)
    if kind == p.VARIABLE_VALUE_AT_RISK:
        yearly = rows.ints[row, ARR]
        if yearly == NO_VALUE:
            return math.nan, math.nan
        least, most = propensity_bounds(plan, rows, work, row, start_ms, end_ms, 0, low, high)
        return least * yearly / AMOUNT_UNIT, most * yearly / AMOUNT_UNIT
    if kind == p.VARIABLE_CHANGE:
        close = close_health(plan, rows, row, rows.derived[row, DAY] - target)
        return low - close, high - close
    if kind == p.VARIABLE_ETA:
        slope = rows.derived[row, SLOPE]
        falling = math.nan if slope == NO_VALUE else slope / MICRO
        first = days_to_cross(low, plan.enter_below[target], falling)
        last = days_to_cross(high, plan.enter_below[target], falling)
        if math.isnan(first) != math.isnan(last):
            return -math.inf, math.inf
        return first, last
    if kind == p.VARIABLE_IN_BAND:
        is_in = 1.0 if rows.ints[row, BAND] == target else 0.0
        return is_in, is_in
    if rows.ints[row, BAND] < 0:
        return math.nan, math.nan
    since = rows.ints[row, BAND_SINCE]
    return (start_ms - since) / DAY_MS, (end_ms - since) / DAY_MS


@part
def is_quiet(plan: Plan, rows: Rows, work: Work, row: int, start_ms: int, end_ms: int) -> bool:
    """Return whether, without events and but for timers, nothing of a row can change within ``(start, end)``.

    `start` and `end` lie in the row's day (`end` may be its last instant's next midnight); the row has been judged at
    `start`. True means proven: band, overrides and every rule's truth stay what they are.
    """
    if not score_bounds(plan, rows, work, row, start_ms, end_ms):
        return False
    free_low = work.stack_low[0]
    free_high = work.stack_high[0]
    is_settled, low, high = limit_bounds(plan, rows, work, row, start_ms, free_low, free_high)
    if not is_settled:
        return False
    band = rows.ints[row, BAND]
    if math.isnan(free_low):
        return band == INSUFFICIENT
    # A worse band that waits does not wait on once an override takes half a point away.
    is_limited = low != free_low or high != free_high
    if is_limited and rows.ints[row, CANDIDATE] != INSUFFICIENT and rows.ints[row, CANDIDATE] < band:
        return False
    low -= ROUNDING
    high += ROUNDING
    wanted = band if rows.ints[row, CANDIDATE] == INSUFFICIENT else rows.ints[row, CANDIDATE]
    worst = band_of(low, band, plan.enter_below, plan.leave_above)
    best = band_of(high, band, plan.enter_below, plan.leave_above)
    if worst != wanted or best != wanted:
        return False
    for which in range(plan.variables.shape[0]):
        if depends_on_health(plan.variables[which, 0]):
            least, most = health_variable_bounds(plan, rows, work, row, which, start_ms, end_ms, low, high)
            work.variables_low[which] = least
            work.variables_high[which] = most
    for rule in range(plan.rules.shape[0]):
        if plan.rules[rule, p.RULE_BAND] >= 0:
            continue
        start = plan.rules[rule, p.RULE_PROGRAM]
        length = plan.rules[rule, p.RULE_LENGTH]
        verdict = holds_within(
            plan.opcodes,
            plan.operands,
            start,
            length,
            work.variables_low,
            work.variables_high,
            work.stack_low,
            work.stack_high,
        )
        now = holds(plan.opcodes, plan.operands, start, length, work.variables, work.stack_low)
        if verdict < 0 or (verdict == 1) != now:
            return False
    return True


@part
def evaluate(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, may_publish: bool) -> None:
    """Score and judge a row at an instant."""
    score_at(plan, rows, work, row, at_ms)
    work.counts[COUNT_EVALUATIONS] += 1
    judge(plan, rows, work, row, at_ms, may_publish)


@part
def pass_point(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Run one grid point or timer of a row and set when the next may matter."""
    is_midnight = at_ms % DAY_MS == 0
    if is_midnight:
        roll_day(plan, rows, row)
        score_at(plan, rows, work, row, at_ms)
        keep_close(plan, rows, work, row)
    evaluate(plan, rows, work, row, at_ms, is_midnight)
    rows.ints[row, AS_OF] = at_ms
    midnight = (at_ms // DAY_MS + 1) * DAY_MS
    following = (at_ms // HOUR_MS + 1) * HOUR_MS
    if following < midnight and is_quiet(plan, rows, work, row, at_ms, midnight):
        following = midnight
    rows.next_due[row] = min(next_timer(plan, rows, row, at_ms), following)


@part
def advance(plan: Plan, rows: Rows, work: Work, row: int, to_ms: int) -> bool:
    """Let time pass for a row up to and including an instant.

    Returns
    -------
    bool
        False when the room for moves ran out on the way: take them away and call again.
    """
    room = work.moves.shape[0] - plan.rules.shape[0]
    while rows.next_due[row] <= to_ms:
        if work.counts[COUNT_MOVES] > room:
            return False
        pass_point(plan, rows, work, row, rows.next_due[row])
    rows.ints[row, AS_OF] = max(rows.ints[row, AS_OF], to_ms)
    return True


@part
def sleep_until(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Let the days of a closed account pass: its tiles grow old, and days that nobody scored have no close."""
    width = plan.inputs.shape[0] + 2
    first = rows.derived[row, DAY]
    while rows.derived[row, DAY] < at_ms // DAY_MS:
        rows.closes[row, (rows.derived[row, DAY] % TILE_DAYS) * width] = NO_CLOSE
        roll_day(plan, rows, row)
    if rows.derived[row, DAY] != first:
        fit_trajectory(plan, rows, work, row)


@part
def start_row(rows: Rows, row: int, at_ms: int) -> None:
    """Begin a row's life at an instant: nothing lies behind it."""
    rows.ints[row, AS_OF] = at_ms
    rows.derived[row, DAY] = at_ms // DAY_MS
    rows.ints[row, COLD_DAY] = at_ms // DAY_MS


@part
def wait_for_next(plan: Plan, rows: Rows, row: int, at_ms: int) -> None:
    """Set when a row is next due after an instant: at its next timer or the next full hour."""
    if rows.ints[row, CLOSED] != 0:
        rows.next_due[row] = NEVER
    else:
        rows.next_due[row] = min(next_timer(plan, rows, row, at_ms), (at_ms // HOUR_MS + 1) * HOUR_MS)


@entry
def settle(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Score and judge a row after something happened to it at an instant, its as-of time; set when it is next due."""
    if rows.ints[row, CLOSED] != 0:
        rows.next_due[row] = NEVER
        return
    evaluate(plan, rows, work, row, at_ms, True)
    wait_for_next(plan, rows, row, at_ms)


@entry
def sweep(plan: Plan, rows: Rows, work: Work, first: int, last: int, to_ms: int) -> int:
    """Let time pass for rows ``[first, last)``; return the first row not done (room for moves ran out), else `last`."""
    for row in range(first, last):
        if rows.next_due[row] <= to_ms and not advance(plan, rows, work, row, to_ms):
            return row
    return last
