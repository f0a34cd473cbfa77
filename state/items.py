"""Things an account has one by one: distinct users (or event names), and open items such as invoices and tickets.

All of a partition live in one table; a hash index finds (row, signal, id) in O(1), and a chain per row and kind visits
what belongs to one account. Ids are 64-bit hashes.

The index grows with every item by one place, never at once (linear hashing): an item's place is its hash modulo the next
power of two, or half of it where the table has not come so far yet, and a new place takes over its share of one old one::

    places   0 1 2 3 | 4 5 .      5 items: place 1 was shared with 5 last, 2 is next
                       ^ split from 0 and 1

An open item's state does not depend on the order of its events: it is open while it was opened and no close came, or
when it was reopened after its last close. A close that arrives before the opening (a payment before its invoice) is
kept 90 days and settles it.
"""

from typing import Any

import numpy as np

from scoring.jit import entry, inlined, part
from scoring.plan import DISTINCT, SIGNAL_FIELD, SIGNAL_MEASURE, SIGNAL_MINIMUM_SEVERITY, SIGNAL_SLOT, USER, Plan
from state.layout import (
    DAY,
    DAY_MS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    DISTINCT_HEAD,
    NO_VALUE,
    OPEN_COUNT,
    OPEN_HEAD,
    OPEN_OLDEST,
    TILE_DAYS,
)
from state.rows import ITEMS, MASK, Rows
from state.tiles import add_to_tile

NORMAL_SEVERITY = 1
"""An item whose severity nobody stated counts as normal."""


@inlined
def identity_of(plan: Plan, signal: int, events: Any, i: int) -> int:
    """Return the hash by which a distinct signal counts an event (`state.apply.Events`): its user's or its name's, 0 = none."""
    return events.user[i] if plan.signals[signal, SIGNAL_FIELD] == USER else events.name[i]


@inlined
def slot_of(rows: Rows, row: int, signal: int, item_hash: int) -> int:
    """Return the hash place where (row, signal, id) belongs. There is one place more than items."""
    mixed = np.uint64(item_hash) ^ (np.uint64(row) * np.uint64(0x9E3779B97F4A7C15))
    mixed ^= np.uint64(signal) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    half = rows.used[MASK]
    place = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(2 * half + 1))
    return place & half if place > rows.used[ITEMS] else place


@part
def split_place(rows: Rows) -> None:
    """Give the table one more place, for an item just counted: it takes what belongs there from the place it was part of."""
    fresh = rows.used[ITEMS]
    if fresh == 2 * rows.used[MASK] + 2:
        rows.used[MASK] = 2 * rows.used[MASK] + 1
    index = rows.slots[fresh & rows.used[MASK]]
    rows.slots[fresh & rows.used[MASK]] = 0
    rows.slots[fresh] = 0
    while index > 0:
        item = rows.items[index - 1]
        following = item["link"]
        place = slot_of(rows, item["row"], item["signal"], item["hash"])
        item["link"] = rows.slots[place]
        rows.slots[place] = index
        index = following


@part
def index_item(rows: Rows, index: int) -> None:
    """Make an item that was just counted findable."""
    split_place(rows)
    item = rows.items[index]
    place = slot_of(rows, item["row"], item["signal"], item["hash"])
    item["link"] = rows.slots[place]
    rows.slots[place] = index + 1


@inlined
def find_or_add(rows: Rows, row: int, signal: int, item_hash: int, head: int) -> int:
    """Return the item's number; a new one is chained at the column `head` of its row, with nothing known yet.

    The caller has reserved room (`AccountStore.reserve`).
    """
    index = np.int64(rows.slots[slot_of(rows, row, signal, item_hash)])
    while index > 0:
        item = rows.items[index - 1]
        if item["hash"] == item_hash and item["row"] == row and item["signal"] == signal:
            return index - 1
        index = np.int64(item["link"])
    index = rows.used[ITEMS]
    rows.used[ITEMS] = index + 1
    item = rows.items[index]
    item["hash"] = item_hash
    item["row"] = row
    item["signal"] = signal
    item["opened"] = 0
    item["severity"] = -1
    item["touched"] = 0
    item["at"] = NO_VALUE
    item["closed"] = NO_VALUE
    item["reopened"] = NO_VALUE
    item["next"] = rows.derived[row, head]
    rows.derived[row, head] = index
    index_item(rows, index)
    return np.int64(index)


@entry
def adopt_items(plan: Plan, rows: Rows, first: int, last: int) -> None:
    """Chain items ``[first, last)``, which stand in the table and are not counted yet, to their rows; make them findable."""
    for index in range(first, last):
        item = rows.items[index]
        head = DISTINCT_HEAD if plan.signals[item["signal"], SIGNAL_MEASURE] == DISTINCT else OPEN_HEAD
        item["next"] = rows.derived[item["row"], head]
        rows.derived[item["row"], head] = index
        rows.used[ITEMS] = index + 1
        index_item(rows, index)


@inlined
def see_distinct(plan: Plan, rows: Rows, row: int, signal: int, item_hash: int, day: int) -> None:
    """Note that an id was seen on a day: it counts once in every window that reaches its last day. O(1).

    An id stands in the tile of the last day it was seen, so a window's sum of tiles is its number of distinct ids.
    """
    index = find_or_add(rows, row, signal, item_hash, DISTINCT_HEAD)
    item = rows.items[index]
    last = item["at"]
    today = rows.derived[row, DAY]
    if last == NO_VALUE or last < today - (TILE_DAYS - 1):
        item["at"] = day
        add_to_tile(plan, rows, row, signal, day, 1)
    elif day > last:
        add_to_tile(plan, rows, row, signal, last, -1)
        item["at"] = day
        add_to_tile(plan, rows, row, signal, day, 1)
    else:
        return
    item["touched"] = 1


@part
def recount_distinct(plan: Plan, rows: Rows, row: int, signal: int) -> None:
    """Make the tiles of a restored row's distinct ids again. O(items of the row).

    An id seen again moves from its last day's tile, which may lie in the cold part, to today's: only the items know.
    """
    slot = plan.signals[signal, SIGNAL_SLOT]
    rows.narrow[row, :, slot] = 0
    index = rows.derived[row, DISTINCT_HEAD]
    while index >= 0:
        item = rows.items[index]
        if item["signal"] == signal and item["at"] > rows.derived[row, DAY] - TILE_DAYS:
            rows.narrow[row, item["at"] % TILE_DAYS, slot] += np.int32(1)
        index = np.int64(item["next"])


@inlined
def is_open(rows: Rows, index: int) -> bool:
    """Return whether an item stands open, whatever the order its events came in."""
    item = rows.items[index]
    if item["closed"] == NO_VALUE:
        return item["opened"] != 0
    return item["reopened"] != NO_VALUE and item["reopened"] > item["closed"]


@part
def forget_old_close(rows: Rows, row: int, index: int) -> None:
    """Treat a close more than 90 days old as if the item were new: what it settled is settled."""
    item = rows.items[index]
    closed = item["closed"]
    if closed != NO_VALUE and closed // DAY_MS < rows.derived[row, DAY] - (TILE_DAYS - 1) and not is_open(rows, index):
        item["opened"] = 0
        item["severity"] = -1
        item["at"] = NO_VALUE
        item["closed"] = NO_VALUE
        item["reopened"] = NO_VALUE


@part
def open_item(
    plan: Plan, rows: Rows, row: int, signal: int, item_hash: int, at: int, due: int, severity: int, again: bool
) -> None:
    """Open an item, or open it `again` after a close. Its age counts from `due`, else from `at`."""
    index = find_or_add(rows, row, signal, item_hash, OPEN_HEAD)
    forget_old_close(rows, row, index)
    item = rows.items[index]
    item["opened"] = 1
    since = due if due != NO_VALUE else at
    if item["at"] == NO_VALUE or since < item["at"]:
        item["at"] = since
    if again and at > item["reopened"]:
        item["reopened"] = at
    item["severity"] = max(item["severity"], severity)
    item["touched"] = 1
    recount_open(plan, rows, row, signal)


@part
def close_item(plan: Plan, rows: Rows, row: int, signal: int, item_hash: int, at: int) -> None:
    """Close an item, known or not yet."""
    index = find_or_add(rows, row, signal, item_hash, OPEN_HEAD)
    forget_old_close(rows, row, index)
    item = rows.items[index]
    item["closed"] = max(item["closed"], at)
    item["touched"] = 1
    recount_open(plan, rows, row, signal)


@part
def escalate_item(plan: Plan, rows: Rows, row: int, signal: int, item_hash: int, severity: int) -> None:
    """Raise an item's severity to the stated one, if there is one. Works before its opening too."""
    index = find_or_add(rows, row, signal, item_hash, OPEN_HEAD)
    forget_old_close(rows, row, index)
    item = rows.items[index]
    item["severity"] = max(item["severity"], severity)
    item["touched"] = 1
    recount_open(plan, rows, row, signal)


@part
def recount_open(plan: Plan, rows: Rows, row: int, signal: int) -> None:
    """Count a row's open items of one signal anew and find the oldest. O(items of the row)."""
    count = 0
    oldest = NO_VALUE
    minimum = plan.signals[signal, SIGNAL_MINIMUM_SEVERITY]
    index = rows.derived[row, OPEN_HEAD]
    while index >= 0:
        item = rows.items[index]
        severity = item["severity"] if item["severity"] >= 0 else NORMAL_SEVERITY
        if item["signal"] == signal and severity >= minimum and is_open(rows, index):
            count += 1
            if oldest == NO_VALUE or item["at"] < oldest:
                oldest = item["at"]
        index = np.int64(item["next"])
    base = DERIVED_FIXED + signal * DERIVED_SIGNAL
    rows.derived[row, base + OPEN_COUNT] = count
    rows.derived[row, base + OPEN_OLDEST] = oldest
