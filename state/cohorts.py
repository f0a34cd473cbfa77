"""What a partition and its cohorts tell each other: sums of paces out, references in.

Each partition sums the paces of its accounts for every UTC day once the day is well over; somebody adds up what all
partitions say (`CohortFold`) and writes the day's reference to every partition's `cohorts` log. There it is an input like
any other, so it stands in the journal, and what a partition makes of it follows from the journal alone.

::

    day d   |  d+1, 06:00: sums of d leave  |  the reference of d arrives  |  d+2: it counts from here on
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.cohorts import BUSYNESS_UNIT, busyness
from scoring.compile import Compiled, relative_signals
from state.busyness import COHORTS, EFFECTIVE_DAY, REFERENCE_DAY, REFERENCE_DAYS
from state.flush import Message
from state.layout import DAY_MS, HOUR_MS, NO_VALUE, TILE_DAYS
from state.record import Record
from state.rejections import Rejection, rejection_of
from state.store import AccountStore

LATENESS_MS: Final = 6 * HOUR_MS
"""How long after its end a day is summed: what comes later no longer tells how busy it was."""
DELAY_DAYS: Final = 2
"""A day's reference counts from the second midnight after the day began: a whole day to come from all partitions."""
EVERYBODY: Final = ""

Totals = Mapping[str, Mapping[str, tuple[int, int]]]
"""Signal fingerprint → segment ("" = none) → accounts counted, and the sum of their paces in thousandths."""


class Sums(msgspec.Struct, frozen=True, tag="sums", tag_field="kind"):
    """What one partition says of one UTC day (number of the day since 1970)."""

    day: int
    totals: Totals


class Reference(msgspec.Struct, frozen=True, tag="reference", tag_field="kind"):
    """What all partitions together say of one UTC day."""

    day: int
    totals: Totals


class Kept(msgspec.Struct, frozen=True):
    """A reference as a partition keeps it, and the first UTC day whose evaluations may use it."""

    effective: int
    reference: Reference


DECODER: Final = msgspec.json.Decoder(Sums | Reference)


class CohortFold:
    """Adds up what all partitions say. Every partition speaks of every day once, in order of days.

    Parameters
    ----------
    partitions
        How many there are, > 0.
    """

    def __init__(self, partitions: int) -> None:
        self._missing: dict[int, set[int]] = {}
        self._totals: dict[int, dict[str, dict[str, tuple[int, int]]]] = {}
        self._partitions = partitions
        self._written_through = NO_VALUE

    def take(self, partition: int, record: Sums | Reference) -> None:
        """Take a record of a partition's `cohorts` log."""
        if isinstance(record, Reference):
            self._forget(record.day)
            return
        if record.day <= self._written_through:
            return
        missing = self._missing.setdefault(record.day, set(range(self._partitions)))
        if partition not in missing:
            return
        missing.remove(partition)
        totals = self._totals.setdefault(record.day, {})
        for signal, segments in record.totals.items():
            own = totals.setdefault(signal, {})
            for segment, (accounts, paces) in segments.items():
                known = own.get(segment, (0, 0))
                own[segment] = (known[0] + accounts, known[1] + paces)

    def complete(self) -> list[Reference]:
        """Return the references of the days that all partitions have spoken of, by day; each is returned once."""
        ready = sorted(day for day, missing in self._missing.items() if not missing)
        references = [Reference(day, self._totals[day]) for day in ready]
        if ready:
            self._forget(ready[-1])
        return references

    def _forget(self, day: int) -> None:
        self._written_through = max(self._written_through, day)
        for old in [old for old in self._missing if old <= self._written_through]:
            del self._missing[old]
            self._totals.pop(old, None)


class Cohorts:
    """A partition's segments, what it has summed, and the references it knows.

    Parameters
    ----------
    compiled
        The model; without a value that counts cohort days nothing is summed.
    store
        The accounts.
    plan
        Handle of the plan.
    """

    def __init__(self, compiled: Compiled, store: AccountStore, plan: Any) -> None:
        model = compiled.model
        names = relative_signals(model, compiled.values)
        self._signals = [model.signal(name).fingerprint for name in names]
        self._store = store
        self._plan = plan
        self.segments = [EVERYBODY]
        self.summed_through = NO_VALUE
        """Newest UTC day that was summed."""
        self.first_day = 0
        self.found = np.zeros((0, COHORTS, len(self._signals), 2), np.int64)
        """Sums of the days from `first_day` on: cohort, signal, accounts and paces."""
        self._kept: dict[int, Kept] = {}
        self._unwritten: list[Kept] = []
        self._sums: list[Message] = []

    def number(self, segment: str) -> int:
        """Return a segment's cohort, numbered by first mention; beyond the last number everybody's."""
        if segment in self.segments:
            return self.segments.index(segment)
        if len(self.segments) == COHORTS:
            return 0
        self.segments.append(segment)
        for kept in self._kept.values():
            self._enter(kept)
        return len(self.segments) - 1

    @property
    def references(self) -> tuple[Kept, ...]:
        """The references that are kept, by day."""
        return tuple(self._kept[day] for day in sorted(self._kept))

    def open_days(self, clock_ms: int) -> None:
        """Begin to sum the days that are over by now: a sweep that brings all rows to the clock adds to `found`."""
        first, last = self.summed_through + 1, self.summed_through
        if self._signals and clock_ms != NO_VALUE:
            last = _last_over(clock_ms)
            first = max(first, last - (TILE_DAYS - 5))
        self.first_day = first
        self.found = np.zeros((max(last + 1 - first, 0), COHORTS, len(self._signals), 2), np.int64)

    def close_days(self, clock_ms: int) -> None:
        """End it: all rows stand at the clock."""
        for day, found in enumerate(self.found, self.first_day):
            value = msgspec.json.encode(Sums(day, self._totals(found)))
            self._sums.append(Message(b"sums", value, (), clock_ms))
            self.summed_through = day

    def take_sums(self) -> list[Message]:
        """Return the records of the days summed since the last call."""
        sums, self._sums = self._sums, []
        return sums

    def _totals(self, sums: NDArray[np.int64]) -> dict[str, dict[str, tuple[int, int]]]:
        """Return signal → segment → accounts and paces, of a day's sums by cohort and signal."""
        return {
            signal: {
                segment: (accounts, paces)
                for segment, (accounts, paces) in zip(
                    self.segments, sums[: len(self.segments), number].tolist(), strict=True
                )
                if accounts
            }
            for number, signal in enumerate(self._signals)
        }

    def take_records(self, records: Sequence[Record], clock_ms: int) -> list[tuple[int, Rejection]]:
        """Take the references among records of `cohorts` (the sums are for whoever adds them up); return what is neither."""
        refused = []
        for place, record in enumerate(records):
            try:
                found = DECODER.decode(record.value or b"")
            except msgspec.DecodeError as error:
                refused.append((place, rejection_of(error, record.value or b"")))
            else:
                if isinstance(found, Reference):
                    self.take(found, clock_ms)
        return refused

    def take(self, reference: Reference, clock_ms: int) -> None:
        """Take a day's reference; a second one of the same or an earlier day changes nothing."""
        if self._kept and reference.day <= max(self._kept):
            return
        clock_day = NO_VALUE if clock_ms == NO_VALUE else clock_ms // DAY_MS
        # Never earlier than tomorrow: what was evaluated up to the clock stays as it was, however late this came.
        kept = Kept(max(reference.day + DELAY_DAYS, clock_day + 1), reference)
        self._keep(kept)
        self._unwritten.append(kept)

    def take_unwritten(self) -> list[tuple[int, bytes]]:
        """Return (place, value) of the references since the last call, for the changelog; a place is used again."""
        found = [(kept.reference.day % REFERENCE_DAYS, msgspec.json.encode(kept)) for kept in self._unwritten]
        self._unwritten = []
        return found

    def load(self, value: bytes) -> None:
        """Take a reference from the changelog."""
        kept = msgspec.json.decode(value, type=Kept)
        self._kept[kept.reference.day] = kept

    def finish_load(self, segments: Sequence[str], summed_through: int) -> None:
        """End a restore: what was loaded counts from now on."""
        self.segments, self.summed_through = list(segments), summed_through
        for day in sorted(self._kept):
            self._keep(self._kept[day])

    def inherit(self, former: "Cohorts", clock_ms: int) -> None:
        """Go on where another model's cohorts stand. One that summed nothing so far begins with the days to come."""
        self._kept, self._unwritten, self._sums = former.bequest()
        through = former.summed_through
        if not former.is_summing and clock_ms != NO_VALUE:
            through = max(through, _last_over(clock_ms))
        self.finish_load(former.segments, through)

    @property
    def is_summing(self) -> bool:
        """Whether the model has a value that counts cohort days."""
        return bool(self._signals)

    def bequest(self) -> tuple[dict[int, Kept], list[Kept], list[Message]]:
        """Return what is known and not yet told, whatever the model."""
        return self._kept, self._unwritten, self._sums

    def _keep(self, kept: Kept) -> None:
        day = kept.reference.day
        for old in [old for old in self._kept if old <= day - REFERENCE_DAYS]:
            del self._kept[old]
            self._store.rows.busy_days[old % REFERENCE_DAYS] = NO_VALUE
        self._kept[day] = kept
        self._enter(kept)

    def _enter(self, kept: Kept) -> None:
        """Write a reference into the kernel's table: everybody's busyness first, which each segment leans on."""
        rows, reference = self._store.rows, kept.reference
        place = reference.day % REFERENCE_DAYS
        rows.busy_days[place, REFERENCE_DAY] = reference.day
        rows.busy_days[place, EFFECTIVE_DAY] = kept.effective
        rows.busyness[place] = NO_VALUE
        rows.busy_made[:] = NO_VALUE
        count = len(self._signals)
        for number, signal in enumerate(self._signals):
            segments = reference.totals.get(signal)
            if segments is None:
                continue
            accounts, paces = (sum(pair[k] for pair in segments.values()) for k in (0, 1))
            everybody = busyness(accounts, paces, BUSYNESS_UNIT)
            rows.busyness[place, number] = everybody
            for cohort, segment in enumerate(self.segments[1:], 1):
                rows.busyness[place, cohort * count + number] = busyness(*segments.get(segment, (0, 0)), everybody)


def _last_over(clock_ms: int) -> int:
    """Return the newest UTC day that is over by so much that it is summed."""
    return (clock_ms - LATENESS_MS) // DAY_MS - 1
