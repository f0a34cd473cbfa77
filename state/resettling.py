"""The state of some partitions on its way into another number of partitions.

What an account has travels as it is. What belonged to its old partition does not::

    of a row        positions in the input logs      none: the new partitions read new logs
                    number of its cohort             the number its segment gets in the new partition
    of a partition  the model                        the same; since when its new signals are counted, as the first says
                    clock                            the earliest of all: a row is as of its own old clock, and never goes back
                    number of the last flush         the highest of all, so that it rises for every account
                    ids of events seen               the newest of all, in every new partition
                    references of cohort days        all of them; days after the newest are summed anew
                    a tick that waits                none: the next one comes

Rows are read as a restarted worker reads them and written as of the old clock, so nothing happens to them on the way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from scoring.model import Model
from state.busyness import COHORTS, REFERENCE_DAYS
from state.changelog import IDS, PARTITION, REFERENCE, Meta, RowRecords, StateMismatchError
from state.cohorts import EVERYBODY, Kept
from state.duplicates import Duplicates
from state.flush import Message
from state.layout import COLD, HOT, LAYOUT_VERSION, NO_VALUE, POSITIONS, ROW_TOPICS, SEGMENT
from state.murmur2 import partition_of
from state.partition import Partition
from state.store import AccountStore

ROWS_AT_ONCE: Final = 5_000
"""Some megabytes of records."""


class Resettling:
    """Takes restored partitions one after the other and says what the changelogs of the new ones must hold.

    Parameters
    ----------
    partitions
        How many new ones there are, > 0.
    """

    def __init__(self, partitions: int) -> None:
        self.accounts = [0] * partitions
        """Accounts so far, by new partition."""
        self._model: Model | None = None
        self._segments = [[EVERYBODY] for _ in range(partitions)]
        self._sequence = 0
        self._clocks: list[int] = []
        self._duplicates: list[Duplicates] = []
        self._references: dict[int, Kept] = {}

    def take(self, old: Partition) -> Iterator[list[Message]]:
        """Yield the rows of a restored partition as records of the new changelogs; the partition is spoilt by it.

        Raises
        ------
        StateMismatchError
            It was written under another model than those before it: their rows cannot stand in one partition.
        """
        if not old.sequence:
            return  # nothing was ever applied
        model = old.compiled.model
        if self._model is not None and self._model.fingerprint != model.fingerprint:
            raise StateMismatchError(
                f"partition {old.number}: expected rows of model {self._model.fingerprint} like the others', got"
                f" {model.fingerprint} ({model.name} {model.version}) — let the workers bring all partitions to one model"
            )
        if self._model is None:  # before any row, or it would not count
            record = old.model_record()
            yield [record._replace(partition=number) for number in range(len(self.accounts))]
        self._model = model
        self._sequence = max(self._sequence, old.sequence)
        self._clocks.append(old.clock_ms)
        self._duplicates.append(old.duplicates)
        for kept in old.cohorts.references:
            known = self._references.get(kept.reference.day, kept)
            self._references[kept.reference.day] = max(kept, known, key=lambda each: each.effective)
        store, records = old.store, RowRecords(old.store, old.plan)
        for first in range(0, len(store), ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE, len(store))
            self._move_in(store, first, last)
            store.rows.dirty[first:last] = HOT | COLD
            yield [
                message._replace(partition=self._home(message))
                for message in records.encode(np.arange(first, last), old.clock_ms)
            ]

    def rest(self, positions: Sequence[Mapping[str, int]]) -> list[Message]:
        """Return what the changelogs hold beside rows, once all partitions are taken; without it rows cannot be restored.

        Parameters
        ----------
        positions
            By new partition: input topic → next offset to read, where that is not the log's first.
        """
        if self._model is None:
            return []
        duplicates = Duplicates.knowing(self._duplicates)
        ids = [
            (IDS + bytes([parity]) + block.to_bytes(2, "big"), value)
            for parity, block, value in duplicates.take_records()
        ]
        references = [
            (REFERENCE + (day % REFERENCE_DAYS).to_bytes(2, "big"), msgspec.json.encode(kept))
            for day, kept in sorted(self._references.items())
        ]
        snapshot = duplicates.snapshot()
        metas = [
            msgspec.json.encode(self._meta(segments, snapshot, dict(read)))
            for segments, read in zip(self._segments, positions, strict=True)
        ]
        return [
            Message(key, value, partition=number)
            for number, meta in enumerate(metas)
            for key, value in [*ids, *references, (PARTITION, meta)]
        ]

    def _move_in(self, store: AccountStore, first: int, last: int) -> None:
        """Take from rows what belongs to their old partition, and count them."""
        ints = store.rows.ints
        ints[first:last, POSITIONS : POSITIONS + ROW_TOPICS] = -1
        for row in range(first, last):
            home = partition_of(store.names[row], len(self.accounts))
            self.accounts[home] += 1
            ints[row, SEGMENT] = self._cohort(home, store.profile(row).get("segment", EVERYBODY))

    def _home(self, message: Message) -> int:
        assert message.key is not None
        return partition_of(message.key[1:], len(self.accounts))

    def _cohort(self, home: int, segment: str) -> int:
        segments = self._segments[home]
        if segment not in segments:
            if len(segments) == COHORTS:
                return 0
            segments.append(segment)
        return segments.index(segment)

    def _meta(self, segments: list[str], duplicates: list[int], positions: dict[str, int]) -> Meta:
        assert self._model is not None
        return Meta(
            layout=LAYOUT_VERSION,
            model=self._model.fingerprint,
            sequence=self._sequence,
            positions=positions,
            clock_ms=min(self._clocks, default=NO_VALUE),
            duplicates=duplicates,
            held=None,
            segments=tuple(segments),
            summed_through=max(self._references, default=NO_VALUE),
        )
