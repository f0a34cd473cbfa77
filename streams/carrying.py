"""Records of one application's topics on their way into another's: each once, however often it is begun anew.

The records of a topic's partitions are merged by timestamp, because workers read a log's records in the order in which
they stand. How far it came is committed as offsets of a group, in the transaction that holds the records.
"""

import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from state.murmur2 import partition_of
from streams.access import kafka
from streams.halt import Refusal
from streams.outbox import Outbox
from streams.reading import STALL_SECONDS, committed
from streams.settings import Settings

RECORDS_AT_ONCE: Final = 20_000
"""In one transaction."""
FETCH_MS: Final = 200


class Carrier:
    """Carries records from an application to another; what both are called in Kafka must differ.

    Parameters
    ----------
    old, new
        Where records are and where they go.
    outbox
        Transactional; its open transaction is ended, and another one begun.
    tell
        Called with (topic, records carried so far) after every transaction.
    """

    def __init__(self, old: Settings, new: Settings, outbox: Outbox, tell: Callable[[str, int], None]) -> None:
        self._old = old
        self._new = new
        self._outbox = outbox
        self._tell = tell

    @property
    def group(self) -> str:
        """The group whose offsets say how far it came."""
        return group_of(self._new)

    async def carry(
        self,
        topic: str,
        starts: Mapping[TopicPartition, int] | None = None,
        *,
        only: int | None = None,
        to: Sequence[int] | None = None,
    ) -> int:
        """Carry a topic's committed records to where their keys belong; return how many.

        Parameters
        ----------
        topic
            What Bellwether calls it.
        starts
            Where to begin. None: where an earlier run came to, else at the beginning of each log; what this run has
            committed itself may not be seen yet, so no topic is carried twice by one run.
        only
            The one partition that is read; None for all of them.
        to
            The partitions to which each record goes; None: its key's.
        """
        name = self._new.topic(topic)
        if starts is None:
            starts = {tp: place.offset for tp, place in (await committed(self._old, self.group)).items()}
        numbers = range(self._old.partitions) if only is None else (only,)
        tps = [TopicPartition(self._old.topic(topic), number) for number in numbers]
        begins = {tp: starts.get(tp, 0) for tp in tps}
        reached: dict[TopicPartition, int] = {}
        count = 0
        async for record in self._merged(begins):
            headers = [(header, value or b"") for header, value in record.headers]
            for target in (self._home(record),) if to is None else to:
                await self._outbox.add(name, record.key, record.value, record.timestamp, headers, partition=target)
            reached[TopicPartition(record.topic, record.partition)] = record.offset + 1
            count += 1
            if count % RECORDS_AT_ONCE == 0:
                await self._commit(reached)
                self._tell(topic, count)
        if reached:
            await self._commit(reached)
            self._tell(topic, count)
        return count

    def _home(self, record: ConsumerRecord) -> int:
        count = self._new.partitions
        return record.partition % count if record.key is None else partition_of(record.key, count)

    async def _commit(self, reached: dict[TopicPartition, int]) -> None:
        await self._outbox.commit({tp: OffsetAndMetadata(to, "") for tp, to in reached.items()}, self.group)
        await self._outbox.begin()
        reached.clear()

    async def _merged(self, begins: Mapping[TopicPartition, int]) -> AsyncIterator[ConsumerRecord]:
        """Yield what is committed in these partitions, earliest timestamp first, each partition in its own order."""
        async with AIOKafkaConsumer(
            **kafka(self._old),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        ) as consumer:
            consumer.assign(list(begins))
            ends = await consumer.end_offsets(list(begins))
            firsts = await consumer.beginning_offsets(list(begins))
            for tp, offset in begins.items():
                consumer.seek(tp, max(offset, firsts[tp]))
            waiting: dict[TopicPartition, deque[ConsumerRecord]] = {tp: deque() for tp in begins}
            heads: list[tuple[int, int, TopicPartition]] = []
            lacking = set(begins)
            while lacking or heads:
                if lacking:
                    await _fill(consumer, lacking, waiting, ends)
                    heads += [(waiting[tp][0].timestamp, tp.partition, tp) for tp in lacking if waiting[tp]]
                    heapq.heapify(heads)
                    lacking = set()
                    continue
                _, _, tp = heapq.heappop(heads)
                yield waiting[tp].popleft()
                if waiting[tp]:
                    heapq.heappush(heads, (waiting[tp][0].timestamp, tp.partition, tp))
                else:
                    lacking = {tp}


def group_of(new: Settings) -> str:
    """Return the group that remembers what was carried into an application."""
    return f"{new.app_id}-repartition"


async def _fill(
    consumer: AIOKafkaConsumer,
    lacking: set[TopicPartition],
    waiting: Mapping[TopicPartition, deque[Any]],
    ends: Mapping[TopicPartition, int],
) -> None:
    """Fetch until every partition has a record waiting or is read to its end, markers and aborted records included."""
    progressed, before = time.monotonic(), -1
    while True:
        positions = {tp: await consumer.position(tp) for tp in lacking if not waiting[tp]}
        left = [tp for tp, position in positions.items() if position < ends[tp]]
        if not left:
            return
        if sum(positions.values()) != before:
            progressed, before = time.monotonic(), sum(positions.values())
        elif time.monotonic() - progressed > STALL_SECONDS:
            raise Refusal(
                f"{left[0].topic}[{left[0].partition}]: its end is not reached — see that every broker runs, then try again"
            )
        for tp, records in (await consumer.getmany(*left, timeout_ms=FETCH_MS)).items():
            waiting[tp].extend(record for record in records if record.offset < ends[tp])
