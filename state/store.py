"""The columnar account store of one partition: it gives accounts their row numbers and makes room.

It knows the width of a row and what an empty one looks like, not what its columns mean.

A small book's arrays grow by copying. Beyond that, address space for millions of accounts is taken at once and memory
only where somebody lives, so that no account waits for others to be copied::

    rows    256 ... 2 048 | ........ 4 194 304
            copied          memory follows use
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.jit import handle
from state.busyness import COHORTS, REFERENCE_DAYS, SUM_DAYS
from state.layout import (
    AS_OF,
    BAND,
    CANDIDATE,
    CLOSE_DAYS,
    CLOSED,
    DAY,
    DECAY_COLUMNS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    DISTINCT_HEAD,
    FIRST_AT,
    FIXED,
    LAST_AT,
    NEVER,
    NO_CLOSE,
    NO_VALUE,
    OPEN_HEAD,
    OPEN_OLDEST,
    POSITIONS,
    PUBLISHED_HEALTH,
    PUBLISHED_REASON,
    ROW_TOPICS,
    SEATS,
    SIGNAL_COLUMNS,
    TILE_DAYS,
    TOPICS_SEEN,
    Layout,
)
from state.rows import ITEM, ITEMS, Rows

Arrays = dict[str, NDArray[Any]]

FIRST_CAPACITY = 256
ROW_ARRAYS = 9
"""The first of `Rows`: those whose first axis is the row number."""
GROWTH = 2
COPIED_ROWS = 2_048
COPIED_ITEMS = 1 << 17
"""So many are copied in 20 ms. What is larger gets room once: numpy asks for large pages then, which a small book does not need."""
ROOM_ROWS = 1 << 22
ROOM_ITEMS = 1 << 26
"""Room of a large book, some 25 GB of addresses; where the system refuses that, half of it, and so on."""
PREPARED_ROWS = 256
"""Rows made empty at once. Room that nobody lives in yet is not touched, so that it takes no memory."""


class AccountStore:
    """Rows of one partition and the names they belong to.

    Parameters
    ----------
    layout
        Widths of the matrices.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []
        self.profiles: dict[int, bytes] = {}
        """Row → JSON of the descriptive attributes (name, owner, segment …) that no formula reads."""
        self._template = _empty_row(layout)
        self._template_derived = _empty_derived(layout)
        self._prepared = 0
        self.rows = self._allocate(FIRST_CAPACITY, FIRST_CAPACITY)
        self.handle = handle(self.rows)
        """The rows as compiled functions take them; another one after the store has grown."""

    def __len__(self) -> int:
        """Return the number of accounts."""
        return len(self.names)

    def number(self, account: str) -> int:
        """Return the account's row number, giving it an empty row when it is new. Call `reserve` first."""
        row = self.numbers.get(account)
        if row is None:
            row = self.numbers[account] = len(self.names)
            self.names.append(account)
            if row == self._prepared:
                self._prepare()
        return row

    def _prepare(self) -> None:
        """Make the next rows empty ones."""
        rows, fresh = self.rows, slice(self._prepared, self._prepared + PREPARED_ROWS)
        rows.ints[fresh] = self._template
        rows.derived[fresh] = self._template_derived
        rows.totals[fresh] = NO_CLOSE
        rows.next_due[fresh] = NEVER
        self._prepared = min(fresh.stop, rows.next_due.size)

    def reserve(self, accounts: int, items: int) -> None:
        """Make room for that many more accounts and items."""
        rows = self.rows
        wanted, capacity = len(self.names) + accounts, rows.next_due.size
        wanted_items, item_capacity = int(rows.used[ITEMS]) + items, rows.items.size
        if wanted <= capacity and wanted_items <= item_capacity:
            return
        if wanted > capacity:
            self.rows = rows = self._with_rows(rows, roomy(wanted, capacity, COPIED_ROWS, ROOM_ROWS))
        if wanted_items > item_capacity:
            self.rows = _with_items(rows, roomy(wanted_items, item_capacity, COPIED_ITEMS, ROOM_ITEMS))
        self.handle = handle(self.rows)

    def _with_rows(self, rows: Rows, room: tuple[int, int]) -> Rows:
        """Return the arrays with room for that many rows, least and most."""
        used = len(self.names)
        bigger = at_most(self._empty_rows, *room)
        for name, array in bigger.items():
            array[:used] = getattr(rows, name)[:used]
        self._prepared = used
        return rows._replace(**bigger)

    def profile(self, row: int) -> dict[str, Any]:
        """Return the descriptive attributes of an account, texts, its relationship (`state.changes`) and deeds (`state.deeds`); a new mapping."""
        stored = self.profiles.get(row)
        return {} if stored is None else msgspec.json.decode(stored, type=dict[str, Any])

    @property
    def nbytes(self) -> int:
        """Bytes the arrays hold, without the room that is not in use yet."""
        rows = self.rows
        per_row = sum(array.nbytes // array.shape[0] for array in rows[:ROW_ARRAYS])
        per_item = rows.items.itemsize + rows.slots.itemsize
        busyness = (rows.busy_days, rows.busyness, rows.busy_sums, rows.busy_made)
        return per_row * self._prepared + per_item * int(rows.used[ITEMS]) + sum(array.nbytes for array in busyness)

    def _allocate(self, capacity: int, items: int) -> Rows:
        return Rows(
            **self._empty_rows(capacity),
            **_empty_items(items),
            used=np.zeros(2, np.int64),
            **_empty_busyness(COHORTS * self.layout.relative),
        )

    def _empty_rows(self, capacity: int) -> Arrays:
        """Return the arrays whose first axis is the row number; what is not 0 in an empty row is `_prepare`'s."""
        layout = self.layout
        return {
            "ints": np.empty((capacity, layout.int_columns), np.int64),
            "derived": np.empty((capacity, layout.derived_columns), np.int64),
            "decays": np.zeros((capacity, layout.decayed * DECAY_COLUMNS)),
            "narrow": np.zeros((capacity, TILE_DAYS, layout.narrow), np.int32),
            "wide": np.zeros((capacity, TILE_DAYS, layout.wide), np.int64),
            "closes": np.zeros((capacity, CLOSE_DAYS * layout.contributions), np.int16),
            "totals": np.empty((capacity, TILE_DAYS), np.int16),
            "next_due": np.empty(capacity, np.int64),
            "dirty": np.zeros(capacity, np.uint8),
        }


def _empty_busyness(columns: int) -> Arrays:
    """Return the arrays of `state.busyness`, which know nothing yet."""
    return {
        "busy_days": np.full((REFERENCE_DAYS, 2), NO_VALUE, np.int64),
        "busyness": np.full((REFERENCE_DAYS, columns), NO_VALUE, np.int64),
        "busy_sums": np.zeros((columns * SUM_DAYS, 4, TILE_DAYS)),
        "busy_made": np.full(columns * SUM_DAYS, NO_VALUE, np.int64),
    }


def _empty_items(capacity: int) -> Arrays:
    """Return the arrays of the items, and the hash places over them: one more than items."""
    return {"items": np.zeros(capacity, ITEM), "slots": np.zeros(capacity + 1, np.int32)}


def _with_items(rows: Rows, room: tuple[int, int]) -> Rows:
    """Return the arrays with room for that many items, least and most."""
    used = int(rows.used[ITEMS])
    bigger = rows._replace(**at_most(_empty_items, *room))
    bigger.items[:used] = rows.items[:used]
    bigger.slots[: used + 1] = rows.slots[: used + 1]
    return bigger


def roomy(wanted: int, capacity: int, copied: int, room: int) -> tuple[int, int]:
    """Return how much room to ask for, least and most: a factor more, and for a large book as much as it will ever take.

    Examples
    --------
    >>> roomy(300, 256, 2_048, 1 << 22)
    (512, 512)
    >>> roomy(3_000, 2_048, 2_048, 1 << 22)
    (4096, 4194304)
    """
    least = max(GROWTH * capacity, wanted)
    return least, least if least <= copied else max(least, room)


def at_most(make: Callable[[int], Arrays], least: int, most: int) -> Arrays:
    """Return what `make` makes of `most`, or of half of it and so on where there is no room for that; of `least` at least."""
    while most > least:
        try:
            return make(most)
        except MemoryError:
            most = max(most // 2, least)
    return make(least)


def _empty_row(layout: Layout) -> NDArray[np.int64]:
    row = np.zeros(layout.int_columns, np.int64)
    row[AS_OF] = row[FIRST_AT] = NO_VALUE
    row[BAND] = row[CANDIDATE] = -1
    row[PUBLISHED_HEALTH] = NO_VALUE
    row[PUBLISHED_REASON] = -1
    row[SEATS:TOPICS_SEEN] = NO_VALUE  # nothing is known of the account itself
    row[POSITIONS : POSITIONS + ROW_TOPICS] = -1
    row[CLOSED] = 0
    for signal in range(layout.signals):
        start = layout.signal_block + signal * SIGNAL_COLUMNS
        row[start + LAST_AT] = row[start + LAST_AT + 1] = NO_VALUE
    assert layout.entry == FIXED
    return row


def _empty_derived(layout: Layout) -> NDArray[np.int64]:
    row = np.zeros(layout.derived_columns, np.int64)
    row[DAY] = row[DAY + 1] = row[DAY + 2] = NO_VALUE
    row[DISTINCT_HEAD] = row[OPEN_HEAD] = -1
    for signal in range(layout.signals):
        row[DERIVED_FIXED + signal * DERIVED_SIGNAL + OPEN_OLDEST] = NO_VALUE
    return row
