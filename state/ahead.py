"""Rows are fetched from memory while the ones before them are worked on.

The rows of a large book do not fit a core's cache: waiting for them was a fifth of what an event costs. What is named
here is what an evaluation reads, or an encoding; naming too much or too little changes no result.
"""

from typing import Any

from scoring import plan as p
from scoring.jit import inlined, prefetch
from scoring.plan import Plan
from state.items import identity_of, slot_of
from state.layout import DAY, SIGNAL_COLUMNS, TILE_DAYS
from state.rows import Rows
from state.tiles import WINDOW_DAYS

LINE = 8
"""Numbers of 64 bits that are fetched at once."""


@inlined
def fetch_columns(plan: Plan, rows: Rows, row: int) -> None:
    """Begin to fetch the columns of a row that comes soon."""
    for column in range(0, plan.offsets[p.OFFSET_SIGNALS] + plan.signals.shape[0] * SIGNAL_COLUMNS, LINE):
        prefetch(rows.ints, row, column)
    for column in range(0, rows.derived.shape[1], LINE):
        prefetch(rows.derived, row, column)
    for column in range(0, rows.decays.shape[1], LINE):
        prefetch(rows.decays, row, column)
    for column in range(0, TILE_DAYS, 4 * LINE):
        prefetch(rows.totals, row, column)


@inlined
def fetch_written(rows: Rows, row: int) -> None:
    """Begin to fetch the columns of a row that is soon encoded."""
    for column in range(0, rows.ints.shape[1], LINE):
        prefetch(rows.ints, row, column)
    for column in range(0, rows.derived.shape[1], LINE):
        prefetch(rows.derived, row, column)


@inlined
def fetch_hot_days(rows: Rows, row: int) -> None:
    """Begin to fetch the tiles of the row that is encoded next: today's and those of the days before it."""
    today = rows.derived[row, DAY] % TILE_DAYS
    for days in (0, 3, 6):
        fetch_day(rows, row, (today + TILE_DAYS - days) % TILE_DAYS)


@inlined
def place_of(plan: Plan, rows: Rows, events: Any, i: int, route: int) -> int:
    """Return the place in the hash index of what a route of an event counts one by one; -1 where it counts no such thing."""
    signal = plan.route_signal[route]
    if plan.signals[signal, p.SIGNAL_MEASURE] != p.DISTINCT:
        return -1
    return slot_of(rows, events.row[i], signal, identity_of(plan, signal, events, i))


@inlined
def fetch_places(plan: Plan, rows: Rows, events: Any, i: int) -> None:
    """Begin to fetch where the hash index has the user or event name of an event that comes soon."""
    for route in range(plan.route_start[events.code[i]], plan.route_start[events.code[i] + 1]):
        place = place_of(plan, rows, events, i, route)
        if place >= 0:
            prefetch(rows.slots, place, 0)


@inlined
def fetch_items(plan: Plan, rows: Rows, events: Any, i: int) -> None:
    """Begin to fetch the user or event name of the next event, where the index has one."""
    for route in range(plan.route_start[events.code[i]], plan.route_start[events.code[i] + 1]):
        place = place_of(plan, rows, events, i, route)
        if place >= 0 and rows.slots[place] > 0:
            prefetch(rows.items, rows.slots[place] - 1, 0)


@inlined
def fetch_tiles(rows: Rows, row: int) -> None:
    """Begin to fetch the tiles of the row that comes next: today's, yesterday's and those that leave a window."""
    today = rows.derived[row, DAY] % TILE_DAYS
    fetch_day(rows, row, today)
    fetch_day(rows, row, (today + TILE_DAYS - 1) % TILE_DAYS)
    for days in WINDOW_DAYS:
        fetch_day(rows, row, (today + TILE_DAYS - days) % TILE_DAYS)


@inlined
def fetch_day(rows: Rows, row: int, place: int) -> None:
    """Begin to fetch one day's tiles, up to the next day's."""
    if rows.narrow.shape[2] > 0:
        prefetch(rows.narrow, row, place)
        prefetch(rows.narrow, row, place + 1)
    if rows.wide.shape[2] > 0:
        prefetch(rows.wide, row, place)
        prefetch(rows.wide, row, place + 1)
