"""Puts a decision into `work.moves`, with the picture of the score it was made on, for alerts to be written from."""

import math

from scoring import flapping, lifecycle
from scoring import plan as p
from scoring.jit import part
from scoring.plan import Plan
from scoring.vm import holds
from state.layout import (
    ALERT_SEQUENCE,
    BAND,
    CLOSE_DAYS,
    CLOSE_UNIT,
    DAY,
    HOT,
    MODEL_SEGMENT,
    NO_CLOSE,
    POSITIONS,
    ROW_TOPICS,
    RULE_COLUMNS,
    RULE_EPISODE,
    RULE_FIRED,
    RULE_HISTORY,
    RULE_TOLD,
    SNAPSHOT,
    TILE_DAYS,
)
from state.rows import Rows
from state.work import (
    COUNT_MOVES,
    MARK_CAPPED,
    MARK_ESCALATED,
    MARK_FLAPPING,
    MARK_OVERDUE,
    MARK_SUPPRESSED,
    MOVE_AT,
    MOVE_BEFORE_DAYS,
    MOVE_EPISODE,
    MOVE_FIRED,
    MOVE_FROM_BAND,
    MOVE_MARKS,
    MOVE_POSITIONS,
    MOVE_RESOLUTION,
    MOVE_ROW,
    MOVE_RULE,
    MOVE_SEGMENT,
    MOVE_SEQUENCE,
    MOVE_STATE,
    MOVE_TO_BAND,
    PICTURE_FIXED,
    Work,
)

COMPARED_DAYS = CLOSE_DAYS - 1
"""`why it moved` compares with the close this many days ago, or the oldest one kept since."""


@part
def before(plan: Plan, rows: Rows, row: int, picture: int, work: Work, line: int) -> int:
    """Copy the contributions of the day close that `why it moved` compares with; return its age in days, 0 = none."""
    width = plan.inputs.shape[0] + 2
    day = rows.derived[row, DAY]
    for age in range(COMPARED_DAYS, 0, -1):
        if rows.totals[row, (day - age) % TILE_DAYS] != NO_CLOSE:
            place = (day - age) % CLOSE_DAYS
            for k in range(width):
                work.pictures[line, picture + k] = rows.closes[row, place * width + k] / CLOSE_UNIT
            return age
    for k in range(width):
        work.pictures[line, picture + k] = math.nan
    return 0


@part
def suppressions(plan: Plan, work: Work, rule: int) -> int:
    """Return a bit for each condition that suppresses the outreach of a rule's playbook now, after `score_at`."""
    found = 0
    for which in range(p.SUPPRESSIONS):
        program = plan.rules[rule, p.RULE_SUPPRESS + which]
        if program == p.NO_PROGRAM:
            break
        if holds(plan.steps, plan.ranges, program, work.variables):
            found |= 1 << which
    return found


@part
def contact_free_at(plan: Plan, rows: Rows, row: int, rule: int) -> int:
    """Return from when on a rule's playbook allows getting in touch again, ms; 0 where its cap was not reached."""
    which = plan.rules[rule, p.RULE_CONTACT]
    return 0 if which < 0 else rows.derived[row, plan.offsets[p.OFFSET_CONTACTS] + which]


@part
def announce(
    plan: Plan,
    rows: Rows,
    work: Work,
    row: int,
    rule: int,
    state: int,
    at_ms: int,
    from_band: int,
    resolution: int,
    marks: int,
) -> None:
    """Write one move and the picture of the score that goes with it; gives the alert its sequence number.

    `marks` are those of this announcement; what its episode is marked with joins them.
    """
    line = work.counts[COUNT_MOVES]
    work.counts[COUNT_MOVES] = line + 1
    sequence = rows.ints[row, ALERT_SEQUENCE] + 1
    rows.ints[row, ALERT_SEQUENCE] = sequence
    move = work.moves[line]
    move[MOVE_ROW] = row
    move[MOVE_RULE] = rule
    move[MOVE_STATE] = state
    move[MOVE_AT] = at_ms
    column = plan.offsets[p.OFFSET_RULES] + rule * RULE_COLUMNS
    move[MOVE_EPISODE] = rows.ints[row, column + RULE_EPISODE]
    move[MOVE_FIRED] = rows.ints[row, column + RULE_FIRED]
    history = rows.ints[row, column + RULE_HISTORY]
    if history & flapping.FLAPPING:
        marks |= MARK_FLAPPING
    if history & flapping.ESCALATED:
        marks |= MARK_ESCALATED
    if history & flapping.OVERDUE:
        marks |= MARK_OVERDUE
    if history & flapping.CAPPED:
        marks |= MARK_CAPPED
    if state != lifecycle.RESOLVED:
        marks |= MARK_SUPPRESSED * suppressions(plan, work, rule)
    move[MOVE_MARKS] = marks
    if state == lifecycle.FIRING:
        rows.ints[row, column + RULE_TOLD] = at_ms
    move[MOVE_SEQUENCE] = sequence
    move[MOVE_FROM_BAND] = from_band
    move[MOVE_TO_BAND] = rows.ints[row, BAND]
    move[MOVE_SEGMENT] = rows.derived[row, MODEL_SEGMENT]
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
