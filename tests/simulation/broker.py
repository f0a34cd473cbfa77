"""Kafka's brokers in memory: logs with transactions, as their clients can tell.

What counts is what readers and writers may see: markers take offsets, a commit is answered before its markers are
written, each partition's marker comes in its own time, read_committed readers stop at the first open transaction, a
producer that starts fences the one before it and waits until that one's transaction is settled.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from aiokafka.errors import ProducerFenced

from tests.simulation.loop import SimulatedLoop

TRANSACTION_SECONDS = 60.0
"""An open transaction is aborted by the broker after this long."""


class AgainError(Exception):
    """The broker cannot answer yet; ask again."""


class Record(NamedTuple):
    """One record as a consumer receives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class State(Enum):
    """Life of a transaction; COMMITTING and ABORTING are decided, but not every marker is written."""

    OPEN = 1
    COMMITTING = 2
    ABORTING = 3
    COMMITTED = 4
    ABORTED = 5


@dataclass(eq=False, slots=True)
class Transaction:
    """What one transaction touched."""

    state: State = State.OPEN
    logs: "dict[Log, int]" = field(default_factory=dict)  # → offset of its first record
    offsets: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)  # group → place → offset
    unmarked: int = 0

    @property
    def is_committed(self) -> bool:
        """Whether the commit is decided: nothing can undo it."""
        return self.state in (State.COMMITTING, State.COMMITTED)


class Entry(NamedTuple):
    """One offset of a log: a record, or a transaction's marker (no record)."""

    offset: int
    record: Record | None
    transaction: Transaction | None


class Log:
    """One partition of a topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.entries: list[Entry] = []
        self.end = 0
        self._open: dict[Transaction, int] = {}

    @property
    def stable_end(self) -> int:
        """The last stable offset: where read_committed readers stop."""
        return min(self._open.values(), default=self.end)

    def append(
        self,
        messages: Iterable[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]], int]],
        transaction: Transaction | None,
    ) -> int:
        """Append messages (key, value, headers, timestamp); return the offset of the first."""
        first = self.end
        if transaction is not None and self not in transaction.logs:
            transaction.logs[self] = self._open[transaction] = first
        for key, value, headers, timestamp in messages:
            record = Record(self.topic, self.partition, self.end, timestamp, key, value, tuple(headers))
            self.entries.append(Entry(self.end, record, transaction))
            self.end += 1
        return first

    def mark(self, transaction: Transaction) -> None:
        """Write a transaction's marker."""
        self.entries.append(Entry(self.end, None, transaction))
        self.end += 1
        del self._open[transaction]

    def read(self, position: int, limit: int) -> tuple[list[Record], int]:
        """Return committed records of at most ``limit`` entries, and the position after them."""
        at, stable = self._index(position), self.stable_end
        records = []
        for entry in self.entries[at : at + limit]:
            if entry.offset >= stable:
                break
            position = entry.offset + 1
            if entry.record is not None and (entry.transaction is None or entry.transaction.is_committed):
                records.append(entry.record)
        return records, position

    def committed(self) -> list[Record]:
        """Return all records whose commit is decided."""
        return [
            entry.record
            for entry in self.entries
            if entry.record is not None and (entry.transaction is None or entry.transaction.is_committed)
        ]

    def compact(self, below: int) -> None:
        """Keep the last record of each key below an offset, with what is open or above it; the end stays."""
        below = min(below, self.stable_end)
        head = self.entries[: self._index(below)]
        newest = {e.record.key: e.offset for e in head if e.record is not None and _is_kept(e.transaction)}
        kept = [
            e for e in head if e.record is not None and _is_kept(e.transaction) and newest[e.record.key] == e.offset
        ]
        self.entries[: len(head)] = kept

    def _index(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)


def _is_kept(transaction: Transaction | None) -> bool:
    return transaction is None or transaction.is_committed


@dataclass(slots=True)
class _Identity:
    """What the coordinator knows of one transactional id."""

    epoch: int = -1
    transaction: Transaction | None = None


class Brokers:
    """All logs, transactions and committed offsets.

    Parameters
    ----------
    loop
        For what the brokers do by themselves.
    delay
        Returns how long a marker takes, seconds.
    """

    def __init__(self, loop: SimulatedLoop, delay: Callable[[], float]) -> None:
        self._loop = loop
        self._delay = delay
        self.logs: dict[tuple[str, int], Log] = {}
        self.offsets: dict[str, dict[tuple[str, int], int]] = {}
        self._identities: dict[str, _Identity] = {}
        self.on_commit: Callable[[], None] = lambda: None

    def create(self, topics: Iterable[str], partitions: int) -> None:
        """Create topics."""
        for topic in topics:
            for partition in range(partitions):
                self.logs[topic, partition] = Log(topic, partition)

    @property
    def is_settled(self) -> bool:
        """Whether no transaction is open or waits for its markers."""
        return all(identity.transaction is None for identity in self._identities.values())

    def append(self, topic: str, partition: int, *messages: Any) -> int:
        """Append outside of any transaction."""
        return self.logs[topic, partition].append(messages, None)

    def initialise(self, name: str) -> int:
        """Return a new epoch for a transactional id: everything older is fenced, its transaction settled."""
        identity = self._identities.setdefault(name, _Identity())
        if identity.transaction is not None:
            if identity.transaction.state is State.OPEN:
                identity.epoch += 1
                self._end(identity, State.ABORTING)
            raise AgainError
        identity.epoch += 1
        return identity.epoch

    def epoch(self, name: str) -> int:
        """Return the present epoch without fencing anybody (for a mutation)."""
        return self._identities.setdefault(name, _Identity(0)).epoch

    def produce(self, name: str, epoch: int, topic: str, partition: int, messages: Sequence[Any]) -> int:
        """Append to a log within the id's transaction."""
        return self.logs[topic, partition].append(messages, self._transaction(name, epoch))

    def stage_offsets(self, name: str, epoch: int, group: str, offsets: dict[tuple[str, int], int]) -> None:
        """Add offsets to the id's transaction."""
        self._transaction(name, epoch).offsets.setdefault(group, {}).update(offsets)

    def end_transaction(self, name: str, epoch: int, *, is_commit: bool) -> None:
        """Decide the id's transaction."""
        identity = self._identities[name]
        if identity.epoch != epoch:
            raise ProducerFenced
        if identity.transaction is not None:
            assert identity.transaction.state is State.OPEN
            self._end(identity, State.COMMITTING if is_commit else State.ABORTING)

    def _transaction(self, name: str, epoch: int) -> Transaction:
        identity = self._identities[name]
        if identity.epoch != epoch:
            raise ProducerFenced
        transaction = identity.transaction
        if transaction is None:
            transaction = identity.transaction = Transaction()
            self._loop.later(TRANSACTION_SECONDS, self._expire, identity, transaction)
        elif transaction.state is not State.OPEN:
            raise AgainError
        return transaction

    def _expire(self, identity: _Identity, transaction: Transaction) -> None:
        if identity.transaction is transaction and transaction.state is State.OPEN:
            identity.epoch += 1
            self._end(identity, State.ABORTING)

    def _end(self, identity: _Identity, state: State) -> None:
        transaction = identity.transaction
        assert transaction is not None
        transaction.state = state
        transaction.unmarked = len(transaction.logs) + 1
        for log in transaction.logs:
            self._loop.later(self._delay(), self._mark, identity, transaction, log)
        self._loop.later(self._delay(), self._mark, identity, transaction, None)
        if transaction.is_committed:
            self.on_commit()

    def _mark(self, identity: _Identity, transaction: Transaction, log: Log | None) -> None:
        """Write one marker; the one without a log is that of the offsets topic."""
        if log is not None:
            log.mark(transaction)
        elif transaction.is_committed:
            for group, offsets in transaction.offsets.items():
                self.offsets.setdefault(group, {}).update(offsets)
        transaction.unmarked -= 1
        if not transaction.unmarked:
            transaction.state = State.COMMITTED if transaction.is_committed else State.ABORTED
            identity.transaction = None
