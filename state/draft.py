"""The part of a flush that grows with the accounts, scores and rows and alerts, encoded piece by piece.

Nothing may be applied between the first piece and the last, so how it is cut shows in no byte.
"""

from collections.abc import Iterator

from state.changelog import RowRecords
from state.flush import Message
from state.outflow import Outflow


class Draft:
    """The records of one flush, as far as they are encoded.

    Parameters
    ----------
    outflow, records
        What there is to tell, and the rows.
    clock_ms
        The partition's clock, or NO_VALUE.
    sequence
        Number of the flush.
    """

    def __init__(self, outflow: Outflow, records: RowRecords, clock_ms: int, sequence: int) -> None:
        self.scores: list[Message] = []
        self.rows: list[Message] = []
        self.alerts: list[Message] = []
        self._size = 1
        self._pieces = self._encode(outflow, records, clock_ms, sequence)

    def go_on(self, max_rows: int) -> bool:
        """Encode at most `max_rows` (≥ 1) more of each account's scores, rows or alerts; True when all is encoded."""
        left = max_rows
        while left > 0:
            self._size = left
            done = next(self._pieces, None)
            if done is None:
                return True
            left -= done
        return False

    def _encode(self, outflow: Outflow, records: RowRecords, clock_ms: int, sequence: int) -> Iterator[int]:
        """Yield after each piece how much it was."""
        tombstones, told = outflow.news()
        self.scores += tombstones
        changes = outflow.take_changes()
        for part in self._slices(told.size):
            self.scores += outflow.snapshots(told[part], clock_ms, sequence, changes)
            yield part.stop - part.start
        rows = records.changed()
        for part in self._slices(rows.size):
            self.rows += records.encode(rows[part], clock_ms)
            yield part.stop - part.start
        moves, pictures = outflow.take_told()
        for part in self._slices(len(moves)):
            self.alerts += outflow.alerts_of(moves[part], pictures[part], sequence)
            yield part.stop - part.start

    def _slices(self, count: int) -> Iterator[slice]:
        first = 0
        while first < count:
            last = min(first + self._size, count)
            yield slice(first, last)
            first = last
