"""What is told of an account, as JSON: the members of score and alert records that follow from a row or a move.

Written by compiled code into a buffer, many records a call; `state.snapshots` and `state.alerts` put the account's name
and what a person entered around them.
"""

import math
from typing import Final

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from scoring import plan as p
from scoring.arrays import Floats, Ints
from scoring.compile import Compiled
from scoring.economics import GROW, MAINTAIN, PROTECT, RESCUE, quadrant
from scoring.jit import entry, handle, part
from scoring.pen import Bytes, put_number, put_text, put_time, put_units, put_whole, units_of
from scoring.plan import Plan
from scoring.reasons import LIMIT, Words, put_phrase, put_reasons, room_of, words_of
from scoring.trajectory import days_to_cross
from state.layout import (
    AMOUNT_UNIT,
    ARR,
    AS_OF,
    BAND,
    CLOSED,
    DAY_MS,
    INPUT_TOPICS,
    NO_VALUE,
    POSITIONS,
    RENEWAL_AT,
    ROW_TOPICS,
)
from state.rows import Rows
from state.score import account_value, extra_revenue, score_at
from state.work import (
    MOVE_AT,
    MOVE_BEFORE_DAYS,
    MOVE_EPISODE,
    MOVE_FROM_BAND,
    MOVE_POSITIONS,
    MOVE_SEGMENT,
    MOVE_SEQUENCE,
    MOVE_TO_BAND,
    PICTURE_ACCELERATION,
    PICTURE_COVERAGE,
    PICTURE_EXPANSION,
    PICTURE_FIXED,
    PICTURE_HEALTH,
    PICTURE_RISK,
    PICTURE_SLOPE,
    Work,
)

INSUFFICIENT_DATA: Final = "insufficient_data"
ETA_SPREAD: Final = 0.5
"""The crossing is given as a range: the same fall half as fast again, and a third slower."""
BUFFER_BYTES: Final = 1 << 18
"""About what fits a core's own cache beside the rows; a call fills it with hundreds of records."""
FIXED_BYTES: Final = 1_500
"""Room for everything but reasons, groups and band names."""
GROUP_BYTES: Final = 100
"""Room for a group's name, of 48 letters at most, and its points."""


class About(msgspec.Struct, omit_defaults=True):
    """The descriptive attributes that records show beside what the kernel tells."""

    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    plan: str | None = None


class Teller:
    """What all records of one model share: phrases, ready for the kernel, and the model's name.

    Parameters
    ----------
    compiled
        The model.

    Attributes
    ----------
    words
        Handle of the phrases: phrase 0 is `INSUFFICIENT_DATA`, then the bands, then the topics a row has positions of, then the groups.
    room : int
        Bytes that the members of one record take at most.
    buffer
        uint8, where the kernel writes: room for at least one record.
    model, horizon : bytes
        The members that name the model, and the days within which its risk and expansion are.
    """

    def __init__(self, compiled: Compiled) -> None:
        bands = compiled.model.band_names
        groups = [group.name for group in compiled.model.groups]
        words = words_of(compiled.model, [INSUFFICIENT_DATA, *bands, *INPUT_TOPICS[:ROW_TOPICS], *groups])
        self.words = handle(words)
        self.room = FIXED_BYTES + 2 * (LIMIT + 1) * room_of(words) + GROUP_BYTES * len(groups)
        self.buffer = np.empty(BUFFER_BYTES + self.room, np.uint8)
        model = compiled.model
        named = {"name": model.name, "version": model.version, "fingerprint": model.fingerprint}
        self.model = b'"model":' + orjson.dumps(named)
        self.horizon = b'"horizon_days":' + orjson.dumps(model.horizon_ms / DAY_MS)


@part
def put_quoted(words: Words, buffer: Bytes, place: int, phrase: int) -> int:
    """Write a phrase as a JSON string."""
    place = put_text(buffer, place, b'"')
    return put_text(buffer, put_phrase(words, buffer, place, phrase), b'"')


@part
def put_positions(plan: Plan, words: Words, buffer: Bytes, place: int, positions: Ints) -> int:
    """Write input topic → offset of the account's last event there, of the topics it ever sent on."""
    first = plan.band_rule.size + 2
    place = put_text(buffer, place, b'"positions":{')
    count = 0
    for topic in range(ROW_TOPICS):
        if positions[topic] >= 0:
            if count > 0:
                place = put_text(buffer, place, b",")
            place = put_quoted(words, buffer, place, first + topic)
            place = put_whole(buffer, put_text(buffer, place, b":"), positions[topic])
            count += 1
    return put_text(buffer, place, b"}")


@part
def put_scores(buffer: Bytes, place: int, picture: Floats) -> int:
    """Write the members that snapshots and alerts share."""
    place = put_number(buffer, put_text(buffer, place, b'"health":'), picture[PICTURE_HEALTH])
    place = put_number(buffer, put_text(buffer, place, b',"risk":'), picture[PICTURE_RISK])
    place = put_number(buffer, put_text(buffer, place, b',"expansion":'), picture[PICTURE_EXPANSION])
    return put_number(buffer, put_text(buffer, place, b',"coverage":'), picture[PICTURE_COVERAGE])


@part
def put_why(
    words: Words, buffer: Bytes, place: int, health: float, values: Floats, contributions: Floats, none: Floats
) -> int:
    """Write the reasons of a score; `none` are contributions of 0."""
    place = put_text(buffer, place, b',"reasons":')
    if math.isnan(health):
        place = put_text(buffer, place, b'[{"code":"INSUFFICIENT_DATA","text":"too little is known of this account ')
        return put_text(buffer, place, b'to score it","contribution":0.0}]')
    return put_reasons(words, buffer, place, values, contributions, none, 0)


@part
def put_quadrant(plan: Plan, buffer: Bytes, place: int, risk: float, expansion: float) -> int:
    """Write which quadrant of risk and expansion an account lies in; nothing without a score."""
    which = quadrant(risk, expansion, plan.constants[p.RISKY_FROM], plan.constants[p.EXPANDING_FROM])
    if which == MAINTAIN:
        return put_text(buffer, place, b',"quadrant":"maintain"')
    if which == RESCUE:
        return put_text(buffer, place, b',"quadrant":"rescue"')
    if which == GROW:
        return put_text(buffer, place, b',"quadrant":"grow"')
    return put_text(buffer, place, b',"quadrant":"protect"') if which == PROTECT else place


@part
def put_groups(plan: Plan, words: Words, buffer: Bytes, place: int, contributions: Floats) -> int:
    """Write group → points its inputs contribute together."""
    first = plan.band_rule.size + 2 + ROW_TOPICS
    place = put_text(buffer, place, b',"groups":{')
    for group in range(np.int64(plan.constants[p.GROUPS])):
        points = 0.0
        for which in range(plan.groups.size):
            if plan.groups[which] == group:
                points += contributions[which]
        place = put_text(buffer, place, b",") if group > 0 else place
        place = put_quoted(words, buffer, place, first + group)
        place = put_units(buffer, put_text(buffer, place, b":"), units_of(points, 1e6), 6)
    return put_text(buffer, place, b"}")


@part
def put_snapshot(
    plan: Plan, rows: Rows, work: Work, words: Words, row: int, at_ms: int, sequence: int, buffer: Bytes, place: int
) -> int:
    """Write the members of a snapshot of the score in `work`."""
    place = put_time(buffer, put_text(buffer, place, b'"at":"'), at_ms)
    place = put_scores(buffer, put_text(buffer, place, b'",'), work.score)
    place = put_text(buffer, place, b',"band":')
    place = put_quoted(words, buffer, place, rows.ints[row, BAND] + 1)
    place = put_number(buffer, put_text(buffer, place, b',"slope_per_day":'), work.score[PICTURE_SLOPE])
    place = put_text(buffer, place, b',"value":')
    yearly = rows.ints[row, ARR]
    if yearly == NO_VALUE:
        place = put_text(buffer, place, b"null")
    else:
        place = put_units(buffer, place, yearly, 4)
        current = yearly / AMOUNT_UNIT
        place = put_text(buffer, place, b',"potential_value":')
        place = put_units(buffer, place, units_of(current + extra_revenue(plan, rows, row, current), 1e2), 2)
        risk = work.score[PICTURE_RISK]
        if not math.isnan(risk):
            place = put_text(buffer, place, b',"value_at_risk":')
            place = put_units(buffer, place, units_of(risk * yearly / AMOUNT_UNIT, 1e2), 2)
            worth = account_value(plan, rows, row, risk, work.score[PICTURE_EXPANSION])
            place = put_text(buffer, place, b',"expected_value":')
            place = put_units(buffer, place, units_of(worth, 1e2), 2)
    place = put_quadrant(plan, buffer, place, work.score[PICTURE_RISK], work.score[PICTURE_EXPANSION])
    if rows.ints[row, RENEWAL_AT] != NO_VALUE:
        place = put_time(buffer, put_text(buffer, place, b',"renewal_at":"'), rows.ints[row, RENEWAL_AT])
        place = put_text(buffer, place, b'"')
    place = put_whole(buffer, put_text(buffer, place, b',"sequence":'), sequence)
    place = put_why(words, buffer, place, work.score[PICTURE_HEALTH], work.values, work.contributions, work.nothing)
    if plan.constants[p.GROUPS] > 0:
        place = put_groups(plan, words, buffer, place, work.contributions)
    place = put_text(buffer, place, b",")
    return put_positions(plan, words, buffer, place, rows.ints[row, POSITIONS : POSITIONS + ROW_TOPICS])


@entry
def tell_rows(
    plan: Plan,
    rows: Rows,
    work: Work,
    words: Words,
    chosen: NDArray[np.int64],
    first: int,
    clock_ms: int,
    sequence: int,
    room: int,
    buffer: Bytes,
    ends: NDArray[np.int64],
    at: NDArray[np.int64],
) -> int:
    """Score rows as of the clock or their own later time and write their snapshots while the buffer has room.

    Changes no row.

    Parameters
    ----------
    chosen : int64 array, row numbers
    first : int, where in `chosen` to start
    sequence : int, number of the flush, or step of a replay, that carries the snapshots
    room : int, `Teller.room`; the buffer has at least that many bytes
    ends : int64 array [row of `chosen`], written: where its members end
    at : int64 array [row of `chosen`], written: the as-of time, ms

    Returns
    -------
    int
        How many of `chosen` are done.
    """
    place = 0
    for k in range(first, chosen.size):
        if place + room > buffer.size:
            return k
        row = chosen[k]
        as_of = rows.ints[row, AS_OF]
        if rows.ints[row, CLOSED] == 0:
            as_of = max(as_of, clock_ms)
        at[k] = as_of
        score_at(plan, rows, work, row, as_of)
        place = put_snapshot(plan, rows, work, words, row, as_of, sequence, buffer, place)
        ends[k] = place
    return chosen.size


@part
def put_crossing(
    words: Words, enter_below: Floats, buffer: Bytes, place: int, health: float, slope: float, at_ms: int
) -> int:
    """Write when a falling health meets the next band below, as a range; null where it does not fall."""
    for band in range(enter_below.size - 1, -1, -1):
        if health >= enter_below[band]:
            days = days_to_cross(health, enter_below[band], slope)
            if math.isnan(days):
                break
            span = days * DAY_MS
            place = put_quoted(words, buffer, put_text(buffer, place, b'{"band":'), band + 1)
            place = put_time(buffer, put_text(buffer, place, b',"at":"'), at_ms + np.int64(span + 0.5))
            earliest = at_ms + np.int64(span / (1.0 + ETA_SPREAD) + 0.5)
            place = put_time(buffer, put_text(buffer, place, b'","earliest":"'), earliest)
            latest = at_ms + np.int64(span * (1.0 + ETA_SPREAD) + 0.5)
            place = put_time(buffer, put_text(buffer, place, b'","latest":"'), latest)
            return put_text(buffer, place, b'"}')
    return put_text(buffer, place, b"null")


@part
def put_move(
    plan: Plan, words: Words, move: Ints, picture: Floats, none: Floats, sequence: int, buffer: Bytes, place: int
) -> int:
    """Write the members of an alert that follow from its move and the picture beside it."""
    place = put_time(buffer, put_text(buffer, place, b'"occurred_at":"'), move[MOVE_AT])
    place = put_whole(buffer, put_text(buffer, place, b'","sequence":'), move[MOVE_SEQUENCE])
    place = put_whole(buffer, put_text(buffer, place, b',"episode":'), move[MOVE_EPISODE])
    place = put_quoted(words, buffer, put_text(buffer, place, b',"from_band":'), move[MOVE_FROM_BAND] + 1)
    place = put_quoted(words, buffer, put_text(buffer, place, b',"to_band":'), move[MOVE_TO_BAND] + 1)
    place = put_scores(buffer, put_text(buffer, place, b',"scores":{'), picture)
    health = picture[PICTURE_HEALTH]
    slope = picture[PICTURE_SLOPE]
    place = put_number(buffer, put_text(buffer, place, b'},"trajectory":{"slope_per_day":'), slope)
    place = put_number(buffer, put_text(buffer, place, b',"acceleration":'), picture[PICTURE_ACCELERATION])
    place = put_text(buffer, place, b',"expected_crossing":')
    enter_below = plan.enter_below[move[MOVE_SEGMENT]]
    place = put_crossing(words, enter_below, buffer, place, health, slope, move[MOVE_AT])
    place = put_text(buffer, place, b"}")
    start = PICTURE_FIXED + plan.values.shape[0] + plan.inputs.shape[0]
    width = plan.inputs.shape[0] + 2
    values = picture[PICTURE_FIXED:]
    contributions = picture[start : start + width]
    place = put_why(words, buffer, place, health, values, contributions, none)
    place = put_text(buffer, place, b',"why_it_moved":')
    days = move[MOVE_BEFORE_DAYS]
    if days == 0 or math.isnan(health):
        place = put_text(buffer, place, b"[]")
    else:
        before = picture[start + width : start + 2 * width]
        place = put_reasons(words, buffer, place, values, contributions, before, days)
    place = put_text(buffer, place, b',"decided_at":{"journal_sequence":')
    place = put_text(buffer, put_whole(buffer, place, sequence), b",")
    place = put_positions(plan, words, buffer, place, move[MOVE_POSITIONS : MOVE_POSITIONS + ROW_TOPICS])
    return put_text(buffer, place, b"}")


@entry
def tell_moves(
    plan: Plan,
    work: Work,
    words: Words,
    moves: NDArray[np.int64],
    pictures: NDArray[np.float64],
    first: int,
    sequence: int,
    room: int,
    buffer: Bytes,
    ends: NDArray[np.int64],
) -> int:
    """Write the members of alerts from number `first` on while the buffer has room; return how many are done.

    Parameters
    ----------
    moves, pictures : lines of `Work.moves` and `Work.pictures`
    sequence : int, number of the flush that carries the alerts
    room : int, `Teller.room`; the buffer has at least that many bytes
    ends : int64 array [move], written: where its members end
    """
    place = 0
    for k in range(first, moves.shape[0]):
        if place + room > buffer.size:
            return k
        place = put_move(plan, words, moves[k], pictures[k], work.nothing, sequence, buffer, place)
        ends[k] = place
    return moves.shape[0]
