"""Reading a topic once, from its beginning to where it ends now (committed records only), and a group's offsets."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from streams import topics
from streams.access import kafka, kafka_refusal
from streams.ending import ended
from streams.halt import Refusal
from streams.settings import Settings
from streams.topics import CONNECT_SECONDS, POLL_SECONDS, admin, unreachable

STALL_SECONDS = 30
"""Without any progress for this long the read is given up."""
OPEN_SECONDS = 2
"""How long records of unfinished transactions are waited for: a commit returns some milliseconds before its records may
be read, while the transaction of a process that died stays open for a minute and holds nothing that was committed."""


async def read_all(settings: Settings, topic: str, only: int | None = None) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records of `topic` (name in Kafka), in order within each partition; of partition `only`, where given.

    Raises
    ------
    Refusal
        No broker answers, there is no such topic, or its end is not reached.
    """
    numbers = await topics.partitions(settings, topic)
    consumer = AIOKafkaConsumer(
        **kafka(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # the default, "latest", can win against the seek below
        fetch_max_wait_ms=100,
    )
    try:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await consumer.start()
        except (KafkaError, OSError) as error:
            raise await unreachable(settings) from error
        partitions = [TopicPartition(topic, partition) for partition in numbers if only in (None, partition)]
        consumer.assign(partitions)
        stable = await consumer.end_offsets(partitions)
        ends = await _written_ends(settings, partitions)
        for partition, start in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(partition, start)
        async for record in _until(consumer, stable, ends):
            yield record
    finally:
        await ended(consumer.stop())


async def committed(settings: Settings, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return what the consumer group has committed; empty for a group that never did.

    A cluster that has never had a group makes its offsets topic only now, and answers "no coordinator" until then.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    async with admin(settings) as client:
        while True:
            try:
                return await client.list_consumer_group_offsets(group)
            except KafkaError as error:
                if not error.retriable or time.monotonic() > deadline:
                    sentence = f"group {group}: its offsets cannot be read ({error!r}) — run `bellwether doctor`"
                    raise Refusal(kafka_refusal(error) or sentence) from error
            await asyncio.sleep(POLL_SECONDS)


async def _written_ends(settings: Settings, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**kafka(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(partitions))
    finally:
        await ended(consumer.stop())


async def _until(
    consumer: AIOKafkaConsumer, stable: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """Yield records up to `ends`; those from `stable` on belonged to open transactions when the read began."""
    positions = dict.fromkeys(ends, 0)
    progressed = time.monotonic()
    while any(positions[partition] < end for partition, end in ends.items()):
        for partition, records in (await consumer.getmany(timeout_ms=200)).items():
            for record in records:
                if record.offset < ends[partition]:
                    yield record
        # The position also passes what is never delivered: aborted records and transaction markers.
        before, positions = positions, {partition: await consumer.position(partition) for partition in ends}
        idle_seconds = 0.0 if positions != before else time.monotonic() - progressed
        progressed = time.monotonic() - idle_seconds
        is_stable = all(positions[partition] >= end for partition, end in stable.items())
        if is_stable and idle_seconds > OPEN_SECONDS:
            return
        if idle_seconds > STALL_SECONDS:
            topic = next(iter(ends)).topic
            raise Refusal(f"{topic}: its end is not reached — see that every broker runs, then try again")
