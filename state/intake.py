"""From runs of records of several topics to one batch of events in the order they were handed out.

The order across topics matters to the state, but decoding one record at a time would cost more than everything else. So
each topic's records of a stretch are decoded at once, and the columns are then put back into the stretch's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.model import TOPICS
from state.apply import Events
from state.arrivals import Arrivals
from state.decode import Chunk, decode_chunk
from state.flush import Message
from state.layout import INPUT_TOPICS
from state.letters import rerouted
from state.murmur2 import partition_of
from state.names import EventNames
from state.record import Record
from state.rejections import Rejection
from state.store import AccountStore

FOREIGN_LIMIT: Final = 100_000
"""Accounts of other partitions that are remembered; beyond it the table starts anew."""


class Part(NamedTuple):
    """Records of one topic of a stretch.

    Parameters
    ----------
    topic
        The topic they were read from; its positions advance.
    contract
        The topic whose contract they follow: the same, but for rerouted records.
    records
        In offset order.
    places
        int64, where each stands in the stretch.
    """

    topic: str
    contract: str
    records: Sequence[Record]
    places: NDArray[np.int64]


class Refused(NamedTuple):
    """A record that becomes a dead letter."""

    place: int
    topic: str
    record: Record
    rejection: Rejection


@dataclass(slots=True)
class Batch:
    """Events of a stretch in its order, ready for the kernel, and what did not become one.

    Parameters
    ----------
    events
        Columns, one line an event.
    id_hash, timestamp_ms
        For the duplicates: hash of (source, id), and the record's timestamp.
    places
        int64, where each line's record stands in the stretch.
    parts
        The records of the stretch.
    refused
        Dead letters to be.
    rerouted
        (topic, message): records of accounts that live in another partition.
    """

    events: Events
    id_hash: NDArray[np.uint64]
    timestamp_ms: NDArray[np.int64]
    places: NDArray[np.int64]
    parts: Sequence[Part]
    refused: list[Refused]
    rerouted: list[tuple[str, Message]]

    def record(self, line: int) -> Record:
        """Return the record behind a line. O(log records): few are asked for."""
        place = self.places[line]
        for part in self.parts:
            index = int(np.searchsorted(part.places, place))
            if index < part.places.size and part.places[index] == place:
                return part.records[index]
        raise AssertionError(place)


class Intake:
    """Decodes for one partition.

    Parameters
    ----------
    number, partition_count
        The partition, and how many there are.
    compiled
        The model: its vocabulary gives event names their routes.
    store
        Gives accounts their row numbers.
    skew_ms
        How far an event may lie after its record's timestamp, ≥ 0, milliseconds.
    """

    def __init__(
        self, number: int, partition_count: int, compiled: Compiled, store: AccountStore, skew_ms: int
    ) -> None:
        self._number = number
        self._partition_count = partition_count
        self._store = store
        self._skew_ms = skew_ms
        self._names = {topic: EventNames(compiled.vocabulary, topic) for topic in TOPICS}
        self._foreign: dict[str, int] = {}
        self.arrivals = Arrivals()
        """What was heard of producers; whoever takes note of it empties it."""

    def decode(self, part: Part) -> tuple[Chunk, NDArray[np.int64], list[Refused]]:
        """Return a part's accepted events, the index in the part of each, and its refused records."""
        chunk = decode_chunk(part.contract, part.records, self._skew_ms)
        if part.topic == part.contract:  # what was rerouted was heard of where it came from
            self.arrivals.note(part.topic, chunk)
        kept = np.arange(len(part.records))
        if chunk.rejections:
            kept = np.delete(kept, [index for index, _ in chunk.rejections])
        refused = [
            Refused(int(part.places[index]), part.topic, part.records[index], rejection)
            for index, rejection in chunk.rejections
        ]
        return chunk, kept, refused

    def target(self, account: str) -> int:
        """Return the partition an account lives in."""
        if account in self._store.numbers:
            return self._number
        target = self._foreign.get(account)
        if target is None:
            target = partition_of(account, self._partition_count)
            if target != self._number:
                if len(self._foreign) >= FOREIGN_LIMIT:
                    self._foreign.clear()
                self._foreign[account] = target
        return target

    def batch(self, parts: Sequence[Part]) -> Batch:
        """Return the events of parts of the dense topics in the stretch's order."""
        columns: list[dict[str, Any]] = []
        refused: list[Refused] = []
        away: list[tuple[int, str, Message]] = []
        for part in parts:
            chunk, kept, faults = self.decode(part)
            refused += faults
            rows, home, gone = self._at_home(part, chunk, kept)
            away += gone
            columns.append(self._columns(part, chunk, kept, rows, home))
        merged = columns[0] if len(columns) == 1 else _concatenated(columns)
        if len(columns) > 1:
            order = np.argsort(merged["place"])
            merged = {name: column[order] for name, column in merged.items()}
        refused.sort(key=lambda line: line.place)
        away.sort(key=lambda line: line[0])
        return Batch(
            events=Events(**{name: merged[name] for name in Events._fields}),
            id_hash=merged["id_hash"],
            timestamp_ms=merged["timestamp_ms"],
            places=merged["place"],
            parts=parts,
            refused=refused,
            rerouted=[(topic, message) for _, topic, message in away],
        )

    def _at_home(
        self, part: Part, chunk: Chunk, kept: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None, list[tuple[int, str, Message]]]:
        """Return the rows of the events that belong here, which these are (None = all), and messages for the others."""
        accounts = chunk.account
        rows = list(map(self._store.numbers.get, accounts))
        if None not in rows:
            return np.array(rows, np.int64), None, []
        gone: list[tuple[int, str, Message]] = []
        left: list[int] = []
        self._store.reserve(rows.count(None), 0)
        for k in [k for k, row in enumerate(rows) if row is None]:
            target = self.target(accounts[k])
            if target == self._number:
                rows[k] = self._store.number(accounts[k])
                continue
            left.append(k)
            index = int(kept[k])
            message = rerouted(part.topic, self._number, part.records[index], accounts[k], target)
            gone.append((int(part.places[index]), part.topic, message))
        home = np.delete(np.arange(len(accounts)), left) if left else None
        return np.array([row for row in rows if row is not None], np.int64), home, gone

    def _columns(
        self,
        part: Part,
        chunk: Chunk,
        kept: NDArray[np.int64],
        rows: NDArray[np.int64],
        home: NDArray[np.int64] | None,
    ) -> dict[str, Any]:
        names = chunk.event if home is None else [chunk.event[k] for k in home.tolist()]
        count = rows.size
        codes, hashes = self._names[part.contract].resolve(names)

        def chosen(column: NDArray[Any]) -> NDArray[Any]:
            return column if home is None else column[home]

        return {
            "place": part.places[chosen(kept)],
            "row": rows,
            "topic": np.full(count, INPUT_TOPICS.index(part.topic), np.int64),
            "bit": np.full(count, 1 << TOPICS.index(part.contract), np.int64),
            "code": codes,
            "name": hashes,
            "offset": chosen(chunk.offset),
            "at": chosen(chunk.occurred_at_ms),
            "timestamp_ms": chosen(chunk.timestamp_ms),
            "id_hash": chosen(chunk.id_hash),
            "user": chosen(chunk.user_hash),
            "item": chosen(chunk.item_hash),
            "quantity": chosen(chunk.quantity),
            "amount": chosen(chunk.amount),
            "due": chosen(chunk.due_at_ms),
            "severity": chosen(chunk.severity),
            "score": chosen(chunk.score),
            "seats": chosen(chunk.seats),
            "mrr": chosen(chunk.mrr),
        }


def _concatenated(columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
