"""Day closes as records: each account's health at the end of every UTC day with a score, told once.

What was told is not kept in the state: a flush tells everything up to the rows' own days, so a restored row has nothing
left to tell.
"""

from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.plan import BASELINE
from state.book import Book
from state.flush import Message
from state.layout import BAND, CLOSE_UNIT, DAY, DAY_MS, MODEL_SEGMENT, NO_CLOSE, TILE_DAYS
from state.moments import rfc3339

NEVER: Final = np.iinfo(np.int64).min // 2


class DayCloses:
    """Knows up to which day each row of a book was told.

    A flush without a midnight since the last one costs a comparison a row, about a nanosecond.
    """

    def __init__(self) -> None:
        self._told = np.empty(0, np.int64)

    def settle(self, book: Book) -> None:
        """Count all there is as told: after a restore, or when rows were numbered anew."""
        self._told = _closed(book)

    def take(self, book: Book) -> list[Message]:
        """Return the records of the days that ended since the last call, 91 days back at most, each account's in their order.

        The band stands in the newest only: it is the one of now.
        """
        closed = _closed(book)
        told = np.full(closed.size, NEVER)
        told[: self._told.size] = self._told
        self._told = closed
        rows, names, bands = book.store.rows, book.store.names, book.compiled.model.band_names
        messages = []
        for row in np.flatnonzero(closed > told).tolist():
            newest = int(closed[row])
            baseline = float(book.scales[rows.derived[row, MODEL_SEGMENT], BASELINE])
            for day in range(max(int(told[row]), newest - TILE_DAYS) + 1, newest + 1):
                total = int(rows.totals[row, day % TILE_DAYS])
                if total == NO_CLOSE:
                    continue
                ended_ms = (day + 1) * DAY_MS
                health = round(baseline + total / CLOSE_UNIT, 2)
                body = {"account_id": names[row], "at": rfc3339(ended_ms), "health": health}
                band = int(rows.ints[row, BAND])
                if day == newest and 0 <= band < len(bands):
                    body["band"] = bands[band]
                messages.append(Message(names[row].encode(), orjson.dumps(body), (), ended_ms))
        return messages


def _closed(book: Book) -> NDArray[np.int64]:
    """Return by row the last day that has ended for it."""
    return book.store.rows.derived[: len(book.store), DAY] - 1
