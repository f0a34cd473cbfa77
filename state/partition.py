"""One partition's whole state: events, ticks and commands in, transitions out.

Pure and synchronous: it knows no broker, no clock and no chance. The same records in the same order give the same rows,
alerts and snapshots, byte for byte, however they are cut into chunks and however often it is restored in between.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.model import TOPICS
from state.advance import settle, sweep
from state.apply import APPLIED, DROPPED, EXPIRED, NO_ROOM, SKIPPED, Events, apply_events, begin
from state.book import MOVE_LINES, Book, Place, slices
from state.changelog import IDS, MODEL, PARTITION, REFERENCE, Meta
from state.changes import set_attributes, take_outcome
from state.cohorts import EVERYBODY
from state.decode import decode_chunk
from state.draft import Draft
from state.duplicates import Duplicates
from state.events import Tick
from state.flush import Flush, Message
from state.intake import Part, Refused
from state.judge import resolve_all
from state.layout import (
    AS_OF,
    CLOSED,
    COLD,
    INPUT_TOPICS,
    LAYOUT_VERSION,
    NO_VALUE,
    SEGMENT,
    SNAPSHOT,
)
from state.letters import by_origin, dead_letter, rerouted
from state.models import read_publication
from state.moments import rfc3339
from state.record import Keyed, Record
from state.rejections import Rejection, RejectionCode

SKEW_MS = 600_000
SPARSE_TOPICS = frozenset(("accounts", "outcomes", "commands"))
TICKS = "ticks"
REROUTED = "rerouted"
COHORTS = "cohorts"
MODELS = "models"
RESTORED_ROWS = 5_000
RESULT_NAMES = {APPLIED: "applied", SKIPPED: "skipped", DROPPED: "duplicate"}


class Partition(Book):
    """The state of one partition (`streams.ports.Fold`).

    Parameters
    ----------
    number, partition_count
        This partition and how many there are; events of accounts that belong elsewhere are rerouted.
    compiled
        The model.
    app_id
        Goes into the source of alerts.
    skew_ms
        How far an event may lie after its record's timestamp, ≥ 0, milliseconds.
    duplicates
        What is remembered of ids; given in tests to make it forget sooner.
    move_lines
        How many moves the kernel has room for.
    """

    META_KEY = PARTITION

    def __init__(
        self,
        number: int,
        partition_count: int,
        compiled: Compiled,
        *,
        app_id: str = "bellwether",
        skew_ms: int = SKEW_MS,
        duplicates: Duplicates | None = None,
        move_lines: int = MOVE_LINES,
    ) -> None:
        super().__init__(Place(number, partition_count, app_id, skew_ms), compiled, move_lines)
        self.positions: dict[str, int] = {}
        self.dirty = False
        self.counts: dict[tuple[str, str], int] = {}
        """(topic, result) → records so far; results are those of the metric bellwether_events_total."""
        self.duplicates = duplicates or Duplicates()
        self._runs: list[tuple[str, int, int]] = []
        self._dead_letters: list[Message] = []
        self._stretch = [0, 0]  # records and dead letters of the present thousand
        self._refused_per_thousand = 0
        self._rerouted: list[Message] = []
        self._held: Tick | None = None
        self._sweep_from: int | None = None
        self._changing: Iterator[None] | None = None
        self._draft: Draft | None = None
        self._loaded_meta: Meta | None = None

    def apply(self, topic: str, records: Sequence[Record]) -> None:
        """Apply records of one topic in order: `apply_runs` of a single run."""
        self.apply_runs([(topic, records)])

    def apply_runs(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Apply runs of records in order; those below a topic's position are skipped.

        What a tick's sweep or another model may change is changed before anything that follows it; put those last to
        have it done in slices by `sweep`.
        """
        assert self._draft is None, "a flush is half encoded"
        dense: list[tuple[str, Sequence[Record]]] = []
        for topic, given in runs:
            for records in self._pieces(topic, self._unseen(topic, given)):
                self._finish_sweep()
                if topic in TOPICS:
                    dense.append((topic, records))
                else:
                    self._apply_dense(dense)
                    dense = []
                    self._apply_other(topic, records)
                self._note_run(topic, records[0].offset, records[-1].offset)
                self.positions[topic] = records[-1].offset + 1
                self.dirty = True
                if self._is_due():
                    self._apply_dense(dense)
                    dense = []
                    self._finish_sweep()
                    self._release_tick()
        self._apply_dense(dense)
        self._note_refused(sum(len(records) for _, records in runs))

    def _note_refused(self, records: int) -> None:
        self._stretch[0] += records
        counted = max(self._stretch[0], 1_000)
        self._refused_per_thousand = max(self._refused_per_thousand, self._stretch[1] * 1_000 // counted)
        if self._stretch[0] >= 1_000:
            self._stretch = [0, 0]

    def _begin_sweep(self) -> None:
        """Have every row brought to the clock before anything else is applied."""
        self._sweep_from = 0
        self.cohorts.open_days(self.clock_ms)

    def sweep(self, max_rows: int) -> bool:
        """Run at most `max_rows` rows (≥ 1) of a pending sweep, or a slice of a change of the model; True when nothing is pending."""
        if self._changing is not None:
            try:
                next(self._changing)
            except StopIteration:
                self._changing = None
            return self._changing is None
        if self._sweep_from is None:
            return True
        first = self._sweep_from
        last = min(first + max_rows, len(self.store))
        while first < last:
            first = sweep(
                *(self.plan, self.store.handle, self.work, first, last, self.clock_ms),
                *(self.cohorts.first_day, self.cohorts.found),
            )
            self._outflow.take_moves()
        self._sweep_from = None if last == len(self.store) else last
        if self._sweep_from is None:
            self.cohorts.close_days(self.clock_ms)
        return self._sweep_from is None

    def _unseen(self, topic: str, records: Sequence[Record]) -> Sequence[Record]:
        position = self.positions.get(topic, 0)
        if records and records[0].offset < position:
            return [record for record in records if record.offset >= position]
        return records

    def _finish_sweep(self) -> None:
        while not self.sweep(len(self.store)):
            pass

    def _pieces(self, topic: str, records: Sequence[Record]) -> list[Sequence[Record]]:
        """Cut records where a tick that is held, or among them, takes effect: that point belongs to the log, not to us."""
        if topic == TICKS:
            return [[record] for record in records]
        end = 0 if self._held is None else self._held.ends.get(topic, 0)
        if not records or self.positions.get(topic, 0) >= end or records[-1].offset + 1 < end:
            return [records] if records else []
        # Offsets have gaps: the record that reaches the end may lie beyond it.
        cut = next(k for k, record in enumerate(records) if record.offset + 1 >= end) + 1
        return [piece for piece in (records[:cut], records[cut:]) if piece]

    def _note_run(self, topic: str, first: int, last: int) -> None:
        if self._runs and self._runs[-1][0] == topic:
            first = self._runs.pop()[1]
        self._runs.append((topic, first, last))

    def _apply_other(self, topic: str, records: Sequence[Record]) -> None:
        """Apply a run of a topic that is rare: ticks, rerouted events, and what is said of accounts themselves."""
        if topic == TICKS:
            chunk = decode_chunk(TICKS, records)
            self._refuse([Refused(k, topic, records[k], rejection) for k, rejection in chunk.rejections])
            for tick in chunk.structs:
                self._hold(tick)
            self._count(topic, "applied", len(chunk.structs))
        elif topic == COHORTS:
            refused = self.cohorts.take_records(records, self.clock_ms)
            self._count(COHORTS, "applied", len(records) - len(refused))
            self._refuse([Refused(k, COHORTS, records[k], rejection) for k, rejection in refused])
        elif topic == MODELS:
            for record in records:
                self._finish_sweep()
                self._take_model(record)
        elif topic == REROUTED:
            for contract, part in by_origin(records):
                if contract in TOPICS:
                    self._apply_parts([Part(topic, contract, part, np.arange(len(part)))])
                elif contract in SPARSE_TOPICS:
                    self._apply_sparse(Part(topic, contract, part, np.arange(len(part))))
                else:
                    refusal = Rejection(RejectionCode.UNKNOWN_VALUE, "headers.bw_topic", contract)
                    self._refuse([Refused(k, topic, record, refusal) for k, record in enumerate(part)])
        else:
            self._apply_sparse(Part(topic, topic, records, np.arange(len(records))))

    def _apply_dense(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Apply runs of the dense topics, each topic decoded at once, in the order of the runs."""
        if not runs:
            return
        records: dict[str, list[Record]] = {}
        for topic, run in runs:
            records.setdefault(topic, []).extend(run)
        numbers = {topic: number for number, topic in enumerate(records)}
        of_place = np.repeat([numbers[topic] for topic, _ in runs], [len(run) for _, run in runs])
        self._apply_parts(
            [
                Part(topic, topic, chosen, np.flatnonzero(of_place == numbers[topic]))
                for topic, chosen in records.items()
            ]
        )

    def _apply_parts(self, parts: Sequence[Part]) -> None:
        batch = self.intake.batch(parts)
        events = batch.events
        self.store.reserve(0, events.row.size * len(self.compiled.model.signals))
        repeated = self.duplicates.check(batch.id_hash, batch.timestamp_ms, events.at)
        self._count_events(events.topic[self.duplicates.is_unchecked], "unchecked")
        outcome = np.where(repeated, np.uint8(DROPPED), np.uint8(APPLIED)).astype(np.uint8)
        done = 0
        while True:
            done = apply_events(self.plan, self.store.handle, self.work, events, outcome, done, self.clock_ms)
            self._outflow.take_moves()
            if done == events.row.size:
                break
        self._count_outcomes(events.topic, outcome)
        for topic, message in batch.rerouted:
            self._rerouted.append(message)
            self._count(topic, "rerouted", 1)
        expired = [self._expired(batch.record(k), events, k) for k in np.flatnonzero(outcome == EXPIRED).tolist()]
        self._refuse(batch.refused + expired)

    def _expired(self, record: Record, events: Events, line: int) -> Refused:
        rejection = Rejection(RejectionCode.EXPIRED, "$.occurred_at", rfc3339(int(events.at[line])))
        return Refused(line, INPUT_TOPICS[int(events.topic[line])], record, rejection)

    def _count_outcomes(self, topics: NDArray[np.int64], outcome: NDArray[np.uint8]) -> None:
        for result, name in RESULT_NAMES.items():
            self._count_events(topics[outcome == result], name)

    def _count_events(self, topics: NDArray[np.int64], result: str) -> None:
        for topic, number in enumerate(np.bincount(topics).tolist()):
            self._count(INPUT_TOPICS[topic], result, number)

    def _apply_sparse(self, part: Part) -> None:
        chunk, kept, refused = self.intake.decode(part)
        self._refuse(refused)
        repeated = self.duplicates.check(chunk.id_hash, chunk.timestamp_ms, chunk.occurred_at_ms)
        self._count(part.topic, "unchecked", int(self.duplicates.is_unchecked.sum()))
        self.store.reserve(len(chunk.account), 0)
        for k, account in enumerate(chunk.account):
            record = part.records[int(kept[k])]
            target = self.intake.target(account)
            if target != self.number:
                self._rerouted.append(rerouted(part.topic, self.number, record, account, target))
                self._count(part.topic, "rerouted", 1)
            elif repeated[k]:
                self._count(part.topic, "duplicate", 1)
            else:
                self._apply_one(part, record, account, int(chunk.occurred_at_ms[k]), chunk.structs[k])

    def _apply_one(self, part: Part, record: Record, account: str, at_ms: int, event: Any) -> None:
        row, topic = self.store.number(account), INPUT_TOPICS.index(part.topic)
        while True:
            result = begin(self.plan, self.store.handle, self.work, row, topic, record.offset, at_ms, self.clock_ms)
            self._outflow.take_moves()
            if result != NO_ROOM:
                break
        if result == EXPIRED:
            rejection = Rejection(RejectionCode.EXPIRED, "$.occurred_at", rfc3339(at_ms))
            self._refuse([Refused(0, part.topic, record, rejection)])
            return
        self._count(part.topic, RESULT_NAMES[result], 1)
        if result == APPLIED:
            self._change(part.contract, row, event)
            self._outflow.take_moves()

    def _change(self, contract: str, row: int, event: Any) -> None:
        """Let one account, outcome or command event change its row, and score it."""
        rows = self.store.rows
        ints = rows.ints[row]
        at_ms = int(ints[AS_OF])
        was_closed = bool(ints[CLOSED])
        if contract == "accounts":
            profile = self.store.profile(row)
            if set_attributes(ints, profile, event):
                self.store.profiles[row] = msgspec.json.encode(profile)
                ints[SEGMENT] = self.cohorts.number(profile.get("segment", EVERYBODY))
                rows.dirty[row] |= COLD | SNAPSHOT
                self.segments.begin(row)
        elif contract == "outcomes":
            if take_outcome(ints, event):
                resolve_all(self.plan, self.store.handle, self.work, row, at_ms)
                rows.dirty[row] |= SNAPSHOT
        else:
            self._commands.carry_out(row, event, at_ms)
        if was_closed and not ints[CLOSED]:
            rows.dirty[row] |= SNAPSHOT  # a tombstone stands in the scores
        settle(self.plan, self.store.handle, self.work, row, at_ms)
        if contract == "accounts":
            self.segments.move(row)

    def _take_model(self, record: Record) -> None:
        """Begin to score with a published model; one that says what is said already changes nothing."""
        found = read_publication(record)
        if isinstance(found, Rejection):
            self._refuse([Refused(0, MODELS, record, found)])
            return
        own, new = self.compiled.model, found.model
        is_same = (new.name, new.version, new.fingerprint) == (own.name, own.version, own.fingerprint)
        self._count(MODELS, "duplicate" if is_same else "applied", 1)
        if not is_same:
            self._changing = self.changing(found)

    def _hold(self, tick: Tick) -> None:
        """Keep a tick until its ends are applied; while one is held, later ones are dropped."""
        if self._held is None and tick.as_of_ms > self.clock_ms:
            self._held = tick

    def _is_due(self) -> bool:
        tick = self._held
        return tick is not None and all(self.positions.get(topic, 0) >= end for topic, end in tick.ends.items())

    def _release_tick(self) -> None:
        assert self._held is not None
        self.clock_ms = self._held.as_of_ms
        self._held = None
        self._begin_sweep()

    def _refuse(self, refused: Sequence[Refused]) -> None:
        for _, topic, record, rejection in refused:
            self._dead_letters.append(dead_letter(topic, self.number, record, rejection))
            self._count(topic, "dead_letter", 1)
        self._stretch[1] += len(refused)

    def _count(self, topic: str, result: str, number: int) -> None:
        if number:
            self.counts[topic, result] = self.counts.get((topic, result), 0) + number

    def encode(self, max_rows: int) -> bool:
        """Encode at most `max_rows` (≥ 1) rows of the next flush; True when all are. Until it is taken nothing is applied."""
        if not self.dirty:
            return True
        if self._draft is None:
            assert self._sweep_from is None, "a sweep is pending"
            assert self._changing is None, "a change of the model is pending"
            self._draft = self.begin_draft()
        return self._draft.go_on(max_rows)

    def take_flush(self) -> Flush | None:
        """Return everything since the last flush, encoded; None when nothing was applied."""
        while not self.encode(len(self.store) + 1):
            pass
        draft, self._draft = self._draft, None
        if draft is None:
            return None
        self.sequence += 1
        clock, changelog = self.clock_ms, draft.rows
        for parity, block, value in self.duplicates.take_records():
            changelog.append(Message(IDS + bytes([parity]) + block.to_bytes(2, "big"), value))
        for place, value in self.cohorts.take_unwritten():
            changelog.append(Message(REFERENCE + place.to_bytes(2, "big"), value))
        changelog.append(Message(PARTITION, msgspec.json.encode(self._meta())))
        journal = {"sequence": self.sequence, "runs": self._runs, "clock_ms": None if clock == NO_VALUE else clock}
        flush = Flush(
            sequence=self.sequence,
            journal=Message(str(self.sequence).encode(), msgspec.json.encode(journal)),
            offsets=dict(self.positions),
            changelog=changelog,
            scores=draft.scores,
            alerts=draft.alerts,
            dead_letters=self._dead_letters,
            rerouted=self._rerouted,
            cohorts=self.cohorts.take_sums(),
            refused_per_thousand=self._refused_per_thousand,
        )
        self._refused_per_thousand = 0
        self._runs, self._dead_letters, self._rerouted = [], [], []
        self.dirty = False
        return flush

    def _meta(self) -> Meta:
        held = None if self._held is None else (self._held.as_of_ms, self._held.ends)
        return Meta(
            layout=LAYOUT_VERSION,
            model=self.compiled.model.fingerprint,
            sequence=self.sequence,
            positions=self.positions,
            clock_ms=self.clock_ms,
            duplicates=self.duplicates.snapshot(),
            held=held,
            segments=tuple(self.cohorts.segments),
            summed_through=self.cohorts.summed_through,
        )

    def expect(self, newest: bytes | None) -> None:
        """Raise StateMismatchError unless rows beside the newest record of `META_KEY` can be read at all."""
        if newest is not None:
            msgspec.json.decode(newest, type=Meta).require(self.number)

    def load(self, records: Iterable[Keyed]) -> None:
        """Take changelog records during a restore, in log order.

        A flush that changes the model writes the model first and then every row. So rows count from the newest model
        on, and what stands before it was written again.
        """
        rows: list[tuple[bytes, bytes]] = []
        for record in records:
            key, value = record.key, record.value
            assert key is not None
            assert value is not None, "rows are never deleted"
            kind = key[:1]
            if kind == PARTITION:
                self._loaded_meta = msgspec.json.decode(value, type=Meta)
            elif kind == MODEL:
                rows.clear()
                self.load_model(value)
            elif kind == REFERENCE:
                self.cohorts.load(value)
            elif kind == IDS:
                self.duplicates.load_block(key[1], int.from_bytes(key[2:], "big"), value)
            elif self.is_model_loaded:
                rows.append((key, value))
        if rows:
            self.row_records.decode(rows)

    def finish_load(self) -> None:
        """End the restore: derive what was not kept and bring every row to the clock, as it stood before."""
        meta = self._loaded_meta
        if meta is None:
            assert len(self.store) == 0, "rows without the partition's record: the changelog is not whole"
            return
        self.sequence, self.positions, self.clock_ms = meta.sequence, dict(meta.positions), meta.clock_ms
        self.duplicates.finish_load(meta.duplicates)
        self.cohorts.finish_load(meta.segments, meta.summed_through)
        if meta.held is not None:
            self._held = Tick(as_of_ms=meta.held[0], ends=meta.held[1])
        rows, count = self.store.rows, len(self.store)
        for first, last in slices(count):  # between two of them other threads run, heartbeats for one
            self.derive(first, last)
        if self.clock_ms != NO_VALUE:
            self._begin_sweep()
            while not self.sweep(RESTORED_ROWS):
                pass
        # What the way to the clock brought up was announced and written before the restart.
        assert not self._outflow.has_moves, "a restored row moved on its way to the clock"
        rows.dirty[:count] = 0
