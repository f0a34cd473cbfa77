"""A partition that is fed a history: it hands out what people see, and keeps no changelog.

The arithmetic is the live partition's own. Only the clock and the way out differ: ticks come from whoever reads the
history, and alerts, dead letters and snapshots are taken as values instead of being written by a flush.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.lifecycle import FIRING
from state.cohorts import DECODER as COHORT_DECODER
from state.cohorts import CohortFold, Reference
from state.flush import Message
from state.layout import AS_OF, CLOSED, NO_VALUE
from state.partition import Partition
from state.score import score_many
from state.work import (
    MARK_ESCALATED,
    MARK_OVERDUE,
    MARK_REPEATED,
    MOVE_AT,
    MOVE_MARKS,
    MOVE_ROW,
    MOVE_RULE,
    MOVE_SEQUENCE,
    MOVE_STATE,
    PICTURE_FIXED,
)

TOLD_AGAIN = MARK_ESCALATED | MARK_OVERDUE | MARK_REPEATED
"""Marks of an alert that fires once more."""

References = Callable[[Sequence[Message]], Sequence[Reference]]
"""Takes the sums of days that are over, gives the references that all accounts together make of them."""


class Fired(NamedTuple):
    """An alert that began: whose, by which rule, how severe, and when, milliseconds UTC."""

    account: str
    rule: str
    severity: str
    at_ms: int


class Told(NamedTuple):
    """What was decided since it was last asked for.

    ``fired`` are the alerts that began; ``places`` and ``records`` all records of alerts, by instant, account and
    sequence, and what each is sorted by. Records are made only where somebody reads them.
    """

    fired: list[Fired]
    places: list[tuple[int, str, int]]
    records: list[bytes]


def add_up() -> References:
    """Return what adds up days where one partition holds all accounts."""
    fold = CohortFold(1)

    def references(sums: Sequence[Message]) -> list[Reference]:
        for message in sums:
            assert message.value is not None
            fold.take(0, COHORT_DECODER.decode(message.value))
        return fold.complete()

    return references


class HistoryPartition(Partition):
    """All accounts of a history.

    Parameters
    ----------
    compiled
        The model.
    app_id
        Goes into the source of alerts.
    references
        Adds up days; given where other partitions hold other accounts of the history.

    Notes
    -----
    Time passes for a row before each of its events, whether or not there was a tick. So in a history that
    is fed in the order of event time, how often `tick` is called changes no row and no alert. Only where the model counts
    cohort days it must be called at `LATENESS_MS` of every day, when the day before is summed.
    """

    def __init__(self, compiled: Compiled, app_id: str = "bellwether", references: References | None = None) -> None:
        super().__init__(0, 1, compiled, app_id=app_id)
        self._references = references or add_up()

    def tick(self, as_of_ms: int) -> None:
        """Let time pass for all accounts up to and including an instant, milliseconds UTC; never back."""
        if as_of_ms > self.clock_ms:
            self.clock_ms = as_of_ms
            self._begin_sweep()
            self._finish_sweep()
            self._add_up_cohorts()

    def _add_up_cohorts(self) -> None:
        """Let the sums of the days that are over come back as references at once."""
        sums = self.cohorts.take_sums()
        for reference in self._references(sums) if sums else ():
            self.cohorts.take(reference, self.clock_ms)
        self.cohorts.take_unwritten()

    def take_told(self, *, with_records: bool) -> Told:
        """Return what was decided since the last call; the next records carry the next flush's number.

        Parameters
        ----------
        with_records
            Whether records are made; they cost more than deciding did.
        """
        self.sequence += 1
        moves, _ = self._outflow.moves()
        names = [self.store.names[row] for row in moves[:, MOVE_ROW].tolist()]
        order = np.lexsort((moves[:, MOVE_SEQUENCE], np.array(names, object), moves[:, MOVE_AT]))
        fired = self._fired(moves, names, order)
        places: list[tuple[int, str, int]] = []
        records: list[bytes] = []
        if with_records:
            places = [(int(moves[k, MOVE_AT]), names[k], int(moves[k, MOVE_SEQUENCE])) for k in order.tolist()]
            records = [message.value or b"" for message in self._outflow.alerts(self.sequence, order)]
        else:
            self._outflow.forget_moves()
        self._runs, self._rerouted, self.dirty = [], [], False
        self.duplicates.take_records()
        return Told(fired, places, records)

    def _fired(self, moves: NDArray[np.int64], names: list[str], order: NDArray[np.intp]) -> list[Fired]:
        begun = (moves[order, MOVE_STATE] == FIRING) & (moves[order, MOVE_MARKS] & TOLD_AGAIN == 0)
        rules = self.compiled.rules
        return [
            Fired(
                names[k], rules[moves[k, MOVE_RULE]].name, rules[moves[k, MOVE_RULE]].severity, int(moves[k, MOVE_AT])
            )
            for k in order[begun].tolist()
        ]

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
        """Return the snapshot of every account that is not closed, as of the clock, by account."""
        ints = self.store.rows.ints[: len(self.store)]
        chosen = np.flatnonzero((ints[:, CLOSED] == 0) & (ints[:, AS_OF] != NO_VALUE))
        names = self.store.names
        chosen = np.array(sorted(chosen.tolist(), key=names.__getitem__), np.int64)
        messages = self._outflow.snapshots(chosen, self.clock_ms, self.sequence)
        return [orjson.loads(message.value) for message in messages if message.value is not None]
