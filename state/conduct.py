"""What an alert's conduct adds to its life: muting by others, caps, flapping, escalation, overdue steps, repetition."""

import numpy as np

from scoring import caps, flapping, lifecycle
from scoring import plan as p
from scoring.jit import part
from scoring.plan import Plan
from state.announce import announce, contact_free_at, suppressions
from state.layout import (
    BEGUN,
    DAY,
    HOT,
    RULE_COLUMNS,
    RULE_FIRED,
    RULE_HISTORY,
    RULE_STATE,
    RULE_TOLD,
)
from state.rows import Rows
from state.work import (
    MARK_REPEATED,
    RESOLUTION_CONDITION,
    Work,
)


@part
def is_muted_by_others(plan: Plan, rows: Rows, row: int, rule: int) -> bool:
    """Return whether a rule that mutes this one is open; those stand before it and have moved already."""
    others = plan.rules[rule, p.RULE_MUTED_BY]
    if others == 0:
        return False
    for other in range(rule):
        state = rows.ints[row, plan.offsets[p.OFFSET_RULES] + other * RULE_COLUMNS + RULE_STATE]
        if (others >> other) & 1 and state > lifecycle.PENDING:
            return True
    return False


@part
def calm_down(plan: Plan, rows: Rows, row: int, rule: int) -> None:
    """Let a flapping rule end again once few enough of its last days saw a change."""
    place = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS + RULE_HISTORY
    history = rows.ints[row, place]
    if history & flapping.FLAPPING:
        weight = flapping.share(history, rows.derived[row, DAY])
        if weight < plan.rules[rule, p.RULE_FLAP_LEAVE] * flapping.SLOTS:
            rows.ints[row, place] = history - flapping.FLAPPING
            rows.dirty[row] |= HOT


@part
def note_change(plan: Plan, rows: Rows, row: int, rule: int, is_begin: bool) -> None:
    """Note that a rule changed today; one that begins an episode may turn out to flap."""
    enter = plan.rules[rule, p.RULE_FLAP_ENTER]
    if enter == 0:
        return
    place = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS + RULE_HISTORY
    day = rows.derived[row, DAY]
    history = flapping.changed(rows.ints[row, place], day)
    if is_begin and flapping.share(history, day) >= enter * flapping.SLOTS:
        history |= flapping.FLAPPING
    rows.ints[row, place] = history


@part
def count_begin(plan: Plan, rows: Rows, row: int, rule: int) -> None:
    """Count an alert that begins against the account's cap, or mark it as one beyond that."""
    cap = np.int64(plan.constants[p.ACCOUNT_CAP])
    if cap == 0:
        return
    day, begun = rows.derived[row, DAY], rows.ints[row, BEGUN]
    is_over = caps.total(begun, day, np.int64(plan.constants[p.ACCOUNT_CAP_DAYS])) >= cap
    if is_over and plan.rules[rule, p.RULE_URGENT] == 0:
        rows.ints[row, plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS + RULE_HISTORY] |= flapping.CAPPED
    else:
        rows.ints[row, BEGUN] = caps.counted(begun, day)


@part
def insist(plan: Plan, rows: Rows, work: Work, row: int, rule: int, at_ms: int, from_band: int, is_muted: bool) -> None:
    """Announce again what fires and nobody answers: graver or overdue when it is time, else when it is to be repeated."""
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    history, fired = rows.ints[row, column + RULE_HISTORY], rows.ints[row, column + RULE_FIRED]
    after, repeat, due = (
        plan.rules[rule, p.RULE_ESCALATE],
        plan.rules[rule, p.RULE_REPEAT],
        plan.rules[rule, p.RULE_DUE],
    )
    is_news = False
    if after > 0 and not history & flapping.ESCALATED and at_ms >= fired + after:
        history = (history | flapping.ESCALATED) & ~flapping.CAPPED  # what grew graver has a right to be heard
        is_news = True
    is_late = due > 0 and not history & (flapping.OVERDUE | flapping.ANSWERED) and at_ms >= fired + due
    # Nobody is late with what nobody should do.
    if is_late and at_ms >= contact_free_at(plan, rows, row, rule) and suppressions(plan, work, rule) == 0:
        history |= flapping.OVERDUE
        is_news = True
    if is_news:
        rows.ints[row, column + RULE_HISTORY] = history
        announce(plan, rows, work, row, rule, lifecycle.FIRING, at_ms, from_band, RESOLUTION_CONDITION, 0)
    elif (
        repeat > 0
        and not is_muted
        and not history & flapping.FLAPPING
        and at_ms >= rows.ints[row, column + RULE_TOLD] + repeat
    ):
        announce(plan, rows, work, row, rule, lifecycle.FIRING, at_ms, from_band, RESOLUTION_CONDITION, MARK_REPEATED)


@part
def forget_episode(rows: Rows, row: int, column: int) -> None:
    """Clear what belonged to an episode that has ended; the days with changes stay."""
    rows.ints[row, column + RULE_FIRED] = 0
    rows.ints[row, column + RULE_TOLD] = 0
    rows.ints[row, column + RULE_HISTORY] &= ~flapping.MARKS
