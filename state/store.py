"""The columnar account store of one partition: it gives accounts their row numbers and makes room.

It knows the width of a row and what an empty one looks like, not what its columns mean.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.jit import handle
from state.busyness import COHORTS, REFERENCE_DAYS, SUM_DAYS
from state.items import index_items
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
from state.rows import ITEM, Rows

FIRST_CAPACITY = 256
ROW_ARRAYS = 9
"""The first of `Rows`: those whose first axis is the row number."""
GROWTH = 4
"""Growing copies every row, which holds whoever waits; spare room costs nothing until somebody lives there."""
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
        """Make room for that many more accounts and items; arrays grow by a factor, so a row costs O(1) in the mean."""
        rows = self.rows
        wanted, capacity = len(self.names) + accounts, rows.next_due.size
        wanted_items, item_capacity = int(rows.used[0]) + items, rows.items.size
        if wanted <= capacity and wanted_items <= item_capacity:
            return
        if wanted > capacity:
            rows = self._with_rows(rows, max(GROWTH * capacity, wanted))
        if wanted_items > item_capacity:
            rows = self._with_items(rows, max(2 * item_capacity, wanted_items))
        self.rows = rows
        self.handle = handle(rows)

    def _with_rows(self, rows: Rows, capacity: int) -> Rows:
        """Return the arrays with room for that many rows."""
        used = len(self.names)
        bigger = self._empty_rows(capacity)
        for name, array in bigger.items():
            array[:used] = getattr(rows, name)[:used]
        self._prepared = used
        return rows._replace(**bigger)

    def _with_items(self, rows: Rows, capacity: int) -> Rows:
        """Return the arrays with room for that many items."""
        used = int(rows.used[0])
        bigger = rows._replace(**_empty_items(capacity))
        bigger.items[:used] = rows.items[:used]
        index_items(handle(bigger))
        return bigger

    def profile(self, row: int) -> dict[str, Any]:
        """Return the descriptive attributes of an account, texts, and its deeds (`state.deeds`); a new mapping."""
        stored = self.profiles.get(row)
        return {} if stored is None else msgspec.json.decode(stored, type=dict[str, Any])

    @property
    def nbytes(self) -> int:
        """Bytes the arrays hold, without the room for rows that is not in use yet."""
        per_row = sum(array.nbytes // array.shape[0] for array in self.rows[:ROW_ARRAYS])
        return per_row * self._prepared + sum(array.nbytes for array in self.rows[ROW_ARRAYS:])

    def _allocate(self, capacity: int, items: int) -> Rows:
        return Rows(
            **self._empty_rows(capacity),
            **_empty_items(items),
            used=np.zeros(1, np.int64),
            **_empty_busyness(COHORTS * self.layout.relative),
        )

    def _empty_rows(self, capacity: int) -> dict[str, NDArray[Any]]:
        """Return the arrays whose first axis is the row number; what is not 0 in an empty row is `_prepare`'s."""
        layout = self.layout
        return {
            "ints": np.empty((capacity, layout.int_columns), np.int64),
            "derived": np.empty((capacity, layout.derived_columns), np.int64),
            "decays": np.zeros((capacity, layout.decayed * DECAY_COLUMNS)),
            "narrow": np.zeros((capacity, layout.narrow * TILE_DAYS), np.int32),
            "wide": np.zeros((capacity, layout.wide * TILE_DAYS), np.int64),
            "closes": np.zeros((capacity, CLOSE_DAYS * layout.contributions), np.int16),
            "totals": np.empty((capacity, TILE_DAYS), np.int16),
            "next_due": np.empty(capacity, np.int64),
            "dirty": np.zeros(capacity, np.uint8),
        }


def _empty_busyness(columns: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of `state.busyness`, which know nothing yet."""
    return {
        "busy_days": np.full((REFERENCE_DAYS, 2), NO_VALUE, np.int64),
        "busyness": np.full((REFERENCE_DAYS, columns), NO_VALUE, np.int64),
        "busy_sums": np.zeros((columns * SUM_DAYS, 4, TILE_DAYS)),
        "busy_made": np.full(columns * SUM_DAYS, NO_VALUE, np.int64),
    }


def _empty_items(capacity: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of the items, and the hash table over them, at most half full."""
    return {"items": np.zeros(capacity, ITEM), "slots": np.full(1 << (2 * capacity - 1).bit_length(), -1, np.int32)}


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
