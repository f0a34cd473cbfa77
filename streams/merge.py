"""The order in which one partition's fetched records are applied across its input topics. Pure.

Within a topic the log's order stands. Across topics the record with the earliest timestamp goes first *as far as
fetched*; ties go to the topic named first. Two waits keep "as far as fetched" honest, both bounded:
chunks of the same fetch are waited for, and so is a topic that is known to have more in its log than we hold
(Kafka Streams does the same and calls it ``max.task.idle.ms``). A tick is due
as soon as everything fetched before it, or everything from before its time, is applied.

    usage    [1 3 5 | 9 ...        applied: usage 1 · billing 2 · usage 3 5 · billing 8 ·
    billing  [2 8                            (usage has more in its log: wait for it) · usage 9 ...
"""

from bisect import insort
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from state.record import Record

TICKS = "ticks"

PATIENCE_SECONDS = 15.0
"""How long a topic that is known to have more is waited for. A fetch takes a fraction of a second, or some seconds on a
starved machine; giving up sooner let one topic of a backlog run months ahead of another, and the clock with it. It is
limited only so that a partition without a leader does not hold up the other topics for ever."""

FULL_BYTES = 1 << 20
"""Of values held of a topic's partition at which its fetching pauses, once there are two chunks. By chunks alone, two of a
few milliseconds paused it while the worker kept up, and what was left to fetch held the next request open."""

SIBLING_WAIT_SECONDS = 0.05
"""Chunks of one fetch arrive within a few event-loop turns of each other; this only guards against a lost one."""


@dataclass(slots=True)
class Chunk:
    """The records of one topic's partition that one fetch returned.

    Parameters
    ----------
    topic, partition
        Where the records come from.
    records
        In offset order; empty when only transaction markers or aborted records were passed over.
    start, end
        The consumer's position before and after, so ``[start, end)`` is what this chunk accounts for.
    is_behind
        The log is known to hold more than ``end``.
    generation
        The assignment under which it was fetched.
    siblings
        Number of chunks for this partition in the same fetch, this one included, >= 1.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    start: int
    end: int
    is_behind: bool = False
    generation: int = 0
    siblings: int = 1


class Run(NamedTuple):
    """Consecutive records of one topic, to be applied next."""

    topic: str
    records: Sequence[Record]


class GapError(Exception):
    """A chunk starts beyond the end of the one before it: records in between would be lost."""


class RewoundError(Exception):
    """A chunk starts before the end of the one before it: offsets of this log have begun again."""


@dataclass(slots=True)
class _Held:
    chunk: Chunk
    arrival: int
    nbytes: int
    index: int = 0

    @property
    def left(self) -> int:
        return len(self.chunk.records) - self.index


class Inbox:
    """Fetched but not yet applied chunks of one partition, by topic.

    Parameters
    ----------
    topics
        Input topics in rank order.
    patience_seconds
        How long a topic known to have more is waited for, > 0.
    capacity
        Chunks of one topic from which on it may count as full, >= 1.
    full_bytes
        Bytes of values in them with which it does, >= 0.
    """

    def __init__(
        self,
        topics: Sequence[str],
        patience_seconds: float = PATIENCE_SECONDS,
        capacity: int = 2,
        full_bytes: int = FULL_BYTES,
    ) -> None:
        self._rank = {topic: rank for rank, topic in enumerate(topics)}
        self._held: dict[str, deque[_Held]] = {topic: deque() for topic in topics}
        self._end: dict[str, int] = {}
        self._behind: set[str] = set()
        self._patience = patience_seconds
        self._capacity = capacity
        self._full_bytes = full_bytes
        self._arrivals = 0
        self._siblings_missing = 0
        self._waiting_since: float | None = None

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def restart(self, starts: Mapping[str, int], behind: Collection[str] = ()) -> None:
        """Empty the inbox; reading begins at ``starts`` (topic → offset), with ``behind`` known to have more."""
        for held in self._held.values():
            held.clear()
        self._end = dict(starts)
        self._behind = set(behind)
        self._siblings_missing = 0
        self._waiting_since = None

    def offer(self, chunk: Chunk) -> None:
        """Take in a fetched chunk.

        Raises
        ------
        GapError
            When the chunk starts beyond the end of the one before it.
        RewoundError
            When it starts before that end.
        """
        topic = chunk.topic
        expected = self._end[topic]
        if chunk.start > expected:
            raise GapError(
                f"{topic}[{chunk.partition}]: expected the next chunk to start at offset {expected}, got {chunk.start}"
            )
        if chunk.start < expected:
            raise RewoundError(f"the log goes on at {chunk.start}, before the state's position {expected}")
        self._end[topic] = chunk.end
        (self._behind.add if chunk.is_behind else self._behind.discard)(topic)
        self._siblings_missing = (self._siblings_missing or chunk.siblings) - 1
        self._waiting_since = None
        self._arrivals += 1
        if chunk.records:
            nbytes = sum(len(record.value or b"") for record in chunk.records)
            self._held[topic].append(_Held(chunk, self._arrivals, nbytes))

    def is_full(self, topic: str) -> bool:
        """Return whether fetching of the topic should pause."""
        held = self._held[topic]
        return len(held) >= self._capacity and sum(each.nbytes for each in held) >= self._full_bytes

    @property
    def waiting(self) -> int:
        """Records fetched and not yet handed out."""
        return sum(each.left for held in self._held.values() for each in held)

    def applied_to(self, topic: str) -> int:
        """Return the offset below which everything was handed out, markers included; -1 before the first restart."""
        held = self._held[topic]
        if held:
            first = held[0]
            return first.chunk.records[first.index].offset
        return self._end.get(topic, -1)

    def take(self, max_records: int, now: float) -> list[Run]:
        """Return the next runs, together at most ``max_records`` (>= 1); none when there are none or they must wait.

        A tick ends what is returned. ``now`` is any steady clock in seconds; ``retry_at`` tells when waiting ends if
        nothing arrives before.
        """
        runs: list[Run] = []
        left = max_records
        while left > 0:
            heads = [held[0] for held in self._held.values() if held]
            if not heads or self._must_wait(heads, now):
                break
            tick = self._due_tick(heads)
            if tick is not None:
                runs.append(self._cut(tick, tick.index + 1))
                break
            left -= self._merge([head for head in heads if head.chunk.topic != TICKS], left, runs)
        return runs

    def _merge(self, heads: Sequence[_Held], max_records: int, runs: list[Run]) -> int:
        """Append runs in order until a chunk is used up or ``max_records`` are taken; return how many were."""
        queue = sorted((*self._key(head), head) for head in heads)
        left = max_records
        while left > 0:
            _, rank, first = queue.pop(0)
            stop = min(first.index + left, len(first.chunk.records))
            if queue:
                limit_ms, limit_rank, _ = queue[0]
                stop = _reach(first, stop, limit_ms if rank < limit_rank else limit_ms - 1)
            left -= stop - first.index
            runs.append(self._cut(first, stop))
            if stop == len(first.chunk.records):
                break  # whether to wait for more of this topic, or a tick is due, is decided anew
            insort(queue, (*self._key(first), first))
        return max_records - left

    @property
    def retry_at(self) -> float | None:
        """Steady time in seconds at which ``take`` stops waiting; None when it is not waiting."""
        if self._waiting_since is None:
            return None
        return self._waiting_since + (SIBLING_WAIT_SECONDS if self._siblings_missing else self._patience)

    def _must_wait(self, heads: Sequence[_Held], now: float) -> bool:
        """Decide the two waits; when one has lasted long enough, give its cause up."""
        awaited = any(not self._held[topic] for topic in self._behind)
        if not self._siblings_missing and (not awaited or self._due_tick(heads) is not None):
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        retry_at = self.retry_at
        assert retry_at is not None
        if now < retry_at:
            return True
        if self._siblings_missing:
            self._siblings_missing = 0
        else:
            self._behind = {topic for topic in self._behind if self._held[topic]}
        self._waiting_since = None
        return self._must_wait(heads, now)

    def _due_tick(self, heads: Sequence[_Held]) -> _Held | None:
        """Return the first tick when nothing that arrived before it, or nothing from before its time, is left.

        The first alone would let a chunk of a sparse topic, which may span months, hold up every tick of a backlog; the
        second alone would let records with old timestamps do so for ever.
        """
        tick = next((head for head in heads if head.chunk.topic == TICKS), None)
        if tick is None or tick is min(heads, key=lambda head: head.arrival):
            return tick
        return tick if all(self._key(tick)[0] <= self._key(head)[0] for head in heads) else None

    def _key(self, head: _Held) -> tuple[int, int]:
        return head.chunk.records[head.index].timestamp, self._rank[head.chunk.topic]

    def _cut(self, head: _Held, stop: int) -> Run:
        chunk, start = head.chunk, head.index
        if stop == len(chunk.records):
            self._held[chunk.topic].popleft()
            return Run(chunk.topic, chunk.records if start == 0 else chunk.records[start:])
        head.index = stop
        return Run(chunk.topic, chunk.records[start:stop])


def _reach(head: _Held, stop: int, last_ms: int) -> int:
    """Return the first index from the head's next on whose record is later than ``last_ms``, at most ``stop``."""
    records = head.chunk.records
    for index in range(head.index + 1, stop):
        if records[index].timestamp > last_ms:
            return index
    return stop
