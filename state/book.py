"""The accounts of one partition under the model that scores them: rows, what works on them, and their change to another model.

It knows no log: which record comes when is `state.partition`'s.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.jit import handle
from state.alerts import Origin
from state.births import with_births
from state.carrying import Carrier, Side, births_of, kinship
from state.changelog import MODEL, RowRecords
from state.codec import bytes_needed, encode_canonical
from state.cohorts import Cohorts
from state.commands import Commands
from state.derive import derive_all
from state.draft import Draft
from state.flush import Message
from state.intake import Intake
from state.layout import AS_OF, BAND, NO_VALUE, layout_of, placed
from state.models import Generation, read_generation
from state.outflow import Outflow
from state.segments import Segments
from state.store import AccountStore
from state.switching import UNKNOWN, enter_model, leave_model
from state.work import RESOLUTION_MODEL, make_work

MOVE_LINES: Final = 4_096
"""Moves the kernel has room for before they are taken away; few show in no result."""
SLICE_ROWS: Final = 1_000
"""Rows, or items, that a change of the model works on at once."""


def slices(count: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of what a change of the model works on at once, of so many rows or items."""
    for first in range(0, count, SLICE_ROWS):
        yield first, min(first + SLICE_ROWS, count)


class Place(NamedTuple):
    """Whose accounts they are: a partition's number, how many there are, of which application, and its allowed skew, ms."""

    number: int
    partitions: int
    app_id: str
    skew_ms: int


class Book:
    """All accounts of a partition.

    Parameters
    ----------
    place
        Whose they are.
    compiled
        The model to begin with, if the changelog knows of none.
    move_lines
        How many moves the kernel has room for.
    """

    def __init__(self, place: Place, compiled: Compiled, move_lines: int) -> None:
        self.number = place.number
        self.given = compiled
        self.clock_ms = NO_VALUE
        self.sequence = 0
        """Number of the last flush."""
        self.is_model_loaded = False
        self._place = place
        self._move_lines = move_lines
        self._early_alerts: list[Message] = []
        """Alerts of the next flush that were decided under a model that is no longer in use."""
        self._is_model_written = False
        self._engage(compiled, {})

    def _engage(self, compiled: Compiled, births: Mapping[str, int]) -> None:
        """Score with a model from now on, over an empty store.

        Parameters
        ----------
        births
            Signal fingerprint → since when it is counted, ms, of those that a change of the model brought.
        """
        self.compiled = compiled
        self.layout = layout_of(compiled.plan)
        born = [births.get(signal.fingerprint, NO_VALUE) for signal in compiled.model.signals]
        plan = placed(with_births(compiled.plan, np.array(born, np.int64)), self.layout)
        self.births = dict(births)
        self.plan = handle(plan)
        self.store = AccountStore(self.layout)
        self.scratch = make_work(plan, self.layout, self._move_lines)
        self.work = handle(self.scratch)
        self._arrays = plan
        self.row_records = RowRecords(self.store, self.plan)
        self._outflow = Outflow(
            compiled, Origin(self._place.app_id, self.number), self.store, self.plan, self.scratch, self.work
        )
        self.intake = Intake(self.number, self._place.partitions, compiled, self.store, self._place.skew_ms)
        self._commands = Commands(compiled, self.layout, self.store, self.plan, self.work)
        self.cohorts = Cohorts(compiled, self.store, self.plan)
        self.segments = Segments(compiled, self.store, self.plan, self.work, self._outflow)

    @property
    def scales(self) -> NDArray[np.float64]:
        """What scores are made with, by segment of the model (see `scoring.plan`)."""
        return self._arrays.scales

    @property
    def urgent(self) -> bool:
        """Whether an alert waits."""
        return self._outflow.has_moves or bool(self._early_alerts)

    def change_model(self, new: Compiled) -> None:
        """Carry every row over to another model, at once."""
        for _ in self.changing(new):
            pass

    def changing(self, new: Compiled) -> Iterator[None]:
        """Carry every row over to another model in slices; all of them are written and told in the next flush.

        What was decided so far is told under the model that decided it. See `state.switching` for what a change brings
        about, and `state.carrying` for what is kept. Nothing may be asked of the book between two slices.
        """
        old, store, cohorts, counts = self.compiled, self.store, self.cohorts, self.scratch.counts
        arrivals = self.intake.arrivals
        old_plan, kin, count = self._arrays, kinship(self.compiled, new), len(self.store)
        truths = np.full((count, self.layout.rules + 1), UNKNOWN, np.int8)  # the last is for rules that are new
        closes = np.zeros((count, self.layout.contributions + 1), np.int64)
        healths, distances = np.full(count, np.nan), np.full(count, np.nan)
        is_kept = np.isin(np.arange(self.layout.rules), kin.rules)
        for first, last in slices(count):
            self._each_row(
                *(first, last, leave_model),
                *(self.clock_ms, is_kept, 0, truths, closes, healths, distances),
            )
            self._early_alerts += self._outflow.alerts(self.sequence + 1)
            yield
        stands = store.rows.ints[:count, AS_OF]
        at_ms = self.clock_ms if self.clock_ms != NO_VALUE else int(stands.max(initial=NO_VALUE))
        self._engage(new, births_of(self.births, kin, new, at_ms))
        self.scratch.counts[:] = counts
        self.intake.arrivals = arrivals
        self.cohorts.inherit(cohorts, self.clock_ms)
        carrier = Carrier(Side(store, old_plan), Side(self.store, self._arrays), kin)
        rows = carrier.chosen
        for first, last in slices(rows.size):
            carrier.carry_rows(first, last)
            yield
        for first, last in slices(carrier.items):
            carrier.carry_items(self.plan, first, last)
            yield
        self._outflow.changed_from(old.model, store.rows.ints[rows, BAND], healths[rows])
        for first, last in slices(rows.size):
            self.derive(first, last)
            was = rows[first:last]
            held, moved = truths[was][:, kin.rules], closes[was][:, kin.contributions]
            self._each_row(first, last, enter_model, RESOLUTION_MODEL, first, held, moved, distances[was])
            yield
        self._is_model_written = False

    def derive(self, first: int, last: int) -> None:
        """Make what follows from the kept columns of rows ``[first, last)``."""
        self.segments.place(first, last)
        self._commands.place(first, last)
        derive_all(self.plan, self.store.handle, first, last)

    def _each_row(self, first: int, last: int, work: Callable[..., int], *given: object) -> None:
        """Have rows worked on, taking the kernel's moves away whenever it has no room for more."""
        while first < last:
            first = work(self.plan, self.store.handle, self.work, first, last, *given)
            self._outflow.take_moves()

    def model_record(self) -> Message:
        """Return the changelog's record of the model: only rows after one count."""
        model = self.compiled.model
        return Message(MODEL, msgspec.json.encode(Generation(model.source, model.fingerprint, self.births)))

    def begin_draft(self) -> Draft:
        """Begin to encode what the next flush says of accounts, the changelog's record of the model first if it is due."""
        draft = Draft(self._outflow, self.row_records, self.clock_ms, self.sequence + 1)
        draft.alerts, self._early_alerts = self._early_alerts, []
        if not self._is_model_written:
            draft.rows.append(self.model_record())
            self._is_model_written = True
        return draft

    def load_model(self, value: bytes) -> None:
        """Take the changelog's record of the model: all rows before it were written again after it."""
        compiled, births = read_generation(value, self.compiled)
        cohorts = self.cohorts
        self._engage(compiled, births)
        self.cohorts.inherit(cohorts, NO_VALUE)
        self.is_model_loaded = self._is_model_written = True

    def row_bytes(self, account: str) -> bytes:
        """Return a row in a form that two equal states share, whatever flushes lie behind them."""
        row = self.store.numbers[account]
        buffer = np.empty(2 * bytes_needed(self.plan, self.store.handle, row), np.uint8)
        end = encode_canonical(self.plan, self.store.handle, row, self.clock_ms, buffer)
        return buffer[:end].tobytes() + self.store.profiles.get(row, b"")

    def band_of(self, account: str) -> int:
        """Return the band an account is in, or INSUFFICIENT."""
        return int(self.store.rows.ints[self.store.numbers[account], BAND])
