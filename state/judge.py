"""Decisions at one evaluation: overrides' timers, band with hysteresis and dwell, rules' life cycle, publication.

Called after `score_at` has filled `work`. What changes here is written to the row and marked dirty; what must be
announced becomes a line of `work.moves` with a picture of the score beside it.
"""

import math

import numpy as np

from scoring import lifecycle
from scoring import plan as p
from scoring.bands import INSUFFICIENT, band_of, dwell_of
from scoring.jit import entry, part
from scoring.plan import Plan
from scoring.vm import holds
from state.layout import (
    ALERT_SEQUENCE,
    BAND,
    BAND_SINCE,
    CANDIDATE,
    CANDIDATE_SINCE,
    CLOSE_UNIT,
    DAY,
    HOT,
    MANUAL_UNTIL,
    MICRO,
    NEVER,
    NO_CLOSE,
    NO_VALUE,
    POSITIONS,
    PUBLISHED_EXPANSION,
    PUBLISHED_HEALTH,
    PUBLISHED_REASON,
    PUBLISHED_RISK,
    ROW_TOPICS,
    RULE_COLUMNS,
    RULE_EPISODE,
    RULE_HELD,
    RULE_SINCE,
    RULE_STATE,
    RULE_UNTIL,
    SNAPSHOT,
    TILE_DAYS,
)
from state.rows import Rows
from state.score import fill_late_variables, score_at
from state.work import (
    COUNT_BAND_CHANGES,
    COUNT_MOVES,
    MOVE_AT,
    MOVE_BEFORE_DAYS,
    MOVE_EPISODE,
    MOVE_FROM_BAND,
    MOVE_POSITIONS,
    MOVE_RESOLUTION,
    MOVE_ROW,
    MOVE_RULE,
    MOVE_SEQUENCE,
    MOVE_STATE,
    MOVE_TO_BAND,
    PICTURE_EXPANSION,
    PICTURE_FIXED,
    PICTURE_HEALTH,
    PICTURE_RISK,
    RESOLUTION_CLOSED,
    RESOLUTION_COMMAND,
    RESOLUTION_CONDITION,
    Work,
)

COMPARED_DAYS = 14
"""`why it moved` compares with the close this many days ago, or the oldest one kept since."""
HEALTH_STEP = 100_000
"""A snapshot is published when health moved by 0.1 points …"""
PROBABILITY_STEP = 1_000
"""… or a probability by 0.001 (both in millionths)."""
MUTED = -1
"""In RULE_HELD: the condition held when the account's first band was set; it raises no alert until it was false once."""


@part
def micro(number: float) -> int:
    """Return a number as whole millionths, NO_VALUE for NaN."""
    return NO_VALUE if math.isnan(number) else np.int64(math.floor(number * MICRO + 0.5))


@part
def before(plan: Plan, rows: Rows, row: int, picture: int, work: Work, line: int) -> int:
    """Copy the contributions of the day close that `why it moved` compares with; return its age in days, 0 = none."""
    width = plan.inputs.shape[0] + 2
    day = rows.derived[row, DAY]
    for age in range(COMPARED_DAYS, 0, -1):
        start = ((day - age) % TILE_DAYS) * (width + 1)
        if rows.closes[row, start] != NO_CLOSE:
            for k in range(width):
                work.pictures[line, picture + k] = rows.closes[row, start + 1 + k] / CLOSE_UNIT
            return age
    for k in range(width):
        work.pictures[line, picture + k] = math.nan
    return 0


@part
def announce(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, state: int, at_ms: int, from_band: int, resolution: int
) -> None:
    """Write one move and the picture of the score that goes with it; gives the alert its sequence number."""
    line = work.counts[COUNT_MOVES]
    work.counts[COUNT_MOVES] = line + 1
    sequence = rows.ints[row, ALERT_SEQUENCE] + 1
    rows.ints[row, ALERT_SEQUENCE] = sequence
    move = work.moves[line]
    move[MOVE_ROW] = row
    move[MOVE_RULE] = rule
    move[MOVE_STATE] = state
    move[MOVE_AT] = at_ms
    move[MOVE_EPISODE] = rows.ints[row, plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS + RULE_EPISODE]
    move[MOVE_SEQUENCE] = sequence
    move[MOVE_FROM_BAND] = from_band
    move[MOVE_TO_BAND] = rows.ints[row, BAND]
    move[MOVE_RESOLUTION] = resolution
    for topic in range(ROW_TOPICS):
        move[MOVE_POSITIONS + topic] = rows.ints[row, POSITIONS + topic]
    place = 0
    for k in range(PICTURE_FIXED):
        work.pictures[line, k] = work.score[k]
    place = PICTURE_FIXED
    for source in (work.values, work.subscores, work.contributions):
        for k in range(source.size):
            work.pictures[line, place + k] = source[k]
        place += source.size
    move[MOVE_BEFORE_DAYS] = before(plan, rows, row, place, work, line)
    rows.dirty[row] |= HOT | SNAPSHOT


@part
def time_overrides(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Note since when each override's condition holds."""
    for which in range(plan.overrides.shape[0]):
        column = plan.offsets[p.OFFSET_OVERRIDES] + which
        since = rows.ints[row, column]
        if holds(plan.steps, plan.overrides[which, p.OVERRIDE_PROGRAM], work.variables):
            if since == 0:
                rows.ints[row, column] = at_ms
                rows.dirty[row] |= HOT
        elif since != 0:
            rows.ints[row, column] = 0
            rows.dirty[row] |= HOT


@part
def enter_band(plan: Plan, rows: Rows, work: Work, row: int, target: int, at_ms: int) -> None:
    """Move a row to a band and keep the contributions it entered with."""
    rows.ints[row, BAND] = target
    rows.ints[row, BAND_SINCE] = at_ms
    rows.ints[row, CANDIDATE] = INSUFFICIENT
    rows.ints[row, CANDIDATE_SINCE] = 0
    for k in range(work.contributions.size):
        rows.ints[row, plan.offsets[p.OFFSET_ENTRY] + k] = micro(work.contributions[k])
    rows.dirty[row] |= HOT | SNAPSHOT
    work.counts[COUNT_BAND_CHANGES] += 1


@part
def move_band(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Let the band follow health with hysteresis and dwell.

    A move wanted because of an override does not wait; nor does the first band after insufficient data, which also
    mutes that band's rule: it raises no alert.
    """
    current = rows.ints[row, BAND]
    health = work.score[PICTURE_HEALTH]
    if math.isnan(health):
        if current != INSUFFICIENT:
            enter_band(plan, rows, work, row, INSUFFICIENT, at_ms)
        return
    target = band_of(health, current, plan.enter_below, plan.leave_above)
    if current == INSUFFICIENT:
        enter_band(plan, rows, work, row, target, at_ms)
        if target < plan.band_rule.size and plan.band_rule[target] >= 0:
            rows.ints[row, plan.offsets[p.OFFSET_RULES] + plan.band_rule[target] * RULE_COLUMNS + RULE_HELD] = MUTED
        return
    if target == current:
        if rows.ints[row, CANDIDATE] != INSUFFICIENT:
            rows.ints[row, CANDIDATE] = INSUFFICIENT
            rows.ints[row, CANDIDATE_SINCE] = 0
            rows.dirty[row] |= HOT
        return
    if rows.ints[row, CANDIDATE] != target:
        rows.ints[row, CANDIDATE] = target
        rows.ints[row, CANDIDATE_SINCE] = at_ms
        rows.dirty[row] |= HOT
    due = rows.ints[row, CANDIDATE_SINCE] + dwell_of(current, target, plan.dwell_ms)
    is_forced = work.contributions[work.contributions.size - 1] < -0.5 and target < current
    if is_forced or at_ms >= due:
        enter_band(plan, rows, work, row, target, at_ms)


@part
def rule_truth(plan: Plan, rows: Rows, work: Work, row: int, rule: int) -> bool:
    """Return whether a rule's condition holds: its band is the row's, or its expression is true."""
    band = plan.rules[rule, p.RULE_BAND]
    if band >= 0:
        return rows.ints[row, BAND] == band
    return holds(plan.steps, plan.rules[rule, p.RULE_PROGRAM], work.variables)


@part
def step_rules(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, from_band: int) -> None:
    """Move every rule of a row through its life cycle."""
    is_scored = not math.isnan(work.score[PICTURE_HEALTH])
    for rule in range(plan.rules.shape[0]):
        column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
        state = rows.ints[row, column + RULE_STATE]
        # Without enough data nothing is raised and nothing ends, but a band that is gone has ended.
        if not is_scored and plan.rules[rule, p.RULE_BAND] < 0:
            continue
        is_true = rule_truth(plan, rows, work, row, rule)
        if rows.ints[row, column + RULE_HELD] == MUTED:
            if is_true:
                continue
            rows.ints[row, column + RULE_HELD] = 0
            rows.dirty[row] |= HOT
        for_ms = plan.rules[rule, p.RULE_FOR]
        keep_ms = plan.rules[rule, p.RULE_KEEP]
        while True:
            since = rows.ints[row, column + RULE_SINCE]
            until = rows.ints[row, column + RULE_UNTIL]
            target = lifecycle.next_state(state, is_true, at_ms, since, until, for_ms, keep_ms)
            if target == lifecycle.NO_MOVE:
                break
            state = enter_rule_state(plan, rows, work, row, rule, state, target, at_ms, from_band)


@part
def next_timer(plan: Plan, rows: Rows, row: int, at_ms: int) -> int:
    """Return when the next timer of a row ends, after an instant: dwell, `for`, `keep_firing_for`, snooze, override."""
    due = NEVER
    for which in range(plan.overrides.shape[0]):
        since = rows.ints[row, plan.offsets[p.OFFSET_OVERRIDES] + which]
        ends = since + plan.overrides[which, p.OVERRIDE_FOR]
        if since != 0 and ends > at_ms:
            due = min(due, ends)
    if rows.ints[row, MANUAL_UNTIL] > at_ms:
        due = min(due, rows.ints[row, MANUAL_UNTIL])
    if rows.ints[row, CANDIDATE] != INSUFFICIENT:
        wait = dwell_of(rows.ints[row, BAND], rows.ints[row, CANDIDATE], plan.dwell_ms)
        due = min(due, rows.ints[row, CANDIDATE_SINCE] + wait)
    for rule in range(plan.rules.shape[0]):
        column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
        ends = lifecycle.due_at(
            rows.ints[row, column + RULE_STATE],
            rows.ints[row, column + RULE_SINCE],
            rows.ints[row, column + RULE_UNTIL],
            plan.rules[rule, p.RULE_FOR],
            plan.rules[rule, p.RULE_KEEP],
            NEVER,
        )
        if ends > at_ms:
            due = min(due, ends)
    return due


@part
def enter_rule_state(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, state: int, target: int, at_ms: int, from_band: int
) -> int:
    """Write a rule's new state to the row, announce it if it is one people hear of, and return it."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    is_back = state == lifecycle.CLEARING and target == lifecycle.FIRING
    if is_back:
        target = rows.ints[row, column + RULE_HELD]
        rows.ints[row, column + RULE_HELD] = 0
    if target == lifecycle.CLEARING:
        rows.ints[row, column + RULE_HELD] = state
    kept = lifecycle.INACTIVE if target == lifecycle.RESOLVED else target
    rows.ints[row, column + RULE_STATE] = kept
    rows.ints[row, column + RULE_SINCE] = at_ms
    if kept == lifecycle.INACTIVE:
        rows.ints[row, column + RULE_HELD] = 0
        rows.ints[row, column + RULE_UNTIL] = 0
    rows.dirty[row] |= HOT
    if target == lifecycle.FIRING and not is_back and state <= lifecycle.PENDING:
        rows.ints[row, column + RULE_EPISODE] += 1
    if not is_back and target in (lifecycle.FIRING, lifecycle.RESOLVED):
        announce(plan, rows, work, row, rule, target, at_ms, from_band, RESOLUTION_CONDITION)
    return kept


@part
def publish(rows: Rows, work: Work, row: int, has_moved: bool) -> None:
    """Mark the row for a snapshot when it `has_moved` or what was last published is no longer true enough."""
    health = micro(work.score[PICTURE_HEALTH])
    risk = micro(work.score[PICTURE_RISK])
    expansion = micro(work.score[PICTURE_EXPANSION])
    reason = -1
    most = 0.0
    if health != NO_VALUE:
        for k in range(work.contributions.size):
            if abs(work.contributions[k]) > most:
                most = abs(work.contributions[k])
                reason = k
    ints = rows.ints[row]
    known = ints[PUBLISHED_HEALTH]
    if has_moved or (health == NO_VALUE) != (known == NO_VALUE):
        is_news = True
    elif health == NO_VALUE:
        is_news = False
    else:
        is_news = (
            abs(health - known) >= HEALTH_STEP
            or abs(risk - ints[PUBLISHED_RISK]) >= PROBABILITY_STEP
            or abs(expansion - ints[PUBLISHED_EXPANSION]) >= PROBABILITY_STEP
            or reason != ints[PUBLISHED_REASON]
        )
    if is_news:
        ints[PUBLISHED_HEALTH] = health
        ints[PUBLISHED_RISK] = risk
        ints[PUBLISHED_EXPANSION] = expansion
        ints[PUBLISHED_REASON] = reason
        rows.dirty[row] |= SNAPSHOT


@part
def judge(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, may_publish: bool) -> None:
    """Decide everything that follows from the score in `work`."""
    moves_before = work.counts[COUNT_MOVES] + work.counts[COUNT_BAND_CHANGES]
    time_overrides(plan, rows, work, row, at_ms)
    from_band = rows.ints[row, BAND]
    move_band(plan, rows, work, row, at_ms)
    fill_late_variables(plan, rows, work, row, at_ms)
    step_rules(plan, rows, work, row, at_ms, from_band)
    has_moved = work.counts[COUNT_MOVES] + work.counts[COUNT_BAND_CHANGES] != moves_before
    if may_publish or has_moved:
        publish(rows, work, row, has_moved)


@entry
def resolve_all(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """End every alert of an account that is closed; its rules sleep from now on, and no dwell passes meanwhile."""
    score_at(plan, rows, work, row, at_ms)
    rows.ints[row, CANDIDATE] = INSUFFICIENT
    rows.ints[row, CANDIDATE_SINCE] = 0
    for rule in range(plan.rules.shape[0]):
        column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
        if rows.ints[row, column + RULE_STATE] > lifecycle.PENDING:
            announce(plan, rows, work, row, rule, lifecycle.RESOLVED, at_ms, rows.ints[row, BAND], RESOLUTION_CLOSED)
        rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE
        rows.ints[row, column + RULE_SINCE] = at_ms
        rows.ints[row, column + RULE_HELD] = 0


@entry
def enter_by_command(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, state: int, at_ms: int, until_ms: int
) -> None:
    """Put a rule into the state a person asked for and announce it. A resolved one waits until its condition was false."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    is_end = state == lifecycle.RESOLVED
    score_at(plan, rows, work, row, at_ms)
    rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE if is_end else state
    rows.ints[row, column + RULE_SINCE] = at_ms
    rows.ints[row, column + RULE_UNTIL] = until_ms
    rows.ints[row, column + RULE_HELD] = MUTED if is_end else 0
    announce(plan, rows, work, row, rule, state, at_ms, rows.ints[row, BAND], RESOLUTION_COMMAND)
