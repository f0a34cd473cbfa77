"""What a change of the model does to one row, so that it never looks like the customer's doing.

The row is scored under both models at the same instant. What the change alone brings about raises nothing and is marked:

- A band changes at once, without dwell, and raises no alert. Was the account on its way there anyway, it waits its time.
- A rule that begins to hold stays silent until it was false once, like the rule of an account's first band; a review counts
  from the change.
- An alert whose condition no longer holds, or whose rule is gone, resolves with MODEL_CHANGED.
- Day closes are moved by the difference of the two scores, so that no slope and no change over days contains it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scoring import lifecycle
from scoring import plan as p
from scoring.bands import INSUFFICIENT, band_of, dwell_of
from scoring.jit import entry, part
from scoring.plan import Plan
from state.advance import fit_trajectory, wait_for_next
from state.announce import announce
from state.closes import clipped, close_units
from state.conduct import forget_episode
from state.judge import MUTED, enter_band, note_rest, publish, rule_truth, time_overrides
from state.layout import (
    AS_OF,
    BAND,
    CANDIDATE,
    CANDIDATE_SINCE,
    CLOSE_DAYS,
    CLOSED,
    DAY,
    MODEL_SEGMENT,
    NEVER,
    NO_CLOSE,
    NO_VALUE,
    RULE_COLUMNS,
    RULE_HELD,
    RULE_SINCE,
    RULE_STATE,
    RULE_UNTIL,
    TILE_DAYS,
)
from state.rows import Rows
from state.score import fill_late_variables, finish_score, measure_health, score_at
from state.work import COUNT_MOVES, PICTURE_HEALTH, RESOLUTION_MODEL, Work

UNKNOWN = -1
"""Whether a condition held: nobody can tell, or there was no such rule."""


@entry
def leave_model(
    plan: Plan,
    rows: Rows,
    work: Work,
    first: int,
    last: int,
    clock_ms: int,
    is_kept: NDArray[np.bool_],
    origin: int,
    truths: NDArray[np.int8],
    closes: NDArray[np.int64],
    healths: NDArray[np.float64],
    distances: NDArray[np.float64],
) -> int:
    """Bring rows ``[first, last)`` to the clock under the old model and note how they stand; end what has no successor.

    Parameters
    ----------
    is_kept : bool array, by rule: the new model has it too
    origin : int, row that the arrays below begin with
    truths : int8 array [row, rule], written: 1, 0 or UNKNOWN
    closes : int64 array [row, contribution], written: contributions in the closes' unit
    healths, distances : float64 arrays [row], written: health, and health less the baseline; NaN where there is no score

    Returns
    -------
    int
        The first row not done (room for moves ran out), else `last`.
    """
    for row in range(first, last):
        if work.counts[COUNT_MOVES] > work.moves.shape[0] - plan.rules.shape[0]:
            return row
        place = row - origin
        healths[place] = math.nan
        distances[place] = math.nan
        truths[place] = UNKNOWN
        if rows.ints[row, AS_OF] == NO_VALUE or rows.ints[row, CLOSED] != 0:
            continue
        at_ms = max(rows.ints[row, AS_OF], clock_ms)
        rows.ints[row, AS_OF] = at_ms
        score_at(plan, rows, work, row, at_ms)
        fill_late_variables(plan, rows, work, row, at_ms)
        healths[place] = work.score[PICTURE_HEALTH]
        distances[place] = healths[place] - plan.scales[rows.derived[row, MODEL_SEGMENT], p.BASELINE]
        for k in range(work.contributions.size):
            closes[place, k] = close_units(work.contributions[k])
        for rule in range(plan.rules.shape[0]):
            if plan.rules[rule, p.RULE_BAND] >= 0 or not math.isnan(healths[place]):
                truths[place, rule] = 1 if rule_truth(plan, rows, work, row, rule) else 0
            if not is_kept[rule]:
                end_by_change(plan, rows, work, row, rule, at_ms, rows.ints[row, BAND], RESOLUTION_MODEL)
    return last


@part
def end_by_change(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, at_ms: int, from_band: int, resolution: int
) -> None:
    """Resolve a rule's alert, if one is open, because the model, or the account's segment in it, changed."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    if rows.ints[row, column + RULE_STATE] > lifecycle.PENDING:
        announce(plan, rows, work, row, rule, lifecycle.RESOLVED, at_ms, from_band, resolution, 0)
        forget_episode(rows, row, column)
    rest(rows, row, column, at_ms)


@part
def rest(rows: Rows, row: int, column: int, at_ms: int) -> None:
    """Let a rule sleep."""
    rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE
    rows.ints[row, column + RULE_SINCE] = at_ms
    rows.ints[row, column + RULE_UNTIL] = 0
    rows.ints[row, column + RULE_HELD] = 0


@part
def move_closes(plan: Plan, rows: Rows, work: Work, row: int, before: NDArray[np.int64], distance: float) -> None:
    """Move the closes so that they end where the new score begins; without a score on both sides there are none.

    `before` are the old model's contributions, `distance` its health less its baseline. Of days whose contributions are not kept any more the total moves.
    """
    width = plan.inputs.shape[0] + 2
    moved = work.score[PICTURE_HEALTH] - plan.scales[rows.derived[row, MODEL_SEGMENT], p.BASELINE] - distance
    has_score = not math.isnan(moved)
    shift = np.int64(close_units(moved)) if has_score else np.int64(0)
    for age in range(1, TILE_DAYS + 1):
        day = rows.derived[row, DAY] - age
        if not has_score:
            rows.totals[row, day % TILE_DAYS] = NO_CLOSE
        if rows.totals[row, day % TILE_DAYS] == NO_CLOSE:
            continue
        total = np.int64(rows.totals[row, day % TILE_DAYS] + shift)
        if age < CLOSE_DAYS:
            total = np.int64(0)
            start = day % CLOSE_DAYS * width
            for k in range(width):
                units = rows.closes[row, start + k] + close_units(work.contributions[k]) - before[k]
                rows.closes[row, start + k] = clipped(units)
                total += rows.closes[row, start + k]
        rows.totals[row, day % TILE_DAYS] = clipped(total)
    fit_trajectory(rows, row)


@part
def take_band(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Put a row into the new model's band; one it was on its way to is left to its dwell, if that is not over by now."""
    current = rows.ints[row, BAND]
    health = work.score[PICTURE_HEALTH]
    target = INSUFFICIENT
    segment = rows.derived[row, MODEL_SEGMENT]
    if not math.isnan(health):
        target = band_of(health, current, plan.enter_below[segment], plan.leave_above[segment])
    if target == current:
        rows.ints[row, CANDIDATE] = INSUFFICIENT
        rows.ints[row, CANDIDATE_SINCE] = 0
        return
    is_waiting = target != INSUFFICIENT and target == rows.ints[row, CANDIDATE]
    if not is_waiting or at_ms >= rows.ints[row, CANDIDATE_SINCE] + dwell_of(current, target, plan.dwell_ms[segment]):
        enter_band(plan, rows, work, row, target, at_ms)


@part
def take_rules(
    plan: Plan,
    rows: Rows,
    work: Work,
    row: int,
    at_ms: int,
    truths: NDArray[np.int8],
    band: int,
    resolution: int,
) -> None:
    """Settle every rule: what holds only now is silent, what no longer holds has ended by the change."""
    is_scored = not math.isnan(work.score[PICTURE_HEALTH])
    for rule in range(plan.rules.shape[0]):
        column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
        if not is_scored and plan.rules[rule, p.RULE_BAND] < 0:
            note_rest(plan, rows, row, rule, at_ms)
            continue
        state = rows.ints[row, column + RULE_STATE]
        is_true = rule_truth(plan, rows, work, row, rule)
        is_muted = state == lifecycle.INACTIVE and rows.ints[row, column + RULE_HELD] == MUTED
        if state > lifecycle.PENDING:
            if not is_true and state != lifecycle.CLEARING:
                end_by_change(plan, rows, work, row, rule, at_ms, band, resolution)
        elif not is_true:
            if is_muted or state == lifecycle.PENDING:
                rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE
                rows.ints[row, column + RULE_SINCE] = at_ms
                rows.ints[row, column + RULE_HELD] = 0
        elif truths[rule] != 1 or (state == lifecycle.PENDING and plan.rules[rule, p.RULE_FOR] == 0):
            rest(rows, row, column, at_ms)
            if plan.rules[rule, p.RULE_EVERY] == 0:  # a review asks for the first time when its time has come
                rows.ints[row, column + RULE_HELD] = MUTED
        note_rest(plan, rows, row, rule, at_ms)


@entry
def enter_model(
    plan: Plan,
    rows: Rows,
    work: Work,
    first: int,
    last: int,
    resolution: int,
    origin: int,
    truths: NDArray[np.int8],
    closes: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> int:
    """Judge carried rows ``[first, last)`` under the new model at the instant they stand at; all get a snapshot.

    Parameters
    ----------
    resolution : int, how alerts end whose condition no longer holds
    origin : int, row that the arrays below begin with
    truths : int8 array [row, rule], whether the new model's rules held under the old one: 1, 0 or UNKNOWN
    closes : int64 array [row, contribution], the old model's contributions in the closes' unit, 0 where it had none
    distances : float64 array [row], the old model's health less its baseline, NaN without a score

    Returns
    -------
    int
        The first row not done (room for moves ran out), else `last`.
    """
    for row in range(first, last):
        if work.counts[COUNT_MOVES] > work.moves.shape[0] - plan.rules.shape[0]:
            return row
        if rows.ints[row, CLOSED] != 0:
            rows.totals[row] = NO_CLOSE
            fit_trajectory(rows, row)
            rows.next_due[row] = NEVER
            continue
        at_ms = rows.ints[row, AS_OF]
        measure_health(plan, rows, work, row, at_ms)
        move_closes(plan, rows, work, row, closes[row - origin], distances[row - origin])
        finish_score(plan, rows, work, row, at_ms)
        time_overrides(plan, rows, work, row, at_ms)
        from_band = rows.ints[row, BAND]
        take_band(plan, rows, work, row, at_ms)
        fill_late_variables(plan, rows, work, row, at_ms)
        take_rules(plan, rows, work, row, at_ms, truths[row - origin], from_band, resolution)
        publish(rows, work, row, True)
        wait_for_next(plan, rows, row, at_ms)
    return last
