"""Time passes for one row: midnights, grid points and timers, in order, up to an instant.

Silence is evaluated on a grid of event time, so that how often a clock ticks cannot show in a result. How fine the grid
is follows the account's pace: nobody can tell from an hour's silence that something is wrong with an account that comes
twice a week. So looking for silence never costs more than the account's own events do. `next_due` is when a row must
next be looked at: its next grid point or the end of a timer, whichever comes first; every midnight is a grid point.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scoring.jit import entry, inlined, part
from scoring.plan import Plan
from scoring.trajectory import SLOPE_DAYS, slope_per_day
from state.ahead import fetch_columns, fetch_tiles
from state.busyness import WRITTEN_DAYS
from state.closes import clipped, close_units
from state.judge import judge, micro, next_timer
from state.layout import (
    ACCELERATION,
    AS_OF,
    CLOSE_DAYS,
    CLOSE_UNIT,
    CLOSED,
    COLD_DAY,
    DAY,
    DAY_MS,
    FIRST_AT,
    HOT,
    HOUR_MS,
    NEVER,
    NO_CLOSE,
    PACE,
    SLOPE,
    TILE_DAYS,
    TODAY,
)
from state.relative import add_pace
from state.rows import Rows
from state.score import (
    finish_score,
    measure_health,
    score_at,
)
from state.tiles import roll_day
from state.work import COUNT_EVALUATIONS, COUNT_MOVES, PICTURE_HEALTH, Work

HOURLY_PACE = 8 * 8
"""From eight events a day on, an account is looked at every hour …"""
QUARTERLY_PACE = 8 * 2
"""… from two on every six hours, below that at midnight (`PACE` counts eighths)."""


@inlined
def keep_close(plan: Plan, rows: Rows, work: Work, row: int) -> None:
    """Keep yesterday's close: the contributions as they stand at this midnight; fit slope and acceleration anew."""
    width = plan.inputs.shape[0] + 2
    day = rows.derived[row, DAY] - 1
    if math.isnan(work.score[PICTURE_HEALTH]):
        rows.totals[row, day % TILE_DAYS] = NO_CLOSE
    else:
        total = np.int64(0)
        for k in range(width):
            units = clipped(close_units(work.contributions[k]))
            rows.closes[row, day % CLOSE_DAYS * width + k] = units
            total += units
        rows.totals[row, day % TILE_DAYS] = clipped(total)
    fit_trajectory(rows, row)


@inlined
def fit_trajectory(rows: Rows, row: int) -> None:
    """Fit slope and acceleration to the closes of the last 28 days; both stand still until the next midnight."""
    newest = rows.derived[row, DAY] - 1
    closes = rows.totals[row]
    slope = slope_per_day(closes, newest % TILE_DAYS, NO_CLOSE) / CLOSE_UNIT
    earlier = slope_per_day(closes, (newest - SLOPE_DAYS) % TILE_DAYS, NO_CLOSE) / CLOSE_UNIT
    rows.derived[row, SLOPE] = micro(slope)
    rows.derived[row, ACCELERATION] = micro((slope - earlier) / SLOPE_DAYS)


@inlined
def wait_for_next(plan: Plan, rows: Rows, row: int, at_ms: int) -> None:
    """Set when a row is next due after an instant: at its next timer or the next point of its grid."""
    if rows.ints[row, CLOSED] != 0:
        rows.next_due[row] = NEVER
        return
    pace = rows.ints[row, PACE]
    step = DAY_MS
    if pace >= HOURLY_PACE:
        step = HOUR_MS
    elif pace >= QUARTERLY_PACE:
        step = 6 * HOUR_MS
    rows.next_due[row] = min(next_timer(plan, rows, row, at_ms), (at_ms // step + 1) * step)


@inlined
def open_day(plan: Plan, rows: Rows, row: int) -> None:
    """Seal a row's today, note how many events it had, and open the next day."""
    roll_day(plan, rows, row)
    rows.ints[row, PACE] += rows.ints[row, TODAY] - rows.ints[row, PACE] // 8
    rows.ints[row, TODAY] = 0
    age = rows.derived[row, DAY] - rows.ints[row, FIRST_AT] // DAY_MS
    if rows.busyness.shape[1] > 0 and age % WRITTEN_DAYS == 0:
        # On restore a row is brought to the clock from where it was written: not further back than references are kept.
        rows.dirty[row] |= HOT


@inlined
def pass_point(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Run one grid point or timer of a row and set when the next may matter."""
    is_midnight = at_ms % DAY_MS == 0
    if is_midnight:
        open_day(plan, rows, row)
    measure_health(plan, rows, work, row, at_ms)
    if is_midnight:
        keep_close(plan, rows, work, row)
    finish_score(plan, rows, work, row, at_ms)
    work.counts[COUNT_EVALUATIONS] += 1
    judge(plan, rows, work, row, at_ms, is_midnight)
    rows.ints[row, AS_OF] = at_ms
    wait_for_next(plan, rows, row, at_ms)


@inlined
def advance(plan: Plan, rows: Rows, work: Work, row: int, to_ms: int) -> bool:
    """Let time pass for a row up to and including an instant.

    Returns
    -------
    bool
        False when the room for moves ran out on the way: take them away and call again.
    """
    # A rule announces twice at most: a snooze that ends, and at once that nobody answered in time.
    room = work.moves.shape[0] - 2 * plan.rules.shape[0]
    while rows.next_due[row] <= to_ms:
        if work.counts[COUNT_MOVES] > room:
            return False
        pass_point(plan, rows, work, row, rows.next_due[row])
    rows.ints[row, AS_OF] = max(rows.ints[row, AS_OF], to_ms)
    return True


@part
def sleep_until(plan: Plan, rows: Rows, row: int, at_ms: int) -> None:
    """Let the days of a closed account pass: its tiles grow old, and days that nobody scored have no close."""
    first = rows.derived[row, DAY]
    while rows.derived[row, DAY] < at_ms // DAY_MS:
        rows.totals[row, rows.derived[row, DAY] % TILE_DAYS] = NO_CLOSE
        open_day(plan, rows, row)
    if rows.derived[row, DAY] != first:
        fit_trajectory(rows, row)


@part
def start_row(rows: Rows, row: int, at_ms: int) -> None:
    """Begin a row's life at an instant: nothing lies behind it."""
    rows.ints[row, AS_OF] = at_ms
    rows.derived[row, DAY] = at_ms // DAY_MS
    rows.ints[row, COLD_DAY] = at_ms // DAY_MS


@entry
def settle(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Score and judge a row after something happened to it at an instant, its as-of time; set when it is next due."""
    if rows.ints[row, CLOSED] != 0:
        rows.next_due[row] = NEVER
        return
    score_at(plan, rows, work, row, at_ms)
    work.counts[COUNT_EVALUATIONS] += 1
    judge(plan, rows, work, row, at_ms, True)
    wait_for_next(plan, rows, row, at_ms)


@entry
def sweep(
    plan: Plan, rows: Rows, work: Work, first: int, last: int, to_ms: int, first_day: int, sums: NDArray[np.int64]
) -> int:
    """Let time pass for rows ``[first, last)``; return the first row not done (room for moves ran out), else `last`.

    The paces of the days from `first_day` on, as many as `sums` has, are added to it while a row is at hand
    (`state.relative.add_pace`).
    """
    for row in range(first, last):
        if row + 2 < last and (rows.next_due[row + 2] <= to_ms or sums.shape[0] > 0):
            fetch_columns(plan, rows, row + 2)
            fetch_tiles(rows, row + 1)
        if rows.next_due[row] <= to_ms and not advance(plan, rows, work, row, to_ms):
            return row
        if sums.shape[0] > 0:
            add_pace(plan, rows, row, first_day, to_ms, sums)
    return last
