"""History through the live kernel, without Kafka: files in, alerts and snapshots out.

    time     |start ......... midnight ......... midnight ......... end|
    events    x x   x  x x x  |     x x x    x   |   x x x            |
    ticks                     T                  T                    T      and at every step, if there are any

The order of events is fixed by the files, ticks fall on event time, and neither the machine nor the size of blocks
shows in the result.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from scoring.compile import Compiled
from scoring.model import GREEN
from state.cohorts import LATENESS_MS
from state.flush import Message
from state.history import Fired, HistoryPartition, References, Told
from state.layout import BAND, CLOSED, DAY_MS, HOUR_MS, INPUT_TOPICS, NO_VALUE
from streams.cli.columns import MAPPING_FILE, read_mappings
from streams.cli.files import EventFile, topic_of
from streams.event_order import Line, Stretch
from streams.halt import Refusal

TOPICS = INPUT_TOPICS[: INPUT_TOPICS.index("commands") + 1]
"""Topics of a history, in rank order."""
SUFFIXES = (*(f".{kind}{packed}" for kind in ("jsonl", "csv") for packed in ("", ".gz", ".zst")), ".parquet")


def place_of(rejected: "Rejected") -> tuple[int, str, int]:
    """Return what rejected lines are sorted by."""
    return rejected.at_ms, rejected.file, rejected.line


def files_of(folder: Path) -> list[EventFile]:
    """Return the files of a folder that are named after an input topic, or that its mapping file names, sorted by name.

    Raises
    ------
    Refusal
        When there are none, or the mapping names one that is not there.
    """
    mappings = read_mappings(folder, TOPICS)
    files = []
    for path in sorted(folder.glob("*")):
        mapping = mappings.pop(path.name, None)
        topic = mapping.topic if mapping else topic_of(path.name)
        if topic in TOPICS and path.name.endswith(SUFFIXES):
            files.append(EventFile(str(path), topic, mapping))
    if mappings:
        raise Refusal(f"{folder / MAPPING_FILE}: expected the file {min(mappings)}, found none — correct the name")
    if not files:
        raise Refusal(f"{folder}: expected files such as usage.jsonl or billing.jsonl.gz, found none — check the path")
    return files


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no valid event: when it stands where, why, at which JSON path, and what was given there."""

    at_ms: int
    file: str
    line: int
    reason: str
    path: str
    given: str


@dataclass(slots=True)
class Sinks:
    """Where results go as they come; each may be left out.

    Parameters
    ----------
    alert
        Takes the JSON body of each record of an alert, in order of time. Without it none is written.
    fired
        Takes each alert that begins, in order of time.
    snapshots
        Takes the snapshots of all accounts at each step, by account.
    rejected
        Takes each line that is no valid event, after each day and at the end, by its time, file and number.
    passed
        Told the event time reached, milliseconds UTC, after each stretch.
    midnight
        Told each midnight, milliseconds UTC, when time has passed up to it and none of its events is applied.
    day
        Takes what was decided and refused in a day in one piece, instead of `alert` and `rejected`.
    """

    alert: Callable[[bytes], None] | None = None
    fired: Callable[[Fired], None] | None = None
    snapshots: Callable[[list[dict[str, Any]]], None] | None = None
    rejected: Callable[[Rejected], None] | None = None
    passed: Callable[[int], None] | None = None
    midnight: Callable[[int], None] | None = None
    day: Callable[[Told, Sequence[Rejected]], None] | None = None

    def give(self, told: Told, rejected: Sequence[Rejected]) -> None:
        """Hand out what was decided and refused in a day."""
        if self.fired:
            for fired in told.fired:
                self.fired(fired)
        if self.day:
            self.day(told, rejected)
            return
        if self.alert:
            for body in told.records:
                self.alert(body)
        if self.rejected:
            for found in rejected:
                self.rejected(found)


@dataclass(slots=True)
class Totals:
    """What a replay came to.

    Parameters
    ----------
    accounts
        How many there are.
    n_lines, n_rejected
        Lines read, and those of them that are no valid events.
    alerts
        (rule, severity) → alerts that fired.
    counts
        Result → events, over all topics: applied, duplicate, dead_letter.
    bands
        Band → accounts in it; those whose contract has ended count as `closed`.
    start_ms, end_ms
        The midnight before the first event and the full hour after the last, milliseconds UTC.
    """

    accounts: int
    n_lines: int
    n_rejected: int
    alerts: Counter[tuple[str, str]]
    counts: Counter[str]
    bands: dict[str, int]
    start_ms: int
    end_ms: int

    def add(self, other: Self) -> None:
        """Add what the same history came to for other accounts."""
        self.accounts += other.accounts
        self.n_rejected += other.n_rejected
        self.alerts += other.alerts
        self.counts += other.counts
        self.bands = {name: number + other.bands[name] for name, number in self.bands.items()}


@dataclass(slots=True)
class Replay:
    """A replay on its way: the state, and what it has come to.

    Parameters
    ----------
    compiled
        The model.
    sinks
        Where results go.
    every_ms
        Event time between snapshots, > 0, milliseconds, counted from the first event's midnight; None = only at the end.
    references
        Adds up cohort days; given where other processes replay other accounts of the history.

    Attributes
    ----------
    n_lines, n_rejected
        Lines read, and those of them that are no valid events.
    alerts
        (rule, severity) → alerts that fired.
    start_ms, end_ms
        The midnight before the first event and the full hour after the last, milliseconds UTC.
    last_ms
        The last event, milliseconds UTC.
    """

    compiled: Compiled
    sinks: Sinks = field(default_factory=Sinks)
    every_ms: int | None = None
    references: References | None = None
    n_lines: int = 0
    n_rejected: int = 0
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    start_ms: int = NO_VALUE
    end_ms: int = NO_VALUE
    last_ms: int = NO_VALUE
    state: HistoryPartition = field(init=False)
    _midnight_ms: int = NO_VALUE
    _step_ms: int | None = None
    _sums_ms: int | None = None
    _snapshots_ms: int = NO_VALUE
    _rejected: list[Rejected] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = HistoryPartition(self.compiled, references=self.references)

    def run(self, stretches: Iterator[Stretch]) -> None:
        """Apply all events, let time pass between them and up to the full hour after the last."""
        for stretch in stretches:
            self.n_lines += stretch.n_lines
            if stretch.first_ms != NO_VALUE:
                self._begin(stretch.first_ms)
                self.last_ms = stretch.last_ms
                self.end_ms = -(-self.last_ms // HOUR_MS) * HOUR_MS
            self._apply_with_ticks(stretch)
            if self.sinks.passed and self.end_ms != NO_VALUE:
                self.sinks.passed(self.end_ms)
        if self.end_ms != NO_VALUE:
            self._finish()

    def bands(self) -> dict[str, int]:
        """Return band → accounts in it; those whose contract has ended count as `closed`."""
        ints = self.state.store.rows.ints[: len(self.state.store)]
        names = [*(band.name for band in self.compiled.model.bands), GREEN]
        is_open = ints[:, CLOSED] == 0
        found = {name: int((ints[is_open, BAND] == number).sum()) for number, name in enumerate(names)}
        n_closed = int(ints.shape[0] - is_open.sum())
        return {**found, "insufficient_data": int((ints[is_open, BAND] < 0).sum()), "closed": n_closed}

    def counts(self) -> dict[str, int]:
        """Return result → events, over all topics: applied, duplicate, dead_letter."""
        found: Counter[str] = Counter()
        for (_, result), number in self.state.counts.items():
            found[result] += number
        return dict(found)

    def totals(self) -> Totals:
        """Return what it came to."""
        return Totals(
            len(self.state.store),
            self.n_lines,
            self.n_rejected,
            self.alerts.copy(),
            Counter(self.counts()),
            self.bands(),
            self.start_ms,
            self.end_ms,
        )

    def _begin(self, first_ms: int) -> None:
        if self.start_ms == NO_VALUE:
            self.start_ms = first_ms // DAY_MS * DAY_MS
            self._midnight_ms = self.start_ms + DAY_MS
            self._step_ms = None if self.every_ms is None else self.start_ms + self.every_ms
            self._sums_ms = self.start_ms + LATENESS_MS if self.state.layout.relative else None

    def _apply_with_ticks(self, stretch: Stretch) -> None:
        """Apply a stretch; a tick comes before the events of its own instant, as the row's own clock has it."""
        done = 0
        while (due := self._next_tick()) is not None and due <= stretch.last_ms:
            stop = int(np.searchsorted(stretch.times, due))
            self._apply(stretch, done, stop)
            done = stop
            self._tick(due)
        self._apply(stretch, done, len(stretch.lines))

    def _next_tick(self) -> int | None:
        if self.start_ms == NO_VALUE:
            return None
        return min(due for due in (self._midnight_ms, self._step_ms, self._sums_ms) if due is not None)

    def _apply(self, stretch: Stretch, first: int, stop: int) -> None:
        if first == stop:
            return
        topics = stretch.topics[first:stop]
        cuts = [0, *(np.flatnonzero(np.diff(topics)) + 1).tolist(), stop - first]
        runs = [
            (TOPICS[int(topics[start])], stretch.lines[first + start : first + end]) for start, end in pairwise(cuts)
        ]
        self.state.apply_runs(runs)
        letters = self.state.take_dead_letters()
        if letters:
            self._reject(letters, {(topic, line.offset): line for topic, run in runs for line in run})

    def _reject(self, letters: Sequence[Message], lines: dict[tuple[str, int], Line]) -> None:
        self.n_rejected += len(letters)
        for letter in letters if self.sinks.rejected else ():
            told = {name: text.decode() for name, text in letter.headers}
            line = lines[told["bw_topic"], int(told["bw_offset"])]
            why = (told["bw_reason"], told["bw_path"], told["bw_given"])
            self._rejected.append(Rejected(line.timestamp, line.file, line.line, *why))

    def _tick(self, at_ms: int) -> None:
        self.state.tick(at_ms)
        if at_ms == self._sums_ms:
            self._sums_ms += DAY_MS  # so that a day's reference is there when a live one would be
        if at_ms == self._midnight_ms:
            self._give()
            self._midnight_ms += DAY_MS
            if self.sinks.midnight:
                self.sinks.midnight(at_ms)
        if at_ms == self._step_ms:
            assert self.every_ms is not None
            self._give_snapshots()
            self._step_ms = at_ms + self.every_ms

    def _finish(self) -> None:
        while (due := self._next_tick()) is not None and due <= self.end_ms:
            self._tick(due)
        self.state.tick(self.end_ms)
        self._give()
        if self._snapshots_ms != self.end_ms:
            self._give_snapshots()

    def _give(self) -> None:
        told = self.state.take_told(with_records=self.sinks.alert is not None)
        self.alerts.update((fired.rule, fired.severity) for fired in told.fired)
        rejected, self._rejected = sorted(self._rejected, key=place_of), []
        self.sinks.give(told, rejected)

    def _give_snapshots(self) -> None:
        self._snapshots_ms = self.state.clock_ms
        if self.sinks.snapshots:
            self.sinks.snapshots(self.state.snapshots())
