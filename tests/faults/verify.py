"""What is found after healing: logs of real brokers, recounted by the code that recounts the simulation's."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.compile import Compiled
from state.layout import INPUT_TOPICS
from state.partition import Partition
from state.record import Record
from streams import topics
from streams.recovery import look_at
from streams.settings import Settings
from tests.invariants import READ, Check, Logs, ViolationError
from tests.streams.projecting import content, expected

POLL_SECONDS = 0.3


async def read_logs(settings: Settings, names: Sequence[str] = READ) -> dict[tuple[str, int], list[Record]]:
    """Return (topic, partition) → all committed records, as far as they go when the read begins."""
    kafka = {topics.kafka_name(topic, settings): topic.name for topic in topics.TOPICS if topic.name in names}
    found: dict[tuple[str, int], list[Record]] = {
        (name, partition): [] for name in names for partition in range(settings.partitions)
    }
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(name, partition) for name in kafka for partition in range(settings.partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        for tp, start in (await consumer.beginning_offsets(tps)).items():
            consumer.seek(tp, start)
        unread = {tp for tp in tps if ends[tp] > 0}
        while unread:
            for tp, records in (await consumer.getmany(*unread, timeout_ms=200)).items():
                found[kafka[tp.topic], tp.partition] += [record for record in records if record.offset < ends[tp]]
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
    return found


async def still_logs(settings: Settings, deadline: float) -> Logs:
    """Return all logs once nothing moves any more: everything read is committed, and no tick is on its way.

    A commit becomes visible in one log after the other, as the brokers write its markers: on a busy machine the journal
    may show a flush seconds before the changelog does. So no transaction may be open anywhere before and after reading.

    Raises
    ------
    ViolationError
        Records were not consumed by the deadline (steady clock, seconds).
    """
    while True:
        before = await _settled_ends(settings)
        logs = await read_logs(settings) if before else {}
        waiting = _unread(settings, logs) if logs else ["a transaction is open"]
        if not waiting and await _settled_ends(settings) == before:
            return logs
        if time.monotonic() > deadline:
            raise ViolationError(f"not consumed by the deadline: {waiting or 'the journal goes on growing'}")
        await asyncio.sleep(POLL_SECONDS)


async def _settled_ends(settings: Settings) -> list[int] | None:
    """Return the ends of the journal, None while some log holds records of an open transaction."""
    ends = []
    for level in ("read_uncommitted", "read_committed"):
        async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, isolation_level=level) as consumer:
            names = [topics.kafka_name(topic, settings) for topic in topics.TOPICS if topic.name in READ]
            places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
            look_at(consumer, places)
            ends.append(await consumer.end_offsets(places))
    written, stable = ends
    journal = settings.topic("journal")
    return [stable[tp] for tp in sorted(stable) if tp.topic == journal] if written == stable else None


def _unread(settings: Settings, logs: Logs) -> list[str]:
    """Return where records lie beyond what the journal has reached."""
    waiting = []
    for partition in range(settings.partitions):
        reached = dict.fromkeys(INPUT_TOPICS, 0)
        for record in logs["journal", partition]:
            for topic, _, last in orjson.loads(record.value or b"")["runs"]:
                reached[topic] = last + 1
        for topic, offset in reached.items():
            records = logs[topic, partition]
            if records and records[-1].offset >= offset:
                waiting.append(f"{topic}[{partition}] at {offset} of {records[-1].offset + 1}")
    return waiting


class LoadError(Exception):
    """The input logs are not what the load was to write: the round proves nothing about what reads them."""


def doubled(logs: Logs, values: Mapping[tuple[str, int], Sequence[bytes]]) -> int:
    """Return how many records the input logs hold twice, though the load wrote them once.

    A broker that comes back forgets producers whose records are dated more than a day ago (`producer.id.expiration.ms`
    goes by the records' time), so that a batch whose answer was lost is taken a second time, directly after the first.

    Raises
    ------
    LoadError
        Anything else differs.
    """
    total = 0
    for (topic, partition), wanted in sorted(values.items()):
        found = [record.value or b"" for record in logs[topic, partition]]
        read = extra = 0
        while read < len(wanted) or read + extra < len(found):
            at = read + extra
            if found[at : at + 1] == wanted[read : read + 1]:
                read += 1
            elif (again := _again(found, at)) > 0:
                extra += again
            else:
                raise LoadError(f"{topic}[{partition}]: {len(wanted)} written, {len(found)} found, differs at {at}")
        total += extra
    return total


def _again(found: Sequence[bytes], at: int) -> int:
    """Return the length of the batch before a place that stands there once more, 0 for none."""
    for size in range(1, min(at, len(found) - at) + 1):
        if found[at - size : at] == found[at : at + size]:
            return size
    return 0


def recount(
    settings: Settings,
    compiled: Compiled,
    logs: Logs,
    sent: Mapping[str, int] | None = None,
    compacted: Collection[str] = (),
    *,
    has_elders: bool = False,
) -> Check:
    """Fold the journal again and compare everything; raise ViolationError where something differs."""

    def new_fold(number: int) -> Partition:
        return Partition(number, settings.partitions, compiled, app_id=settings.app_id)

    check = Check(logs, settings.partitions, new_fold, compacted, has_elders=has_elders)
    check.everything(sent)
    return check


async def redis_equals_the_topics(settings: Settings, deadline: float) -> None:
    """Wait until Redis holds exactly what a plain fold of `scores` and `alerts` says.

    Raises
    ------
    ViolationError
        It does not by the deadline (steady clock, seconds).
    """
    wanted = await expected(settings)
    while (found := await content(settings)) != wanted:
        if time.monotonic() > deadline:
            wrong = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
            raise ViolationError(f"Redis: {len(wrong)} of {len(wanted)} keys differ from the topics, first {wrong[:3]}")
        await asyncio.sleep(POLL_SECONDS)
