"""Reading a partition's state back from its changelog, and checking it against the group's committed offsets.

Read by a plain consumer, whole chunks at a time: about 250 000 records a second, where Faust's own recovery,
one event after the other, does 4 000.
"""

import asyncio
import logging
from asyncio import to_thread
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from state.changelog import StateMismatchError
from streams.ending import ended
from streams.failpoints import Failpoints
from streams.halt import UNSAFE, Refusal
from streams.lease import Lease
from streams.merge import TICKS
from streams.observer import Observer
from streams.transport import hand_out_as_parsed

logger = logging.getLogger(__name__)

STALL_SECONDS = 60.0
"""A changelog that yields nothing for this long, though its end is not reached, is given up."""

MADE_ANEW = "the topic was made anew; start over with a new BELLWETHER_APP_ID"

ANSWER_SECONDS = 30.0
RETRY_SECONDS = 0.2
PROGRESS_SECONDS = 5.0
LOAD_RECORDS = 2_000
LAST_RECORDS = 64
"""Where the newest record of a partition's state is looked for first."""


@dataclass(frozen=True)
class Source:
    """Where state comes from.

    Parameters
    ----------
    client
        What every Kafka client is given, see `streams.access.kafka`.
    group
        Consumer group whose committed offsets the state must fit.
    changelog
        Changelog topic's name in Kafka.
    inputs
        Input topic → its name in Kafka, in rank order.
    """

    client: Mapping[str, Any]
    group: str
    changelog: str
    inputs: Mapping[str, str]

    def consumer(self) -> AIOKafkaConsumer:
        """Return a plain consumer that reads only what is committed, from wherever it is told to."""
        return AIOKafkaConsumer(
            **self.client,
            enable_auto_commit=False,
            isolation_level="read_committed",
            # With the default "latest" a first seek to the beginning can lose a race against the reset to the end,
            # and the restore ends with nothing, looking complete.
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
            fetch_max_wait_ms=100,
        )


def look_at(consumer: AIOKafkaConsumer, tps: Collection[TopicPartition]) -> None:
    """Have a consumer learn who leads these partitions, all at once and without fetching from them.

    Asked for the ends of logs it has never heard of, it learns of one topic at a time: a tenth of a second each, which
    is a second of every restore.
    """
    consumer.assign(list(tps))
    consumer.pause(*tps)
    for tp in tps:
        consumer.seek(tp, 0)  # or it would begin to look for where to read, and `stop` fails on what is under way


async def changelog_ends(source: Source, partitions: Collection[int]) -> dict[int, int]:
    """Return partition → end offset of its changelog."""
    consumer = source.consumer()
    await consumer.start()
    try:
        tps = [TopicPartition(source.changelog, partition) for partition in partitions]
        look_at(consumer, tps)
        return {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
    finally:
        await ended(consumer.stop())


async def restore(lease: Lease, source: Source, observer: Observer, failpoints: Failpoints) -> None:
    """Load the partition's changelog from its beginning to its end.

    Raises
    ------
    Refusal
        When its end is not reached, its newest records are gone, or the rows were written for another model or by another
        version.
    """
    began = monotonic()
    tp = TopicPartition(source.changelog, lease.partition)
    consumer = source.consumer()
    await consumer.start()
    try:
        consumer.assign([tp])
        start = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        lease.fold.expect(await newest_value(consumer, tp, (start, end), lease.fold.META_KEY))
        consumer.seek(tp, start)
        is_whole = await _load(lease, consumer, tp, (start, end), failpoints)
    except StateMismatchError as error:
        raise Refusal(str(error), UNSAFE) from error
    finally:
        await ended(consumer.stop())
    if lease.loaded and not is_whole:
        raise Refusal(
            f"{tp.topic}[{tp.partition}]: rows without the partition's record below offset {end}: the changelog lost"
            " records; restore the topic, or start over with a new BELLWETHER_APP_ID",
            UNSAFE,
        )
    await to_thread(lease.fold.finish_load)
    seconds = monotonic() - began
    logger.info("partition %d: restored %d changelog records in %.1f s", lease.partition, lease.loaded, seconds)
    observer.restored(lease.partition, lease.loaded, seconds)


async def newest_value(consumer: Any, tp: TopicPartition, bounds: tuple[int, int], key: bytes) -> bytes | None:
    """Return the newest value of a key that every flush ends with, so it is near the end; None where there is none."""
    start, end = bounds
    span, first = LAST_RECORDS, end
    while first > start:
        first, newest = max(start, end - span), None
        consumer.seek(tp, first)
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                newest = next((each.value for each in reversed(records) if each.key == key), newest)
        if newest is not None:
            return newest
        span *= 16
    return None


async def _load(
    lease: Lease, consumer: Any, tp: TopicPartition, bounds: tuple[int, int], failpoints: Failpoints
) -> bool:
    """Read everything up to the end; return whether the record of everything that is not a row was among it.

    It is not when another worker has taken the partition over meanwhile and the log was compacted under our eyes.
    """
    start, end = bounds
    is_whole = False
    progressed = reported = monotonic()
    position = start
    lease.to_load = end - start
    loading: asyncio.Future[None] | None = None
    while position < end:
        hand_out_as_parsed(consumer)
        for records in (await consumer.getmany(timeout_ms=200, max_records=LOAD_RECORDS)).values():
            if loading is not None:
                await loading
            # In a thread: rows are read by compiled code that needs no interpreter, while the next records are fetched.
            loading = asyncio.ensure_future(to_thread(lease.fold.load, records))
            lease.loaded += len(records)
            is_whole = is_whole or any(record.key == lease.fold.META_KEY for record in reversed(records))
        now, before = monotonic(), position
        position = await consumer.position(tp)
        lease.to_load = max(0, end - position)
        if 2 * (position - start) >= end - start:
            failpoints.reach("restore_half")
        if position > before:
            progressed = now
        elif now - progressed > STALL_SECONDS:
            raise Refusal(
                f"{tp.topic}[{tp.partition}]: expected to read up to offset {end}, got no further than {position} in"
                f" {STALL_SECONDS:.0f} s; see that the broker serves this partition, then restart the worker"
            )
        if now - reported > PROGRESS_SECONDS:
            reported = now
            logger.info("partition %d: restoring, %d of %d", lease.partition, position - start, end - start)
    if loading is not None:
        await loading
    return is_whole


async def check_positions(leases: Sequence[Lease], source: Source) -> None:
    """Compare restored positions with the committed offsets and the logs; set where each lease begins to read.

    Raises
    ------
    Refusal
        When going on would lose or repeat something.
    """
    tps = {
        TopicPartition(name, lease.partition): (lease, topic)
        for lease in leases
        for topic, name in source.inputs.items()
    }
    committed = await _committed(source)
    consumer = source.consumer()
    await consumer.start()
    try:
        look_at(consumer, tps)
        first = await consumer.beginning_offsets(list(tps))
        end = await consumer.end_offsets(list(tps))
    finally:
        await ended(consumer.stop())
    for tp, (lease, topic) in tps.items():
        position = lease.fold.positions.get(topic)
        _refuse_misfits(tp, position, committed.get(tp, -1), (first[tp], end[tp]))
        lease.starts[topic] = first[tp] if position is None else position
        lease.ends[topic] = end[tp]


def _refuse_misfits(tp: TopicPartition, position: int | None, committed: int, log: tuple[int, int]) -> None:
    where, known = f"{tp.topic}[{tp.partition}]", position or 0
    first, end = log
    if committed > known:
        raise Refusal(
            f"{where}: offsets are ahead of the state (committed {committed}, state {known}): the changelog lost records;"
            " restore the changelog topic, or reset the group's offsets to the state's, or start over with a new"
            " BELLWETHER_APP_ID",
            UNSAFE,
        )
    if end < known:
        raise Refusal(
            f"{where}: the log ends at {end}, before the state's position {known}: {MADE_ANEW}",
            UNSAFE,
        )
    if position is not None and first > position:
        raise Refusal(
            f"{where}: the log begins at {first}, after the state's position {position}: unread records were deleted;"
            " restore them, or start over with a new BELLWETHER_APP_ID",
            UNSAFE,
        )


async def is_fenced(lease: Lease, source: Source) -> bool:
    """Return whether another worker took the partition over since this one did; nothing is committed by asking."""
    producer, tp = lease.producer, TopicPartition(source.inputs[TICKS], lease.partition)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await producer.begin_transaction()
            await producer.send_offsets_to_transaction({tp: 0}, source.group)
            await producer.abort_transaction()
    except (ProducerFenced, InvalidProducerEpoch):
        # The same error waits for whoever awaits the transaction's end, which is nobody: unread, the log complains of it.
        if (transactions := getattr(producer, "_txn_manager", None)) is not None:
            transactions.wait_for_transaction_end().exception()
        return True
    return False


async def _committed(source: Source) -> Mapping[TopicPartition, int]:
    client = AIOKafkaAdminClient(**source.client)
    await client.start()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                try:
                    offsets = await client.list_consumer_group_offsets(source.group)
                    return {tp: meta.offset for tp, meta in offsets.items()}
                except KafkaError as error:
                    if not error.retriable:
                        raise
                    await asyncio.sleep(RETRY_SECONDS)  # the coordinator is moving
    except (KafkaError, TimeoutError) as error:
        raise Refusal(
            f"group {source.group}: its committed offsets cannot be read ({error!r}); see that the brokers answer,"
            " then restart the worker"
        ) from error
    finally:
        await ended(client.close())


async def count_members(source: Source) -> int:
    """Return how many workers the group has."""
    client = AIOKafkaAdminClient(**source.client)
    await client.start()
    try:
        answers = await client.describe_consumer_groups([source.group])
    finally:
        await ended(client.close())
    members_field = 5  # (error, group id, state, protocol type, protocol, members, …)
    return sum(len(group[members_field]) for answer in answers for group in answer.groups)
