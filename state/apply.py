"""Events happen to rows: the compiled loop over the columns of a chunk.

For each event, in log order: skip it if its row has seen its offset; let time pass up to its instant (or the row's, or
the partition's clock, whichever is latest); refuse it if it is older than the tiles; add it to its signals; score and
judge the row.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring import plan as p
from scoring.jit import entry, inlined
from scoring.plan import Plan
from state.advance import advance, settle, sleep_until, start_row, wait_for_next
from state.ahead import fetch_columns, fetch_items, fetch_places, fetch_tiles
from state.items import close_item, escalate_item, identity_of, open_item, see_distinct
from state.layout import (
    AS_OF,
    CLOSED,
    COLD,
    COLD_DAY,
    DAY,
    DAY_MS,
    FIRST_AT,
    HOT,
    LAST_AT,
    LAST_VALUE,
    MRR,
    NO_VALUE,
    POSITIONS,
    SEATS,
    SIGNAL_COLUMNS,
    TILE_DAYS,
    TODAY,
    TOPICS_SEEN,
)
from state.rows import Rows
from state.tiles import add_to_tile, tile
from state.work import COUNT_MOVES, COUNT_SKIPPED, COUNT_UNTRACKED, Work

APPLIED = 0
SKIPPED = 1
NO_ROOM = 2
EXPIRED = 3
DROPPED = 4


class Events(NamedTuple):
    """Columns of a chunk's events, in log order; units as in `state.columns`.

    ``row`` (row number), ``topic`` (number of the topic whose position the event advances), ``bit`` (of TOPICS_SEEN, of
    the event's own topic), ``code`` (route, `scoring.compile.Vocabulary`), ``offset``, ``at`` (ms), ``user``/``name``/
    ``item`` (64-bit hashes, 0 = none), ``quantity``, ``amount``, ``due`` (ms), ``severity``, ``score``, ``seats``, ``mrr``.
    """

    row: NDArray[np.int64]
    topic: NDArray[np.int64]
    bit: NDArray[np.int64]
    code: NDArray[np.int64]
    offset: NDArray[np.int64]
    at: NDArray[np.int64]
    user: NDArray[np.uint64]
    name: NDArray[np.uint64]
    item: NDArray[np.uint64]
    quantity: NDArray[np.int64]
    amount: NDArray[np.int64]
    due: NDArray[np.int64]
    severity: NDArray[np.int8]
    score: NDArray[np.int64]
    seats: NDArray[np.int64]
    mrr: NDArray[np.int64]


@entry
def begin(plan: Plan, rows: Rows, work: Work, row: int, topic: int, offset: int, at_ms: int, clock_ms: int) -> int:
    """Make a row ready for an event at an instant: APPLIED, or why the event does not reach it.

    On NO_ROOM nothing of the event was noted: take the moves away and call again. After SKIPPED and EXPIRED there is
    nothing left to do.
    """
    if offset <= rows.ints[row, POSITIONS + topic]:
        work.counts[COUNT_SKIPPED] += 1
        return SKIPPED
    as_of = rows.ints[row, AS_OF]
    target = max(at_ms, clock_ms)
    if as_of == NO_VALUE:
        start_row(rows, row, target)
        wait_for_next(plan, rows, row, target)
    else:
        target = max(target, as_of)
        if rows.ints[row, CLOSED] != 0:
            sleep_until(plan, rows, row, target)
        if not advance(plan, rows, work, row, target):
            return NO_ROOM
    # The event itself may move every rule, and a command one more.
    if work.counts[COUNT_MOVES] > work.moves.shape[0] - 2 * plan.rules.shape[0] - 1:
        return NO_ROOM
    rows.ints[row, POSITIONS + topic] = offset
    rows.dirty[row] |= HOT
    day = at_ms // DAY_MS
    if day <= rows.derived[row, DAY] - TILE_DAYS:
        return EXPIRED
    if day < rows.ints[row, COLD_DAY]:
        rows.dirty[row] |= COLD
    first_at = rows.ints[row, FIRST_AT]
    if first_at == NO_VALUE or at_ms < first_at:
        rows.ints[row, FIRST_AT] = at_ms
    return APPLIED


@inlined
def keep_last(rows: Rows, row: int, block: int, at_ms: int, number: int) -> None:
    """Keep a signal's latest value; of two at the same instant the greater, so that order does not matter."""
    known_at = rows.ints[row, block + LAST_AT]
    if number == NO_VALUE or at_ms < known_at:
        return
    if at_ms > known_at or number > rows.ints[row, block + LAST_VALUE]:
        rows.ints[row, block + LAST_AT] = at_ms
        rows.ints[row, block + LAST_VALUE] = number


@inlined
def add_counted(plan: Plan, rows: Rows, row: int, signal: int, day: int, amount: int) -> None:
    """Add to one day's tile and to the total of all time, in which the tiles that have fallen out still count."""
    add_to_tile(plan, rows, row, signal, day, amount)
    total = plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_VALUE
    if rows.ints[row, total] == NO_VALUE:
        rows.ints[row, total] = 0
    rows.ints[row, total] += amount


@inlined
def add_measure(plan: Plan, rows: Rows, row: int, signal: int, events: Events, i: int) -> None:
    """Add one event to a signal that counts, sums, or remembers."""
    measure = plan.signals[signal, p.SIGNAL_MEASURE]
    field = plan.signals[signal, p.SIGNAL_FIELD]
    day = events.at[i] // DAY_MS
    if measure == p.COUNT:
        add_counted(plan, rows, row, signal, day, 1)
    elif measure == p.SUM:
        amount = events.quantity[i] if field == p.QUANTITY else events.amount[i]
        if amount != NO_VALUE and amount != 0:
            add_counted(plan, rows, row, signal, day, amount)
    elif measure == p.DISTINCT:
        identity = identity_of(plan, signal, events, i)
        if identity != 0:
            see_distinct(plan, rows, row, signal, identity, day)
    elif measure == p.ACTIVE_DAYS:
        if tile(plan, rows, row, signal, day) == 0:
            add_counted(plan, rows, row, signal, day, 1)
    elif measure == p.LAST:
        number = events.score[i]
        if field == p.QUANTITY:
            number = events.quantity[i]
        elif field == p.AMOUNT:
            number = events.amount[i]
        elif field == p.SEATS:
            number = events.seats[i]
        elif field == p.MRR:
            number = events.mrr[i]
        keep_last(rows, row, plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS, events.at[i], number)


@inlined
def change_item(plan: Plan, rows: Rows, work: Work, row: int, signal: int, role: int, events: Events, i: int) -> None:
    """Open, close or escalate the item an event names; an event that names none is counted as untracked."""
    item = events.item[i]
    if item == 0:
        work.counts[COUNT_UNTRACKED] += 1
    elif role == p.ROLE_CLOSE:
        close_item(plan, rows, row, signal, item, events.at[i])
    elif role == p.ROLE_ESCALATE:
        escalate_item(plan, rows, row, signal, item, events.severity[i])
    else:
        is_again = role == p.ROLE_REOPEN
        open_item(plan, rows, row, signal, item, events.at[i], events.due[i], events.severity[i], is_again)


@entry
def apply_events(
    plan: Plan,
    rows: Rows,
    work: Work,
    events: Events,
    outcome: NDArray[np.uint8],
    first: int,
    clock_ms: int,
) -> int:
    """Apply a batch's events from number `first` on.

    Parameters
    ----------
    outcome : uint8 array; DROPPED on entry for what is not to be applied, else written: APPLIED, SKIPPED or EXPIRED
    clock_ms : int, the partition's clock, or NO_VALUE

    Returns
    -------
    int
        Number of the first event not applied because the room for moves ran out, else the number of events.
    """
    for i in range(first, events.row.size):
        if outcome[i] == DROPPED:
            continue
        if i + 2 < events.row.size:
            fetch_columns(plan, rows, events.row[i + 2])
            fetch_places(plan, rows, events, i + 2)
            fetch_tiles(rows, events.row[i + 1])
            fetch_items(plan, rows, events, i + 1)
        row = events.row[i]
        at_ms = events.at[i]
        result = begin(plan, rows, work, row, events.topic[i], events.offset[i], at_ms, clock_ms)
        if result == NO_ROOM:
            return i
        outcome[i] = result
        if result != APPLIED:
            continue
        rows.ints[row, TOPICS_SEEN] |= events.bit[i]
        rows.ints[row, TODAY] += 1
        code = events.code[i]
        for route in range(plan.route_start[code], plan.route_start[code + 1]):
            signal = plan.route_signal[route]
            role = plan.route_role[route]
            if role == p.ROLE_ADD:
                add_measure(plan, rows, row, signal, events, i)
            else:
                change_item(plan, rows, work, row, signal, role, events, i)
            column = plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT
            if at_ms > rows.ints[row, column] and plan.signals[signal, p.SIGNAL_MEASURE] != p.LAST:
                rows.ints[row, column] = at_ms
        if events.seats[i] != NO_VALUE:
            rows.ints[row, SEATS] = events.seats[i]
        if events.mrr[i] != NO_VALUE:
            rows.ints[row, MRR] = events.mrr[i]
        settle(plan, rows, work, row, rows.ints[row, AS_OF])
    return events.row.size
