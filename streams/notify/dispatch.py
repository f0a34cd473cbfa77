"""Runs the desk: reads `alerts` and `scores`, writes `notices`, which couriers deliver, and remembers across restarts.

There is one desk at a time, because its caps and groups span all partitions: who owns partition 0 of the topic `desk` in the
group `<app id>-desk` runs it, the others wait. The desk's memory is a compacted log in that partition; it is written in one
transaction with the notices and the offsets they were made from, so a record of `alerts` becomes a notice once. A second
desk that starts too early fences the first.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from state.murmur2 import partition_of
from streams.access import kafka
from streams.ending import ended
from streams.halt import Refusal
from streams.notify.desk import Desk, Entry
from streams.notify.load import Load
from streams.notify.observer import DeliveryObserver
from streams.notify.records import alert_of
from streams.reading import committed, read_all
from streams.settings import Settings

logger = logging.getLogger(__name__)

ALERTS: Final = "alerts"
SCORES: Final = "scores"
NOTICES: Final = "notices"
DESK: Final = "desk"
PLACE: Final = 0
"""The partition of `desk` that holds its memory."""
POLL_MS: Final = 200
WAIT_SECONDS: Final = 2.0


class _Known(msgspec.Struct):
    """What is read of a score: the groups its account belongs to."""

    segment: str | None = None
    plan: str | None = None


class Groups:
    """How many accounts there are with each value of an attribute, from the topic `scores`."""

    def __init__(self) -> None:
        self._of: dict[bytes, _Known] = {}
        self._sizes: Counter[tuple[str, str]] = Counter()

    def take(self, record: ConsumerRecord) -> None:
        """Take a score: it replaces the account's former one; a tombstone removes it."""
        former = self._of.pop(record.key, None)
        known = None if record.value is None else msgspec.json.decode(record.value, type=_Known)
        if known is not None:
            self._of[record.key] = known
        for each, step in ((former, -1), (known, 1)):
            for attribute in ("segment", "plan") if each is not None else ():
                value = getattr(each, attribute)
                if value is not None:
                    self._sizes[attribute, value] += step

    def size(self, attribute: str, value: str) -> int:
        """Return how many accounts have this value, 0 where none is known."""
        return self._sizes[attribute, value]


class _Leading(ConsumerRebalanceListener):
    """Knows whether this process owns the desk's partition."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.won = asyncio.Event()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Stop when the desk's partition goes."""
        if any(tp.partition == PLACE for tp in revoked):
            self.won.clear()
            self.lost.set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin when it comes."""
        if any(tp.partition == PLACE for tp in assigned):
            self.lost.clear()
            self.won.set()


async def dispatch_forever(settings: Settings, load: Load, observer: DeliveryObserver) -> None:
    """Run the desk whenever this process is the one to, until cancelled; no failure ends it.

    Parameters
    ----------
    settings
        Of this process.
    load
        What is bearable.
    observer
        Told what is decided.
    """
    while True:
        try:
            await _take_turns(settings, load, observer)
        except (KafkaError, OSError, Refusal) as error:
            logger.warning("desk: Kafka: %r; trying again", error)
        except Exception:
            # Targets are served by this process too, and go on whatever is wrong with the desk.
            logger.exception("desk: unexpected; trying again")
        await asyncio.sleep(WAIT_SECONDS)


async def _take_turns(settings: Settings, load: Load, observer: DeliveryObserver) -> None:
    """Wait for the desk's partition, run the desk while it is ours; raise what goes wrong."""
    leading = _Leading()
    member = AIOKafkaConsumer(**kafka(settings), group_id=f"{settings.app_id}-desk", enable_auto_commit=False)
    await member.start()
    try:
        member.subscribe([settings.topic(DESK)], listener=leading)
        while True:
            await _poll_until(leading.won, member)
            lost = asyncio.create_task(_poll_until(leading.lost, member))
            work = asyncio.create_task(_lead(settings, load, observer))
            try:
                await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                for task in (work, lost):
                    task.cancel()
                await asyncio.gather(work, lost, return_exceptions=True)
    finally:
        await ended(member.stop())


async def _poll_until(event: asyncio.Event, member: AIOKafkaConsumer) -> None:
    """Stay a member of the group, which polling is for, until something happens."""
    while not event.is_set():
        await member.getmany(timeout_ms=POLL_MS)


async def _lead(settings: Settings, load: Load, observer: DeliveryObserver) -> None:
    """Run the desk until cancelled."""
    producer = AIOKafkaProducer(**kafka(settings), transactional_id=f"{settings.app_id}-desk")
    await producer.start()  # fences whoever ran the desk before, and ends what it had begun
    consumer = AIOKafkaConsumer(
        **kafka(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # what retention took while no desk ran is gone, the rest is not
    )
    try:
        groups, positions = await _known_groups(settings)
        desk = Desk(load, groups.size, await _memory(settings))
        await consumer.start()
        names = [settings.topic(ALERTS), settings.topic(SCORES)]
        places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        consumer.assign(places)
        positions |= await _alert_positions(settings, consumer)
        for tp, offset in positions.items():
            consumer.seek(tp, offset)
        logger.info("desk: deciding what is delivered")
        writing = _Writing(settings, producer)
        await writing.write([], {}, positions)  # what comes from now on is never skipped by a restart
        while True:
            notices, offsets = [], {}
            for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                if tp.topic == settings.topic(SCORES):
                    for record in records:
                        groups.take(record)
                    continue
                offsets[tp] = records[-1].offset + 1
                alerts = [alert for record in records if (alert := alert_of(record)) is not None]
                notices += [notice for alert in alerts for notice in desk.take(alert, _now_ms())]
            notices += desk.due(_now_ms())
            await writing.write(notices, desk.take_changes(), offsets)
            for notice in notices:
                observer.decided(notice["delivery"]["fate"])
    finally:
        await ended(consumer.stop())
        await ended(producer.stop())


class _Writing:
    """Writes what the desk decided, in one transaction each.

    Parameters
    ----------
    settings
        Of this process.
    producer
        A transactional one.
    """

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._producer = producer

    async def write(
        self,
        notices: Sequence[Mapping[str, Any]],
        changes: Mapping[str, Entry | None],
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        """Write notices, the memory's changes, and how far `alerts` is read; nothing where there is nothing."""
        own = {tp: OffsetAndMetadata(to, "") for tp, to in offsets.items() if tp.topic == self._settings.topic(ALERTS)}
        if not notices and not changes and not own:
            return
        async with self._producer.transaction():
            for notice in notices:
                key = notice["account_id"].encode()
                partition = partition_of(key, self._settings.partitions)
                await self._producer.send(self._settings.topic(NOTICES), orjson.dumps(notice), key, partition=partition)
            for name, entry in changes.items():
                value = None if entry is None else orjson.dumps(entry)
                await self._producer.send(self._settings.topic(DESK), value, name.encode(), partition=PLACE)
            if own:
                await self._producer.send_offsets_to_transaction(own, _log_group(self._settings))


async def _memory(settings: Settings) -> dict[str, Entry]:
    kept: dict[str, Entry] = {}
    async for record in read_all(settings, settings.topic(DESK), PLACE):
        if record.value is None:
            kept.pop(record.key.decode(), None)
        else:
            kept[record.key.decode()] = orjson.loads(record.value)
    return kept


async def _known_groups(settings: Settings) -> tuple[Groups, dict[TopicPartition, int]]:
    groups = Groups()
    name = settings.topic(SCORES)
    positions = {TopicPartition(name, number): 0 for number in range(settings.partitions)}
    async for record in read_all(settings, name):
        groups.take(record)
        positions[TopicPartition(name, record.partition)] = record.offset + 1
    return groups, positions


async def _alert_positions(settings: Settings, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """Return where the desk goes on in `alerts`; a desk that never ran begins with what comes next."""
    places = [TopicPartition(settings.topic(ALERTS), number) for number in range(settings.partitions)]
    kept = await committed(settings, _log_group(settings))
    ends = await consumer.end_offsets(places)
    return {tp: kept[tp].offset if tp in kept and kept[tp].offset >= 0 else ends[tp] for tp in places}


def _log_group(settings: Settings) -> str:
    return f"{settings.app_id}-desk-log"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
