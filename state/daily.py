"""Day closes as records: each account's health at the end of every UTC day with a score, told once.

Once a week they also say what each input contributed, so that a model can be watched for inputs that move away from what
it was made for; every day would be several times the bytes.

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
from state.layout import (
    BAND,
    CLOSE_DAYS,
    CLOSE_UNIT,
    DAY,
    DAY_MS,
    MICRO,
    MODEL_SEGMENT,
    NO_CLOSE,
    NO_VALUE,
    PUBLISHED_EXPANSION,
    PUBLISHED_HEALTH,
    PUBLISHED_RISK,
    TILE_DAYS,
)
from state.moments import rfc3339

NEVER: Final = np.iinfo(np.int64).min // 2
SUNDAY: Final = 3
"""1970-01-01 was a Thursday: days since then leave this remainder by 7 on Sundays, which end at the midnight of a Monday."""


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

        Band, risk and expansion stand in the newest only: they are those of now.
        """
        closed = _closed(book)
        told = np.full(closed.size, NEVER)
        told[: self._told.size] = self._told
        self._told = closed
        messages: list[Message] = []
        for row in np.flatnonzero(closed > told).tolist():
            newest = int(closed[row])
            days = range(max(int(told[row]), newest - TILE_DAYS) + 1, newest + 1)
            messages += (_message(book, row, day) for day in days if _total(book, row, day) != NO_CLOSE)
        return messages


def _total(book: Book, row: int, day: int) -> int:
    return int(book.store.rows.totals[row, day % TILE_DAYS])


def _message(book: Book, row: int, day: int) -> Message:
    """Return the record of a day that ended with a score."""
    rows, model, name = book.store.rows, book.compiled.model, book.store.names[row]
    newest, ended_ms = int(rows.derived[row, DAY]) - 1, (day + 1) * DAY_MS
    baseline = float(book.scales[rows.derived[row, MODEL_SEGMENT], BASELINE])
    health = round(baseline + _total(book, row, day) / CLOSE_UNIT, 2)
    body = {"account_id": name, "at": rfc3339(ended_ms), "health": health, "model": model.fingerprint}
    if day == newest:
        body |= _of_now(rows.ints[row], model.band_names)
    if day % 7 == SUNDAY and day > newest - CLOSE_DAYS + 1:
        first = day % CLOSE_DAYS * book.layout.contributions
        points = (rows.closes[row, first : first + book.layout.inputs] / CLOSE_UNIT).round(2).tolist()
        body["contributions"] = {item.name: share for item, share in zip(model.inputs, points, strict=True)}
    return Message(name.encode(), orjson.dumps(body), (), ended_ms)


def _of_now(ints: NDArray[np.int64], bands: tuple[str, ...]) -> dict[str, str | float]:
    """Return a row's band and probabilities as last told, as far as it has any."""
    band = int(ints[BAND])
    found: dict[str, str | float] = {"band": bands[band]} if 0 <= band < len(bands) else {}
    if ints[PUBLISHED_HEALTH] != NO_VALUE:
        found |= {"risk": int(ints[PUBLISHED_RISK]) / MICRO, "expansion": int(ints[PUBLISHED_EXPANSION]) / MICRO}
    return found


def _closed(book: Book) -> NDArray[np.int64]:
    """Return by row the last day that has ended for it."""
    return book.store.rows.derived[: len(book.store), DAY] - 1
