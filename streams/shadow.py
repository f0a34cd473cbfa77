"""A model beside the one that scores: the same state, the same inputs in the same order, and nobody hears of it.

Every partition is restored twice from the changelog, as a worker would restore it, and one of the two changes to the
other model. Both then follow the journal. So the shadow shows what publishing the model now would come to. It joins no
group, commits nothing and writes nothing; a worker does not know of it.
"""

import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.compile import Compiled
from state.flush import Flush
from state.layout import BAND, CLOSED, INPUT_TOPICS, MICRO, NO_VALUE, PUBLISHED_HEALTH
from state.partition import Partition
from state.record import Record
from state.telling import INSUFFICIENT_DATA
from streams import topics
from streams.access import kafka
from streams.alert_contract import begins
from streams.halt import Refusal
from streams.reading import read_all
from streams.scorer import new_partition
from streams.settings import Settings

LOAD_RECORDS: Final = 2_000
SWEEP_ROWS: Final = 100_000
POLL_MS: Final = 500
JOURNAL_RECORDS: Final = 64
"""Where the journal is looked at first for the flush that the state stands at."""


class ShadowPartition(Partition):
    """A partition that keeps its model, whatever is published."""

    def changing(self, new: Compiled) -> Iterator[None]:
        """Leave the model as it is."""
        del new
        return iter(())

    def begin(self, new: Compiled) -> None:
        """Score with a model from here on."""
        for _ in super().changing(new):
            pass


@dataclass(slots=True)
class Difference:
    """One account whose bands differ; health 0-100 as last told, None without a score."""

    account: str
    live: str
    shadow: str
    live_health: float | None
    shadow_health: float | None


@dataclass(slots=True)
class Report:
    """How two models stand beside each other.

    Parameters
    ----------
    accounts
        How many are not closed.
    differences
        Those in another band, the greatest fall of health first.
    live_alerts, shadow_alerts
        Rule → alerts that fired since the shadow began.
    flushes, records
        What was followed since then.
    began_after
        Partition → sequence of the last flush that the restored state held.
    """

    accounts: int
    differences: list[Difference]
    live_alerts: Mapping[str, int]
    shadow_alerts: Mapping[str, int]
    flushes: int
    records: int
    began_after: Mapping[int, int]

    @property
    def moves(self) -> dict[str, int]:
        """Band → band, and how many accounts, the most first."""
        return dict(Counter(f"{each.live} → {each.shadow}" for each in self.differences).most_common())


@dataclass(slots=True)
class _Pair:
    live: Partition
    shadow: ShadowPartition
    waiting: deque[Any] = field(default_factory=deque)
    """Journal records not followed yet."""
    read: dict[str, deque[Record]] = field(default_factory=lambda: {topic: deque() for topic in INPUT_TOPICS})


class Shadow:
    """Scores with a model beside the one in use.

    Parameters
    ----------
    settings
        Of the workers.
    compiled
        What BELLWETHER_MODEL names, for partitions that hold nothing yet.
    new
        The model beside it.
    """

    def __init__(self, settings: Settings, compiled: Compiled, new: Compiled) -> None:
        self._settings = settings
        self._compiled = compiled
        self._new = new
        self._pairs: dict[int, _Pair] = {}
        self._alerts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._flushes = self._records = 0
        self._began_after: dict[int, int] = {}

    async def restore(self, tell: Callable[[int, int], None]) -> None:
        """Read the state of all partitions; `tell` hears how many are done, and of how many."""
        settings = self._settings
        numbers = await topics.partitions(settings, settings.changelog)
        for done, number in enumerate(numbers):
            tell(done, len(numbers))
            live = new_partition(number, settings, self._compiled)
            shadow = ShadowPartition(number, settings.partitions, self._compiled, app_id=settings.app_id)
            batch: list[Any] = []
            async for record in read_all(settings, settings.changelog, number):
                batch.append(record)
                if len(batch) == LOAD_RECORDS:
                    _load((live, shadow), batch)
                    batch = []
            _load((live, shadow), batch)
            for state in (live, shadow):
                state.finish_load()
            shadow.begin(self._new)
            shadow.take_flush()
            self._pairs[number] = _Pair(live, shadow)
            self._began_after[number] = live.sequence

    async def follow(self, seconds: float) -> AsyncIterator[Report]:
        """Follow the journal and yield a report every so many seconds, without end.

        Raises
        ------
        Refusal
            The journal no longer holds what comes after the restored state.
        """
        consumer = AIOKafkaConsumer(
            **kafka(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        names = {self._settings.topic(topic): topic for topic in (*INPUT_TOPICS, "journal")}
        async with consumer:
            await self._seek(consumer, names)
            due = time.monotonic() + seconds
            while True:
                for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    pair, topic = self._pairs[place.partition], names[place.topic]
                    (pair.waiting if topic == "journal" else pair.read[topic]).extend(records)
                for pair in self._pairs.values():
                    self._apply(pair)
                if time.monotonic() >= due:
                    due = time.monotonic() + seconds
                    yield self.report()

    def report(self) -> Report:
        """Return how the two stand beside each other now."""
        accounts, differences = 0, []
        for pair in self._pairs.values():
            live, shadow = _standing(pair.live), _standing(pair.shadow)
            shared = live.keys() & shadow.keys()
            accounts += len(shared)
            differences += [
                Difference(account, live[account][0], shadow[account][0], live[account][1], shadow[account][1])
                for account in shared
                if live[account][0] != shadow[account][0]
            ]
        differences.sort(key=lambda each: ((each.shadow_health or 0.0) - (each.live_health or 0.0), each.account))
        return Report(accounts, differences, *self._alerts, self._flushes, self._records, self._began_after)

    async def _seek(self, consumer: AIOKafkaConsumer, names: Mapping[str, str]) -> None:
        """Begin each input where the state stands, and the journal at the flush after it."""
        places = [TopicPartition(name, number) for name in names for number in self._pairs]
        consumer.assign(places)
        first = await consumer.beginning_offsets(places)
        for place in places:
            position = self._pairs[place.partition].live.positions.get(names[place.topic])
            consumer.seek(place, first[place] if position is None else position)
        journal = self._settings.topic("journal")
        for number, pair in self._pairs.items():
            place = TopicPartition(journal, number)
            found, end = await self._journal_after(place, pair.live.sequence)
            pair.waiting.extend(found)
            consumer.seek(place, end)

    async def _journal_after(self, place: TopicPartition, sequence: int) -> tuple[list[Any], int]:
        """Return the journal's records after a flush, as far as they are written now, and where that ends."""
        consumer = AIOKafkaConsumer(
            **kafka(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        async with consumer:
            consumer.assign([place])
            start = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            span = JOURNAL_RECORDS
            while True:
                first, found = max(start, end - span), []
                consumer.seek(place, first)
                while await consumer.position(place) < end:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found += [record for record in records if record.offset < end]
                numbers = [orjson.loads(record.value)["sequence"] for record in found]
                if not numbers or numbers[0] <= sequence + 1:
                    return [record for record, number in zip(found, numbers, strict=True) if number > sequence], end
                if first == start:
                    raise Refusal(
                        f"{place.topic}[{place.partition}]: expected flush {sequence + 1}, got {numbers[0]} as the oldest —"
                        " the journal is kept for 30 days; try again once the worker has flushed"
                    )
                span *= 16

    def _apply(self, pair: _Pair) -> None:
        """Let both states apply the flushes whose inputs are read."""
        while pair.waiting:
            journal = orjson.loads(pair.waiting[0].value)
            last = {topic: end for topic, _, end in journal["runs"]}
            if any(not pair.read[topic] or pair.read[topic][-1].offset < end for topic, end in last.items()):
                return
            pair.waiting.popleft()
            for topic, _, end in journal["runs"]:
                records = []
                while pair.read[topic] and pair.read[topic][0].offset <= end:
                    records.append(pair.read[topic].popleft())
                self._records += len(records)
                for state in (pair.live, pair.shadow):
                    state.apply(topic, records)
                    while not state.sweep(SWEEP_ROWS):
                        pass
            for state, fired in zip((pair.live, pair.shadow), self._alerts, strict=True):
                _count(state.take_flush(), fired)
            self._flushes += 1


def _load(states: tuple[Partition, ...], records: list[Any]) -> None:
    for state in states:
        state.load(records)


def _count(flush: Flush | None, fired: Counter[str]) -> None:
    for message in flush.alerts if flush else []:
        alert = orjson.loads(message.value or b"")
        if begins(alert):
            fired[alert["rule"]] += 1


def _standing(state: Partition) -> dict[str, tuple[str, float | None]]:
    """Return account → band and health as last told, of the accounts that are not closed."""
    names = (*state.compiled.model.band_names, INSUFFICIENT_DATA)
    ints = state.store.rows.ints[: len(state.store)]
    found = {}
    for row in np.flatnonzero(ints[:, CLOSED] == 0).tolist():
        health = int(ints[row, PUBLISHED_HEALTH])
        found[state.store.names[row]] = names[ints[row, BAND]], None if health == NO_VALUE else health / MICRO
    return found
