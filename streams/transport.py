"""Delivery by partition chunk: one Faust message per fetched chunk instead of one per record.

Faust spends about 80 µs on every message it delivers; a chunk of a thousand records costs the same as one record.
Input topics arrive as :class:`streams.merge.Chunk`; every other topic (the table's changelog) stays as Faust knows it.

The hooks are Faust's own: ``Consumer._getmany`` and ``_to_message``, the consumer thread's
``_create_worker_consumer`` and ``_fetch_records``, and ``Transport.Consumer``. They were read in
faust-streaming 0.15.3 with aiokafka 0.14; both are pinned because of it.
"""
# ruff: noqa: SLF001 - aiokafka's fetcher has no public way to be asked for several partitions with their positions

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage, EventT

from streams.merge import Chunk

IDLE_WAIT_MS = 500
"""How long the broker holds an empty fetch. Faust's own 1 500 ms only delays shutdown and rebalances."""

BUSY_WAIT_MS = 50
"""The same while records come. One fetch is open per broker, and names what was not waiting here when it was sent: records
of all other partitions wait until it ends. At 500 ms that was the tail of an alert's latency; for an idle worker of 32
partitions 50 ms would be 10 % of a core instead of 3 %."""

BUSY_SECONDS = 1.0
"""So long after the last record a worker counts as busy."""

FULL_POLL_SECONDS = 0.02
"""While some partition is full its data is already here, so no new fetch would wake us: look again soon."""


class Wanted(set[Any]):
    """Partitions to fetch from, and the assignment under which they are asked for.

    Parameters
    ----------
    partitions
        Topic partitions.
    generation
        Of the assignment.
    """

    def __init__(self, partitions: Iterable[Any], generation: int) -> None:
        super().__init__(partitions)
        self.generation = generation


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread: fetches, and builds the chunks there."""

    _found_at = float("-inf")

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust offers no setting for it, and aborted records of `rerouted` must not be applied.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = IDLE_WAIT_MS
        return consumer

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: Wanted,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,  # noqa: ARG002 - a limit across partitions would starve the merge
    ) -> dict[Any, Any]:
        fetcher = consumer._fetcher
        deadline = asyncio.get_running_loop().time() + (timeout or 0.0)
        with fetcher._subscriptions.fetch_context():
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                # A quick rebalance may pass while we wait. What is drained after it moves the new assignment's
                # position, while whoever asked throws it away: those records would be passed over.
                if not self.consumer.flow_active or active_partitions.generation != self.app.consumer_generation_id:
                    return {}
                found = await self._drain(fetcher, active_partitions)
                now = asyncio.get_running_loop().time()
                if found:
                    self._found_at = now
                fetcher._fetch_max_wait_ms = BUSY_WAIT_MS if now - self._found_at < BUSY_SECONDS else IDLE_WAIT_MS
                left = deadline - now
                if found or left <= 0:
                    return found
                waiter = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=left)
                if not done:
                    waiter.cancel()
                    return {}
                waiter.result()  # raises what the fetch routine died of

    async def _drain(self, fetcher: Any, active: set[Any]) -> dict[Any, Any]:
        """Return what is fetched already, with the positions before and after it."""
        subscriptions = fetcher._subscriptions
        if subscriptions.reassignment_in_progress:
            await subscriptions.wait_for_assignment()
            return {}  # whether anybody still asks is seen anew
        if subscriptions.subscription is None or not active:
            return {}
        assignment = subscriptions.subscription.assignment
        names = self.app.input_topics
        # From here to the return nothing awaits (timeout=0), so positions cannot move under us.
        states = {
            tp: assignment.state_value(tp)
            for tp in fetcher._records
            if tp in active and tp.topic in names and tp in assignment.tps
        }
        for tp in states:
            _keep_parsed_records(fetcher._records[tp])
        before = {tp: state.position for tp, state in states.items() if state.has_valid_position}
        found = dict(await fetcher.fetched_records(active, timeout=0))
        for tp, start in before.items():
            state = states[tp]
            if state.position != start:
                is_behind = state.lso is not None and state.position < state.lso
                records = found.get(tp, ())
                found[tp] = Chunk(names[tp.topic], tp.partition, records, start, state.position, is_behind)
        return found


class ChunkConsumer(driver.Consumer):
    """Hands each fetched partition over as one message, and seeks to the positions of the state."""

    _sought = -1
    """The assignment whose seek is done. What is fetched before it lies anywhere, and is nobody's."""

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[Any] | None, timeout: float) -> Mapping[Any, list[Any]]:  # noqa: ASYNC109
        generation = self.app.consumer_generation_id
        active = active_partitions or set()
        is_full = self.app.is_full
        wanted = Wanted((tp for tp in active if not is_full(tp)), generation)
        if not wanted or generation != self._sought:
            await asyncio.sleep(FULL_POLL_SECONDS)
            return {}
        if len(wanted) < len(active):
            timeout = min(timeout, FULL_POLL_SECONDS)
        found = await super()._getmany(wanted, timeout)
        if generation != self.app.consumer_generation_id:
            return {}  # fetched under a former assignment: it is read again from the position
        return _stamped(found, generation)

    def _to_message(self, tp: Any, record: Any) -> ConsumerMessage:
        if not isinstance(record, Chunk):
            return super()._to_message(tp, record)
        stamp = record.records[-1].timestamp / 1000.0 if record.records else 0.0
        generation = record.generation
        return ConsumerMessage(
            tp.topic, tp.partition, record.end - 1, stamp, 0, (), None, record, None, 0, 0, tp, generation_id=generation
        )

    async def highwaters(self, *partitions: Any) -> Mapping[Any, int]:
        """Return the end offsets of input partitions; of changelogs, what the store already told Faust.

        Asked anew, a changelog may end later than a moment ago: a commit is answered before its marker is written.
        Faust's recovery would then wait for that marker for ever.
        """
        leases, inputs = self.app.leases, self.app.input_topics
        told = {tp: leases.changelog_end(tp.partition) or 0 for tp in partitions if tp.topic not in inputs}
        asked = [tp for tp in partitions if tp.topic in inputs]
        return {**told, **(await super().highwaters(*asked) if asked else {})}

    async def perform_seek(self) -> None:
        """Seek every input partition to where its state stands.

        Faust would seek to the group's committed offsets, and not at all where none is committed yet. The state's
        own positions are the truth, and equal the committed ones except for a flush the group has not shown yet.
        """
        if not self.flow_active:
            return  # called between assignments: the seek that counts follows the restore
        generation = self.app.consumer_generation_id
        if generation == self._sought:
            return
        starts = self.app.begin_serving(generation)
        if starts:
            await self.seek_wait({self._new_topicpartition(*tp): offset for tp, offset in starts.items()})
        self._sought = generation


class ChunkTransport(driver.Transport):
    """Faust's aiokafka transport with :class:`ChunkConsumer`."""

    Consumer = ChunkConsumer


class ChunkSchema(faust.Schema):
    """Passes the chunk through to the agent, decoded by nobody."""

    def compile(self, app: Any, **_kwargs: Any) -> Callable[..., Any]:
        """Return the decoder Faust calls for each message."""

        async def decode(message: Any, *, propagate: bool = False) -> EventT:  # noqa: ARG001 - Faust's signature
            return faust.Event(app, None, message.value, None, message)

        return decode


def hand_out_as_parsed(consumer: AIOKafkaConsumer) -> None:
    """Have a consumer hand out what it has fetched by now as parsed."""
    for result in consumer._fetcher._records.values():
        _keep_parsed_records(result)


def _keep_parsed_records(result: Any) -> None:
    """Have a fetch result hand out its records as parsed.

    aiokafka copies each into a frozen dataclass of twelve fields, half of the cost of fetching; nobody here needs it.
    """
    parsed = getattr(result, "_partition_records", None)  # an error in place of a result has none
    if parsed is not None:
        parsed._consumer_record = _as_parsed


def _as_parsed(_tp: Any, record: Any) -> Any:
    return record


def _stamped(found: Mapping[Any, Any], generation: int) -> dict[Any, list[Any]]:
    """Give each chunk its generation and the number of its siblings; leave other records as they are."""
    siblings: dict[int, int] = {}
    for value in found.values():
        if isinstance(value, Chunk):
            siblings[value.partition] = siblings.get(value.partition, 0) + 1
    stamped = {}
    for tp, value in found.items():
        if isinstance(value, Chunk):
            value.generation, value.siblings = generation, siblings[value.partition]
            stamped[tp] = [value]
        else:
            stamped[tp] = value
    return stamped
