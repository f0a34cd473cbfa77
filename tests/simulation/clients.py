"""Stand-ins for aiokafka's clients, as far as ``streams`` uses them."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata

from tests.simulation.broker import AgainError, Brokers, Record
from tests.simulation.group import Group
from tests.simulation.loop import PROCESS
from tests.simulation.network import Network, settle


class Batch:
    """What ``create_batch`` returns; holds few records, so that most flushes need several."""

    def __init__(self, capacity: int, now_ms: Callable[[], int]) -> None:
        self._capacity = capacity
        self._now_ms = now_ms
        self.messages: list[Any] = []

    def append(self, *, key: Any, value: Any, timestamp: int | None, headers: Sequence[Any]) -> object | None:
        """Take a record in; None when there is no room."""
        if len(self.messages) >= self._capacity:
            return None
        self.messages.append((key, value, headers, self._now_ms() if timestamp is None else timestamp))
        return self


class Clients:
    """Makes clients; its methods take the place of aiokafka's classes.

    Parameters
    ----------
    loop, network, brokers
        Of the simulation.
    groups
        Consumer group → its coordinator.
    wall_ms
        Returns the present wall clock, milliseconds UTC.
    chance
        Decides sizes of fetches and batches.
    """

    def __init__(
        self, loop: Any, network: Network, brokers: Brokers, groups: Mapping[str, Group], wall_ms: Any, chance: Any
    ) -> None:
        self.loop = loop
        self.network = network
        self.brokers = brokers
        self.groups = groups
        self.wall_ms = wall_ms
        self.chance = chance

    def producer(self, *, transactional_id: str | None = None, **_options: Any) -> "Producer":
        """In place of AIOKafkaProducer."""
        return Producer(self, transactional_id)

    def consumer(self, *, group_id: str | None = None, **options: Any) -> "Consumer":
        """In place of AIOKafkaConsumer."""
        assert options["isolation_level"] == "read_committed"
        return Consumer(self, group_id)

    def admin(self, **_options: Any) -> "Admin":
        """In place of AIOKafkaAdminClient."""
        return Admin(self)


class Producer:
    """A producer; with an id, a transactional one.

    As in aiokafka, a commit waits until every batch is delivered *or has failed*: only who awaits the deliveries learns
    of a failure.
    """

    def __init__(self, clients: Clients, name: str | None) -> None:
        self._clients = clients
        self._network = clients.network
        self._name = name or ""
        self._epoch = -1
        self._is_empty = True
        self._process = PROCESS.get()
        self._queues: dict[tuple[str, int], deque[Any]] = {}
        self._deliveries: list[asyncio.Future[Any]] = []

    async def start(self) -> None:
        """Fence former producers of the same id."""
        if self._name:
            brokers = self._clients.brokers
            self._epoch = await self._network.call(lambda: brokers.initialise(self._name))

    async def start_unfenced(self) -> None:
        """Take the present epoch and fence nobody (for a mutation)."""
        brokers = self._clients.brokers
        self._epoch = await self._network.call(lambda: brokers.epoch(self._name))

    async def stop(self) -> None:
        """Leave an open transaction to the broker."""

    async def begin_transaction(self) -> None:
        """Local, as in aiokafka."""
        self._deliveries = []
        self._is_empty = True

    def create_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._clients.chance.choice((2, 7, 50)), self._clients.wall_ms)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Hand a batch over; return its delivery. Batches of a partition arrive in the order of sending."""
        self._network.crash_point()
        self._is_empty = False
        delivery = self._clients.loop.create_future()
        self._deliveries.append(delivery)
        queue = self._queues.setdefault((topic, partition), deque())
        queue.append((batch.messages, delivery))
        if len(queue) == 1:
            self._clients.loop.later(self._network.arrival(), self._deliver, (topic, partition), self._epoch)
        return delivery

    def _deliver(self, place: tuple[str, int], epoch: int) -> None:
        """Have the broker take the next batch, if its sender still sends."""
        loop, network, process = self._clients.loop, self._network, self._process
        queue = self._queues[place]
        if process is not None and not process.is_alive and self._clients.chance.random() < 0.5:
            return
        if process is not None and process.is_paused and self._clients.chance.random() < 0.9:
            loop.later(0.2, self._deliver, place, epoch)
            return
        messages, delivery = queue[0]
        offset, fault = None, None
        try:
            if network.fails():
                raise KafkaTimeoutError
            offset = self._clients.brokers.produce(self._name, epoch, *place, messages)
        except AgainError:
            loop.later(network.arrival() + 0.01, self._deliver, place, epoch)
            return
        except KafkaError as error:
            fault = error
        queue.popleft()
        loop.later(network.arrival(), settle, delivery, offset, fault)
        if queue:
            loop.later(network.arrival(), self._deliver, place, epoch)

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, int], group: str) -> None:
        """Add offsets to the transaction."""
        self._is_empty = False
        brokers, places = self._clients.brokers, {(tp.topic, tp.partition): at for tp, at in offsets.items()}
        await self._network.call(lambda: brokers.stage_offsets(self._name, self._epoch, group, places))

    async def commit_transaction(self) -> None:
        """Commit once every batch is delivered or has failed."""
        await self._end(is_commit=True)

    async def abort_transaction(self) -> None:
        """Abort."""
        await self._end(is_commit=False)

    async def _end(self, *, is_commit: bool) -> None:
        if self._is_empty:
            return
        if self._deliveries:
            await asyncio.wait(self._deliveries)
        brokers = self._clients.brokers
        await self._network.call(lambda: brokers.end_transaction(self._name, self._epoch, is_commit=is_commit))

    async def send_and_wait(self, topic: str, value: bytes, *, partition: int, timestamp_ms: int) -> Any:
        """Send one record without a transaction."""
        message = (None, value, (), timestamp_ms)
        offset = await self._network.call(lambda: self._clients.brokers.append(topic, partition, message))
        return SimpleNamespace(offset=offset)


class Consumer:
    """A consumer: with assigned partitions, or as a member of a group."""

    def __init__(self, clients: Clients, group: str | None) -> None:
        self._clients = clients
        self._network = clients.network
        self._group = clients.groups[group] if group else None
        self._topics: tuple[str, ...] = ()
        self._positions: dict[TopicPartition, int] = {}
        self._stable_ends: dict[TopicPartition, int] = {}
        self._member: Any = None

    async def start(self) -> None:
        """Connect."""
        await self._network.call(lambda: None)

    async def stop(self) -> None:
        """Leave the group, if any."""
        if self._member is not None and not self._network.is_over:
            self._member.cancel()

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        """Read these partitions."""
        self._positions = dict.fromkeys(tps, 0)

    def pause(self, *tps: TopicPartition) -> None:
        """Fetch nothing of these partitions, which nobody asks for anyway."""

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        """Read the partitions the group assigns, of all these topics."""
        self._topics = tuple(topics)
        assert self._group is not None
        self._member = asyncio.get_running_loop().create_task(self._belong(self._group, listener))

    async def _belong(self, group: Group, listener: Any) -> None:
        member = group.member()
        while True:
            generation, partitions = await member.join()
            assigned = [TopicPartition(topic, partition) for topic in self._topics for partition in sorted(partitions)]
            self._positions = dict.fromkeys(assigned, 0)
            listener.on_partitions_assigned(assigned)
            await member.until_rebalance(generation)
            listener.on_partitions_revoked(list(self._positions))
            self._positions = {}

    def assignment(self) -> tuple[TopicPartition, ...]:
        """Return the assigned partitions, in a fixed order."""
        return tuple(self._positions)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on reading there."""
        self._positions[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        """Return the next offset to read."""
        return self._positions.get(tp, 0)

    def last_stable_offset(self, tp: TopicPartition) -> int | None:
        """Return the end as of the last fetch."""
        return self._stable_ends.get(tp)

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where logs begin."""
        return await self._network.call(lambda: dict.fromkeys(tps, 0))

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where committed logs end."""
        logs = self._clients.brokers.logs
        return await self._network.call(lambda: {tp: logs[tp.topic, tp.partition].stable_end for tp in tps})

    async def getmany(self, *, timeout_ms: int, max_records: int = 500) -> dict[TopicPartition, list[Record]]:
        """Fetch what there is, in pieces of any size; wait a while when there is nothing."""
        before = dict(self._positions)
        limit = min(self._clients.chance.choice((1, 3, 10, 100)), max_records)
        logs = self._clients.brokers.logs

        def serve() -> dict[TopicPartition, tuple[list[Record], int, int]]:
            answers = {}
            for tp, position in before.items():
                log = logs[tp.topic, tp.partition]
                answers[tp] = (*log.read(position, limit), log.stable_end)
            return answers

        found = {}
        for tp, (records, position, stable_end) in (await self._network.call(serve)).items():
            if self._positions.get(tp) != before[tp]:
                continue  # seeked, or taken away, since
            self._positions[tp], self._stable_ends[tp] = position, stable_end
            if records:
                found[tp] = records
        if not found:
            await self._network.pause(timeout_ms / 1000 * self._clients.chance.random())
        return found


class Admin:
    """Asks for committed offsets."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def start(self) -> None:
        """Connect."""
        await self._clients.network.call(lambda: None)

    async def close(self) -> None:
        """Nothing to close."""

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return what a group has committed."""
        if self._clients.network.fails():
            raise GroupCoordinatorNotAvailableError
        offsets = self._clients.brokers.offsets
        found = await self._clients.network.call(lambda: dict(offsets.get(group, {})))
        return {TopicPartition(*place): OffsetAndMetadata(offset, "") for place, offset in found.items()}
