"""Decisions at one evaluation: overrides' timers, band with hysteresis and dwell, rules' life cycle, publication.

Called after `score_at` has filled `work`. What changes here is written to the row and marked dirty; what must be
announced becomes a line of `work.moves` with a picture of the score beside it.
"""

import math

import numpy as np

from scoring import flapping, lifecycle
from scoring import plan as p
from scoring.bands import INSUFFICIENT, band_of, dwell_of
from scoring.jit import entry, inlined, part
from scoring.plan import Plan
from scoring.vm import holds
from state.announce import announce, contact_free_at
from state.conduct import calm_down, count_begin, forget_episode, insist, is_muted_by_others, note_change
from state.layout import (
    AWAKE,
    BAND,
    BAND_SINCE,
    CANDIDATE,
    CANDIDATE_SINCE,
    HOT,
    MANUAL_UNTIL,
    MICRO,
    MODEL_SEGMENT,
    NEVER,
    NO_VALUE,
    PUBLISHED_EXPANSION,
    PUBLISHED_HEALTH,
    PUBLISHED_REASON,
    PUBLISHED_RISK,
    RULE_COLUMNS,
    RULE_EPISODE,
    RULE_FIRED,
    RULE_HELD,
    RULE_HISTORY,
    RULE_SINCE,
    RULE_STATE,
    RULE_TOLD,
    RULE_UNTIL,
    SNAPSHOT,
)
from state.rows import Rows
from state.score import fill_late_variables, score_at
from state.work import (
    COUNT_BAND_CHANGES,
    COUNT_MOVES,
    PICTURE_EXPANSION,
    PICTURE_HEALTH,
    PICTURE_RISK,
    RESOLUTION_CLOSED,
    RESOLUTION_COMMAND,
    RESOLUTION_CONDITION,
    Work,
)

HEALTH_STEP = 100_000
"""A snapshot is published when health moved by 0.1 points …"""
PROBABILITY_STEP = 1_000
"""… or a probability by 0.001 (both in millionths)."""
MUTED = -1
"""In RULE_HELD: the condition held when the account's first band was set; it raises no alert until it was false once."""


@inlined
def micro(number: float) -> int:
    """Return a number as whole millionths, NO_VALUE for NaN."""
    return NO_VALUE if math.isnan(number) else np.int64(math.floor(number * MICRO + 0.5))


@inlined
def time_overrides(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Note since when each override's condition holds."""
    for which in range(plan.overrides.shape[0]):
        column = plan.offsets[p.OFFSET_OVERRIDES] + which
        since = rows.ints[row, column]
        if work.truths[which] != 0:
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


@inlined
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
    segment = rows.derived[row, MODEL_SEGMENT]
    target = band_of(health, current, plan.enter_below[segment], plan.leave_above[segment])
    if current == INSUFFICIENT:
        enter_band(plan, rows, work, row, target, at_ms)
        if target < plan.band_rule.size and plan.band_rule[target] >= 0:
            rule = plan.band_rule[target]
            rows.ints[row, plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS + RULE_HELD] = MUTED
            rows.derived[row, AWAKE] |= 1 << rule
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
    due = rows.ints[row, CANDIDATE_SINCE] + dwell_of(current, target, plan.dwell_ms[segment])
    is_forced = work.contributions[work.contributions.size - 1] < -0.5 and target < current
    if is_forced or at_ms >= due:
        enter_band(plan, rows, work, row, target, at_ms)


@inlined
def rule_truth(plan: Plan, rows: Rows, work: Work, row: int, rule: int) -> bool:
    """Return whether a rule's condition holds: its band is the row's, or its expression is true."""
    band = plan.rules[rule, p.RULE_BAND]
    if band >= 0:
        return rows.ints[row, BAND] == band
    return holds(plan.steps, plan.ranges, plan.rules[rule, p.RULE_PROGRAM], work.variables)


@inlined
def note_rest(plan: Plan, rows: Rows, row: int, rule: int, at_ms: int) -> None:
    """Note whether a rule is at rest at an instant: inactive, nothing to wait for, nothing held, not flapping."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    is_awake = (
        rows.ints[row, column + RULE_STATE] != lifecycle.INACTIVE
        or rows.ints[row, column + RULE_UNTIL] > at_ms
        or rows.ints[row, column + RULE_HELD] != 0
        or rows.ints[row, column + RULE_HISTORY] & flapping.FLAPPING != 0
    )
    if is_awake:
        rows.derived[row, AWAKE] |= 1 << rule
    else:
        rows.derived[row, AWAKE] &= ~(1 << rule)


@inlined
def step_rules(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, from_band: int) -> None:
    """Move every rule of a row through its life cycle."""
    is_scored = not math.isnan(work.score[PICTURE_HEALTH])
    for rule in range(plan.rules.shape[0]):
        # Without enough data nothing is raised and nothing ends, but a band that is gone has ended.
        if not is_scored and plan.rules[rule, p.RULE_BAND] < 0:
            continue
        is_true = rule_truth(plan, rows, work, row, rule)
        if not is_true and rows.derived[row, AWAKE] >> rule & 1 == 0:
            continue  # at rest, and nothing wakes it: its columns need not be fetched
        column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
        state = rows.ints[row, column + RULE_STATE]
        if rows.ints[row, column + RULE_HELD] == MUTED:
            if is_true:
                continue
            rows.ints[row, column + RULE_HELD] = 0
            rows.dirty[row] |= HOT
        for_ms = plan.rules[rule, p.RULE_FOR]
        keep_ms = plan.rules[rule, p.RULE_KEEP]
        is_muted = is_muted_by_others(plan, rows, row, rule)
        calm_down(plan, rows, row, rule)
        while True:
            since = rows.ints[row, column + RULE_SINCE]
            until = rows.ints[row, column + RULE_UNTIL]
            is_flapping = rows.ints[row, column + RULE_HISTORY] & flapping.FLAPPING != 0
            target = lifecycle.next_state(state, is_true, at_ms, since, until, for_ms, keep_ms, is_muted, is_flapping)
            if target == lifecycle.NO_MOVE:
                break
            state = enter_rule_state(plan, rows, work, row, rule, state, target, at_ms, from_band)
        if state == lifecycle.FIRING:
            insist(plan, rows, work, row, rule, at_ms, from_band, is_muted)
        note_rest(plan, rows, row, rule, at_ms)


@inlined
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
        dwell_ms = plan.dwell_ms[rows.derived[row, MODEL_SEGMENT]]
        wait = dwell_of(rows.ints[row, BAND], rows.ints[row, CANDIDATE], dwell_ms)
        due = min(due, rows.ints[row, CANDIDATE_SINCE] + wait)
    awake = rows.derived[row, AWAKE]
    for rule in range(plan.rules.shape[0]):
        if awake >> rule == 0:
            break
        if awake >> rule & 1 == 0:
            continue
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
        if rows.ints[row, column + RULE_STATE] == lifecycle.FIRING:
            after, repeat = plan.rules[rule, p.RULE_ESCALATE], plan.rules[rule, p.RULE_REPEAT]
            ends = rows.ints[row, column + RULE_FIRED] + after
            if after > 0 and ends > at_ms:
                due = min(due, ends)
            ends = rows.ints[row, column + RULE_TOLD] + repeat
            if repeat > 0 and ends > at_ms:
                due = min(due, ends)
            ends = max(
                rows.ints[row, column + RULE_FIRED] + plan.rules[rule, p.RULE_DUE],
                contact_free_at(plan, rows, row, rule),
            )
            is_told = rows.ints[row, column + RULE_HISTORY] & (flapping.OVERDUE | flapping.ANSWERED) != 0
            if ends > at_ms and not is_told:
                due = min(due, ends)
    return due


@part
def enter_rule_state(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, state: int, target: int, at_ms: int, from_band: int
) -> int:
    """Write a rule's new state to the row, announce it if it is one people hear of, and return it."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    is_back = state == lifecycle.CLEARING and target == lifecycle.FIRING
    is_flapping = rows.ints[row, column + RULE_HISTORY] & flapping.FLAPPING != 0
    if is_flapping and (is_back or target == lifecycle.CLEARING):
        note_change(plan, rows, row, rule, False)  # nobody hears of it, but calm it is not
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
        rows.ints[row, column + RULE_FIRED] = at_ms
        note_change(plan, rows, row, rule, True)
        count_begin(plan, rows, row, rule)
    if not is_back and target in (lifecycle.FIRING, lifecycle.RESOLVED):
        announce(plan, rows, work, row, rule, target, at_ms, from_band, RESOLUTION_CONDITION, 0)
    if target == lifecycle.RESOLVED:
        note_change(plan, rows, row, rule, False)
        forget_episode(rows, row, column)
        refractory = plan.rules[rule, p.RULE_REFRACTORY]
        if refractory > 0:
            rows.ints[row, column + RULE_UNTIL] = at_ms + refractory
    return kept


@inlined
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


@inlined
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
            announce(plan, rows, work, row, rule, lifecycle.RESOLVED, at_ms, rows.ints[row, BAND], RESOLUTION_CLOSED, 0)
        rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE
        rows.ints[row, column + RULE_SINCE] = at_ms
        rows.ints[row, column + RULE_UNTIL] = 0
        rows.ints[row, column + RULE_HELD] = 0
        forget_episode(rows, row, column)
        rows.ints[row, column + RULE_HISTORY] = 0  # a customer who comes back begins anew
    rows.derived[row, AWAKE] = 0


@entry
def enter_by_command(
    plan: Plan, rows: Rows, work: Work, row: int, rule: int, state: int, at_ms: int, until_ms: int
) -> None:
    """Put a rule into the state a person asked for and announce it.

    A resolved alert waits until its condition was false; a resolved review asks again when its time has come.
    """
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    is_end = state == lifecycle.RESOLVED
    score_at(plan, rows, work, row, at_ms)
    rows.ints[row, column + RULE_STATE] = lifecycle.INACTIVE if is_end else state
    rows.ints[row, column + RULE_SINCE] = at_ms
    rows.ints[row, column + RULE_UNTIL] = until_ms
    rows.ints[row, column + RULE_HELD] = MUTED if is_end and plan.rules[rule, p.RULE_EVERY] == 0 else 0
    rows.derived[row, AWAKE] |= 1 << rule
    announce(plan, rows, work, row, rule, state, at_ms, rows.ints[row, BAND], RESOLUTION_COMMAND, 0)
    if is_end:
        forget_episode(rows, row, column)
