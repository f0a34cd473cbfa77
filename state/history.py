"""A partition that is fed a history: it hands out what people see, and keeps no changelog.

The arithmetic is the live partition's own. Only the clock and the way out differ: ticks come from whoever reads the
history, and alerts, dead letters and snapshots are taken as values instead of being written by a flush.
"""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.compile import Compiled
from state.cohorts import DECODER as COHORT_DECODER
from state.cohorts import CohortFold
from state.flush import Message
from state.layout import AS_OF, CLOSED, NO_VALUE
from state.partition import Partition
from state.score import score_many
from state.work import MOVE_AT, MOVE_ROW, MOVE_SEQUENCE, PICTURE_FIXED


class HistoryPartition(Partition):
    """All accounts of a history.

    Parameters
    ----------
    compiled
        The model.
    app_id
        Goes into the source of alerts.

    Notes
    -----
    Time passes for a row before each of its events, whether or not there was a tick. So in a history that
    is fed in the order of event time, how often `tick` is called changes no row and no alert. Only where the model counts
    cohort days it must be called at `LATENESS_MS` of every day, when the day before is summed.
    """

    def __init__(self, compiled: Compiled, app_id: str = "bellwether") -> None:
        super().__init__(0, 1, compiled, app_id=app_id)
        self._cohort_fold = CohortFold(1)

    def tick(self, as_of_ms: int) -> None:
        """Let time pass for all accounts up to and including an instant, milliseconds UTC; never back."""
        if as_of_ms > self.clock_ms:
            self.clock_ms = as_of_ms
            self._begin_sweep()
            self._finish_sweep()
            self._add_up_cohorts()

    def _add_up_cohorts(self) -> None:
        """Let the sums of the days that are over come back as references at once: here are all accounts."""
        for message in self.cohorts.take_sums():
            assert message.value is not None
            self._cohort_fold.take(0, COHORT_DECODER.decode(message.value))
        for reference in self._cohort_fold.complete():
            self.cohorts.take(reference, self.clock_ms)
        self.cohorts.take_unwritten()

    def take_alerts(self) -> list[Message]:
        """Return the alerts since the last call, by instant, account and sequence; the next ones carry the next number."""
        self.sequence += 1
        moves, _ = self._outflow.moves()
        names = np.array([self.store.names[row] for row in moves[:, MOVE_ROW].tolist()], object)
        order = np.lexsort((moves[:, MOVE_SEQUENCE], names, moves[:, MOVE_AT]))
        alerts = self._outflow.alerts(self.sequence, order)
        self._runs, self._rerouted, self.dirty = [], [], False
        self.duplicates.take_records()
        return alerts

    def take_dead_letters(self) -> list[Message]:
        """Return the dead letters since the last call, in the order of the log."""
        letters, self._dead_letters = self._dead_letters, []
        return letters

    def values(self) -> NDArray[np.float64]:
        """Return the inputs' values of every account as of the clock, axes account and input; NaN where nothing is known."""
        count, inputs = len(self.store), self.layout.inputs
        pictures, at = np.empty((count, self.scratch.pictures.shape[1])), np.empty(count, np.int64)
        score_many(self.plan, self.store.handle, self.work, np.arange(count), self.clock_ms, pictures, at)
        return pictures[:, PICTURE_FIXED : PICTURE_FIXED + inputs]

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshot of every account that is not closed, as of the clock, in the order of first events."""
        ints = self.store.rows.ints[: len(self.store)]
        chosen = np.flatnonzero((ints[:, CLOSED] == 0) & (ints[:, AS_OF] != NO_VALUE))
        messages = self._outflow.snapshots(chosen, self.clock_ms, self.sequence)
        return [orjson.loads(message.value) for message in messages if message.value is not None]
