"""A producer that fills whole batches: how commands send many records fast, in order per partition, without duplicates."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata

from state.murmur2 import partition_of
from streams import topics
from streams.access import kafka
from streams.ending import ended
from streams.halt import Refusal
from streams.settings import Settings
from streams.topics import CONNECT_SECONDS, MIB, unreachable

BATCH_BYTES = 256 * 1024
TRANSACTION_MS = 900_000  # the longest that brokers allow by default; millions of records take minutes
BATCHES_IN_FLIGHT = 32  # 8 MiB at most in memory


class Outbox:
    """Records on their way to Kafka; use it as an async context manager, leaving it sends the rest.

    One record costs about 2 µs: it is appended to its partition's batch, and only a full batch is handed to the
    producer.

    Parameters
    ----------
    transactional_id
        Send everything in one transaction of this id, which `commit` ends; leaving without it aborts.
    """

    def __init__(self, settings: Settings, transactional_id: str | None = None) -> None:
        self._settings = settings
        self._is_transaction_open = False
        self._is_transactional = transactional_id is not None
        self._producer = AIOKafkaProducer(
            **kafka(settings),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_MS,
            enable_idempotence=True,  # a retried batch must not become two
            max_batch_size=BATCH_BYTES,
            max_request_size=4 * MIB,
        )
        self._batches: dict[tuple[str, int], BatchBuilder] = {}
        self._n_partitions: dict[str, int] = {}
        self._sent: list[asyncio.Future[object]] = []

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._producer.start()
                if self._is_transactional:
                    await self.begin()
        except (KafkaError, OSError) as error:
            await ended(self._producer.stop())
            raise await unreachable(self._settings) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._is_transaction_open:
                await self._producer.abort_transaction()
            elif kind is None:
                await self.flush()
        finally:
            await ended(self._producer.stop())

    async def begin(self) -> None:
        """Begin another transaction, after `commit`."""
        await self._producer.begin_transaction()
        self._is_transaction_open = True

    async def open(self, topic: str) -> None:
        """Learn how many partitions `topic` (name in Kafka) has; raise Refusal when it does not exist."""
        self._n_partitions[topic] = len(await topics.partitions(self._settings, topic))

    async def add(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int | None,
        headers: Sequence[tuple[str, bytes]] = (),
        *,
        partition: int | None = None,
    ) -> None:
        """Append one record to a partition of `topic`; None: to its key's, as `open` has looked up, without a key the first."""
        if partition is None:
            partition = 0 if key is None else partition_of(key, self._n_partitions[topic])
        place = (topic, partition)
        batch = self._batches.get(place)
        if batch is None:
            batch = self._batches[place] = self._producer.create_batch()
        if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is None:
            await self._send(place)
            batch = self._batches[place] = self._producer.create_batch()
            batch.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers))

    async def flush(self) -> None:
        """Send what is left and wait until Kafka has everything; raise Refusal when it does not take it."""
        for place in list(self._batches):
            await self._send(place)
        await self._settle(0)

    async def commit(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        group: str,
        *,
        others: Mapping[str, Mapping[TopicPartition, OffsetAndMetadata]] | None = None,
    ) -> None:
        """Flush, then commit the transaction together with offsets of the consumer group `group`, and of others."""
        await self.flush()
        try:
            for name, positions in ({group: offsets} | dict(others or {})).items():
                if positions:
                    await self._producer.send_offsets_to_transaction(dict(positions), name)
            await self._producer.commit_transaction()
        except KafkaError as error:
            raise self._refused(error) from error
        self._is_transaction_open = False

    async def _send(self, place: tuple[str, int]) -> None:
        batch = self._batches.pop(place)
        if batch.record_count():
            self._sent.append(await self._producer.send_batch(batch, place[0], partition=place[1]))
        await self._settle(BATCHES_IN_FLIGHT)

    async def _settle(self, allowed: int) -> None:
        while len(self._sent) > allowed:
            try:
                await self._sent.pop(0)
            except KafkaError as error:
                raise self._refused(error) from error

    def _refused(self, error: KafkaError) -> Refusal:
        return Refusal(
            f"{self._settings.kafka}: Kafka did not take the records ({error!r}) — run `bellwether doctor`, then send them again"
        )
