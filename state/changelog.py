"""The records of a partition's changelog: rows in two parts, remembered ids, and one record of everything else.

Keys: ``h`` + account (hot part of a row), ``c`` + account (cold part and profile), ``d`` + parity + block (ids
remembered against duplicates), ``r`` + place (a day's cohort reference), ``g`` (the model that wrote the rows after it),
``m`` (the partition itself, one record a flush).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.codec import bytes_needed, decode_rows, encode_rows
from state.flush import Message
from state.layout import COLD, HOT, LAYOUT_VERSION, NO_VALUE
from state.store import AccountStore

HOT_PART: Final = b"h"
COLD_PART: Final = b"c"
IDS: Final = b"d"
REFERENCE: Final = b"r"
MODEL: Final = b"g"
PARTITION: Final = b"m"
BUFFER_BYTES: Final = 4 << 20
LEAST_ITEM_BYTES: Final = 12
"""Lower limit of an encoded item, to know how many a record can hold at most."""


class StateMismatchError(Exception):
    """The changelog was written by another version of Bellwether; the message says what to do."""


class Meta(msgspec.Struct, kw_only=True):
    """The record of everything that is not a row.

    Parameters
    ----------
    layout, model
        `LAYOUT_VERSION` and the model's fingerprint under which the rows were written.
    sequence
        Number of the flush.
    positions
        Input topic → next offset to read.
    clock_ms
        As-of time of the last tick that took effect, or NO_VALUE.
    duplicates
        `Duplicates.snapshot`.
    held
        As-of time and ends of a tick that waits, or None.
    segments
        Names of the cohorts, by number.
    summed_through
        Newest UTC day whose paces were summed, or NO_VALUE.
    """

    layout: int
    model: str
    sequence: int
    positions: dict[str, int]
    clock_ms: int
    duplicates: list[int]
    held: tuple[int, dict[str, int]] | None
    segments: tuple[str, ...] = ("",)
    summed_through: int = NO_VALUE

    def require(self, number: int) -> None:
        """Raise StateMismatchError unless rows of this partition can be read."""
        if self.layout != LAYOUT_VERSION:
            raise StateMismatchError(
                f"partition {number}: expected rows of layout {LAYOUT_VERSION}, got layout {self.layout} — start the worker"
                " with the version of Bellwether that wrote them, or let it read everything again under another"
                " BELLWETHER_APP_ID"
            )


class RowRecords:
    """Writes and reads the rows of a store.

    Parameters
    ----------
    store
        The accounts.
    plan
        Handle of the plan.
    """

    def __init__(self, store: AccountStore, plan: Any) -> None:
        self._store = store
        self._plan = plan
        self._buffer = np.empty(BUFFER_BYTES, np.uint8)

    def changed(self) -> NDArray[np.int64]:
        """Return the numbers of all rows that changed."""
        store = self._store
        return np.flatnonzero(store.rows.dirty[: len(store)] & (HOT | COLD))

    def encode(self, chosen: NDArray[np.int64], clock_ms: int) -> list[Message]:
        """Return the records of some rows; they count as written from now on."""
        store = self._store
        ends = np.empty((chosen.size, 2), np.int64)
        messages: list[Message] = []
        done = 0
        while done < chosen.size:
            first = done
            done = encode_rows(self._plan, store.handle, chosen, first, clock_ms, self._buffer, ends)
            if done == first:
                needed = 2 * bytes_needed(self._plan, store.handle, int(chosen[first]))
                self._buffer = np.empty(2 * needed, np.uint8)
                continue
            data = self._buffer[: ends[done - 1, 1]].tobytes()
            start = 0
            for row, (cold, hot) in zip(chosen[first:done].tolist(), ends[first:done].tolist(), strict=True):
                name = store.names[row].encode()
                if cold > start:
                    messages.append(Message(COLD_PART + name, data[start:cold] + store.profiles.get(row, b"")))
                messages.append(Message(HOT_PART + name, data[cold:hot]))
                start = hot
        return messages

    def decode(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Read parts of rows (key, value) in log order: a hot part follows its cold one."""
        store = self._store
        names = [key[1:].decode() for key, _ in records]
        lengths = np.fromiter((len(value) for _, value in records), np.int64, len(records))
        store.reserve(len(set(names) - store.numbers.keys()), int(lengths.sum()) // LEAST_ITEM_BYTES + len(records))
        numbers = np.fromiter(map(store.number, names), np.int64, len(records))
        is_cold = np.fromiter((key[:1] == COLD_PART for key, _ in records), np.bool_, len(records))
        ends = np.cumsum(lengths)
        buffer = np.frombuffer(b"".join(value for _, value in records), np.uint8)
        begins = ends - lengths
        decode_rows(self._plan, store.handle, numbers, is_cold, buffer, ends)
        for k in np.flatnonzero(is_cold).tolist():
            profile = records[k][1][ends[k] - begins[k] :]
            if profile:
                store.profiles[int(numbers[k])] = profile
