"""Adds up what all partitions say of a day and writes the references: done by whoever owns partition 0.

What is written follows from the committed sums alone, so it matters little who writes it: after a move or a crash the
next one reads the whole topic again and goes on after the newest reference. Two at once write the same twice; a partition
takes the first.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from state.cohorts import DECODER, CohortFold
from streams.ending import ended
from streams.lease import Lease
from streams.recovery import Source
from streams.store import Leases

logger = logging.getLogger(__name__)

COHORTS = "cohorts"
POLL_SECONDS = 0.5
FETCH_MS = 500
RETRY_SECONDS = 2.0


class References:
    """Writes the references of all partitions while this process owns partition 0.

    Parameters
    ----------
    leases
        The owned partitions.
    source
        Bootstrap servers, and the topic's name in Kafka.
    partitions
        Partitions of every topic.
    """

    def __init__(self, leases: Leases, source: Source, partitions: int) -> None:
        self._leases = leases
        self._source = source
        self._topic = source.inputs[COHORTS]
        self._partitions = partitions

    async def write_forever(self) -> None:
        """Write references whenever it is this process's turn; what goes wrong with Kafka is tried again from the start."""
        while True:
            lease = self._leases.get(0)
            if lease is None or not lease.is_restored:
                await asyncio.sleep(POLL_SECONDS)
                continue
            try:
                await self._write_while(lease)
            except (KafkaError, OSError) as error:
                logger.warning("cohort references: %r; reading the sums again", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_while(self, lease: Lease) -> None:
        consumer = self._source.consumer()
        producer = AIOKafkaProducer(**self._source.client, acks="all", enable_idempotence=True)
        await consumer.start()
        try:
            await producer.start()
            try:
                await self._add_up(lease, consumer, producer)
            finally:
                await ended(producer.stop())
        finally:
            await ended(consumer.stop())

    async def _add_up(self, lease: Lease, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        tps = [TopicPartition(self._topic, partition) for partition in range(self._partitions)]
        consumer.assign(tps)
        for tp, start in (await consumer.beginning_offsets(tps)).items():
            consumer.seek(tp, start)
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(tps)
        fold, newest_ms, is_behind = CohortFold(self._partitions), 0, True
        while self._leases.get(0) is lease:
            for tp, records in (await consumer.getmany(timeout_ms=FETCH_MS)).items():
                newest_ms = max([newest_ms, *(record.timestamp for record in records)])
                for record in records:
                    _take(fold, tp.partition, record)
            # A reference that is already written may stand behind sums that are not read yet.
            is_behind = is_behind and any([await consumer.position(tp) < end for tp, end in ends.items()])
            for reference in () if is_behind else fold.complete():
                value = msgspec.json.encode(reference)
                for tp in tps:
                    await producer.send_and_wait(tp.topic, value, partition=tp.partition, timestamp_ms=newest_ms)


def _take(fold: CohortFold, partition: int, record: Any) -> None:
    try:
        fold.take(partition, DECODER.decode(record.value or b""))
    except msgspec.DecodeError as error:
        logger.warning("cohorts[%d] offset %d: not a record of ours: %s", partition, record.offset, error)
