"""Copies `scores` and `alerts` into Redis, once each, however often this process or Redis is killed.

The truth about how far it came is in Redis, written by one script together with the data (`projector.lua`); Kafka only
shares the partitions out among the projectors. Each script call says up to where nothing may be missing before its
records:

    applied in Redis        means                              then
    below that              Redis has lost data                nothing is written; read again from `applied`
    at or above it          all before is in                   records below `applied` are skipped, the rest written
    above the log's end     this is another log's read model   clear it, read from the beginning

So it does not matter whether two projectors hold a partition for a moment, a call arrives late, Redis is flushed, or
comes back from an older file. While Redis does not answer, records wait in Kafka; nothing else depends on it.

This is a plain consumer group and no second Faust app. Two apps do run in one Faust worker (tried: both read, SIGTERM
ends both), but Faust seeks to the offsets committed in Kafka, and to have it seek to Redis's, and deliver chunks instead
of records at 80 µs each, would take the scorer's private hooks a second time, without its leases. Beside a scorer it
runs in the same event loop as one more service of Faust's worker; alone nothing of Faust runs.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from state.readmodel import SCORES, TOPICS, UnreadableError, commands_of
from state.timestamps import parse_moment
from streams.access import kafka, redis_advice
from streams.ending import ended
from streams.observer import Observer
from streams.projection import CLEARING, Entry, Projection, RedisDownError
from streams.settings import Settings
from streams.topics import DAY_MS

logger = logging.getLogger(__name__)

RECORDS_AT_ONCE: Final = 500
"""Per script call: about 10 ms in which Redis serves nobody else."""
FETCH_BYTES: Final = 512 * 1024
POLL_MS: Final = 500
CHECK_SECONDS: Final = 1.0
"""How soon a loss in Redis is noticed when there is nothing to write."""
FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 5.0
STALE_MS: Final = 6 * DAY_MS
"""`scores` keeps tombstones for 7 days: whoever is further behind may have missed one, and begins anew."""
OUTAGE_POLL_MS: Final = 86_400_000
"""Kafka's patience with a member that fetches nothing, because Redis is away."""


class Projector(ConsumerRebalanceListener):
    """One member of the projectors' consumer group; use it as an async context manager.

    Parameters
    ----------
    settings
        Of this process.
    observer
        Told what happens.
    """

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._observer = observer
        self._settings = settings
        self._topic_of = {settings.topic(topic): topic for topic in TOPICS}
        self._projection = Projection(settings)
        # Partitions that are read from where Redis is → offset that Redis holds everything below.
        self._reached: dict[TopicPartition, int] = {}
        # Partition → offset below which records had been in Redis before, or are only put back there.
        self._told: dict[TopicPartition, int] = {}
        self._assignments = 0
        self._down_since: float | None = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **kafka(self._settings),
            group_id=f"{self._settings.app_id}-projector",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            max_poll_interval_ms=OUTAGE_POLL_MS,
        )
        try:
            await self._consumer.start()
        except BaseException:
            await ended(self._consumer.stop())
            raise
        self._consumer.subscribe(list(self._topic_of), listener=self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._consumer.stop())
        await self._projection.__aexit__()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget where reading stood: what is fetched from now on belongs to another assignment."""
        del revoked
        self._assignments += 1
        self._reached.clear()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have every partition looked up in Redis before anything of it is applied."""
        self._assignments += 1
        self._reached.clear()
        numbers = sorted({tp.partition for tp in assigned})
        logger.info("projecting partitions %s", numbers)

    async def run(self) -> None:
        """Copy until cancelled; raise what Kafka's client cannot recover from."""
        wait_seconds = FIRST_WAIT_SECONDS
        checked = monotonic()
        while True:
            try:
                await self._begin_reading()
                found = await self._consumer.getmany(timeout_ms=POLL_MS)
                for tp in sorted(found, key=self._place):  # alerts first: somebody waits for them
                    await self._apply(tp, found[tp])
                if monotonic() - checked >= CHECK_SECONDS:
                    await self._check()
                    checked = monotonic()
                    wait_seconds = FIRST_WAIT_SECONDS
            except RedisDownError as error:
                self._tell_outage(error)
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)

    async def _begin_reading(self) -> None:
        """Seek partitions that are new, or of which Redis lost data, to where Redis is."""
        new = [tp for tp in self._consumer.assignment() if tp not in self._reached]
        if not new:
            return
        assignments = self._assignments
        found = await self._projection.applied(self._place(tp) for tp in new)
        ends = await self._consumer.end_offsets(new)
        beginnings = await self._consumer.beginning_offsets(new)
        reached = {}
        for tp in new:
            topic, partition = self._place(tp)
            applied, age_ms = found[topic, partition]
            is_stale = topic == SCORES and age_ms > STALE_MS and applied < ends[tp]
            if applied == CLEARING or applied > ends[tp] or is_stale:
                logger.warning("%s[%d]: rebuilding what Redis has of it, up to offset %d", topic, partition, applied)
                await self._projection.clear(topic, partition)
                self._observer.projection_rewound(topic, partition)
                applied = 0
            reached[tp] = applied
            self._told[tp] = max(self._told.get(tp, 0), applied or ends[tp])
        if assignments != self._assignments:
            return  # a rebalance came in between: look again
        for tp, applied in reached.items():
            self._consumer.seek(tp, max(applied, beginnings[tp]))
            self._reached[tp] = applied

    async def _apply(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        """Write the records of one fetch, unless they were fetched before the partition was looked up."""
        if tp not in self._reached:
            return
        end = await self._consumer.position(tp)
        for start in range(0, len(records), RECORDS_AT_ONCE):
            stretch = records[start : start + RECORDS_AT_ONCE]
            is_last = start + RECORDS_AT_ONCE >= len(records)
            to = end if is_last else stretch[-1].offset + 1
            if await self._write(tp, to, self._entries(tp, stretch)):
                self._observer.projection_delayed(time.time() - stretch[0].timestamp / 1000)
                self._observer.reached_redis([_moment(record) for record in stretch if record.offset >= self._told[tp]])
                self._told[tp] = max(self._told[tp], to)

    async def _write(self, tp: TopicPartition, to: int, entries: Sequence[Entry]) -> bool:
        """Write up to an offset; tell whether Redis has it now."""
        first = self._reached.get(tp)
        if first is None:
            return False
        topic, partition = self._place(tp)
        began = monotonic()
        applied, count = await self._projection.apply(topic, partition, first, to, entries)
        if tp not in self._reached:
            return False  # a rebalance came in between
        if applied < first:
            self._lost(tp, applied)
            return False
        self._reached[tp] = to
        self._tell_recovery()
        self._observer.projected(topic, partition, count, monotonic() - began)
        return True

    def _entries(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> list[Entry]:
        topic, partition = self._place(tp)
        if topic == SCORES:  # of an account's scores only the last one stays
            records = sorted({record.key: record for record in records}.values(), key=_offset)
        entries = []
        for record in records:
            try:
                commands = commands_of(topic, partition, record.offset, record.key, record.value)
            except UnreadableError as error:
                logger.warning("left out of Redis: %s", error)
                self._observer.projection_unreadable(topic, partition)
                continue
            entries.append(Entry(record.offset, (record.key or b"").decode(errors="replace"), commands))
        return entries

    async def _check(self) -> None:
        """Tell the lag, move on over transaction markers, and see that Redis still has what it had."""
        for tp in list(self._reached):
            if tp not in self._reached:
                continue  # a rebalance came in between
            position = await self._consumer.position(tp)
            end = self._consumer.last_stable_offset(tp)
            self._observer.projection_lag(*self._place(tp), max(0, (end or 0) - position))
            if position > self._reached[tp]:
                await self._write(tp, position, [])
        found = await self._projection.applied(self._place(tp) for tp in self._reached)
        for tp, first in list(self._reached.items()):
            applied = found.get(self._place(tp))
            if applied is not None and applied.offset < first:
                self._lost(tp, applied.offset)
        self._tell_recovery()

    def _lost(self, tp: TopicPartition, applied: int) -> None:
        topic, partition = self._place(tp)
        logger.warning(
            "%s[%d]: Redis fell from offset %d to %d; reading again",
            *(topic, partition),
            self._reached.pop(tp),
            applied,
        )
        self._observer.projection_rewound(topic, partition)

    def _place(self, tp: TopicPartition) -> tuple[str, int]:
        return self._topic_of[tp.topic], tp.partition

    def _tell_outage(self, error: RedisDownError) -> None:
        self._reached.clear()  # whether the last call was carried out is not known
        if self._down_since is None:
            self._down_since = monotonic()
            where, advice = self._settings.redis_address, redis_advice(error)
            logger.warning(
                "redis %s: %s — %s; scores and alerts wait in Kafka until it takes them", where, error, advice
            )
            self._observer.redis_answers(is_up=False)

    def _tell_recovery(self) -> None:
        if self._down_since is not None:
            logger.info("redis answers again after %.1f s", monotonic() - self._down_since)
            self._down_since = None
        self._observer.redis_answers(is_up=True)


async def project_forever(settings: Settings, observer: Observer | None = None) -> None:
    """Copy `scores` and `alerts` into Redis until cancelled; no failure ends it.

    Parameters
    ----------
    settings
        Of this process.
    observer
        Told what happens; nobody when None.
    """
    wait_seconds = FIRST_WAIT_SECONDS
    while True:
        began = monotonic()
        try:
            async with Projector(settings, observer or Observer()) as projector:
                await projector.run()
        except (KafkaError, OSError) as error:
            logger.warning("projector: Kafka: %r; trying again", error)
        except Exception:
            # Scoring runs in this process too, and must go on whatever is wrong with its read model.
            logger.exception("projector: unexpected; trying again")
        wait_seconds = FIRST_WAIT_SECONDS if monotonic() - began > 60 else min(2 * wait_seconds, LONGEST_WAIT_SECONDS)
        await asyncio.sleep(wait_seconds)


def _moment(record: Any) -> int:
    """Return the moment a score or alert speaks of; the records of `alerts` are stamped when they are written."""
    said = next((value for name, value in record.headers if name == "ce_time"), None)
    moment = None if said is None else parse_moment(said.decode())
    return int(record.timestamp) if moment is None else moment


def _offset(record: Any) -> int:
    return int(record.offset)
