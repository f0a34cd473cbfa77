"""A worker process as Faust would run it: the real leases, committer and ticker around a simulated consumer.

What stands here in place of Faust keeps its order of events (``streams/store.py`` names it): release, take over, restore,
serve, seek; fetching goes on meanwhile, and what it returns may belong to an assignment that has ended.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka import TopicPartition

from state.layout import INPUT_TOPICS
from streams.cohorts import References
from streams.commit import Committer, Outputs
from streams.failpoints import Failpoints
from streams.lease import Lease
from streams.merge import Chunk
from streams.observer import Observer
from streams.ports import Fold
from streams.recovery import Source
from streams.store import Leases, halting
from streams.ticker import Ticker
from streams.transport import _stamped
from tests.simulation.broker import Brokers
from tests.simulation.group import Group, Member
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.network import Network

GROUP = "bellwether"
CHANGELOG = "bellwether-accounts-changelog"
NO_POISON_LIMIT = 1_001
INPUTS = {topic: topic for topic in INPUT_TOPICS}


@dataclass(frozen=True)
class Parts:
    """The classes a worker is put together from; a mutation replaces one."""

    leases: type[Leases] = Leases
    committer: type[Committer] = Committer
    lease: type[Lease] = Lease
    new_fold: Callable[[int], Fold] = field(kw_only=True)


@dataclass(frozen=True)
class Habits:
    """Settings of all workers of a simulation."""

    clock: Literal["wall", "log"]
    tick_seconds: float
    commit_min_ms: int
    commit_max_ms: int


class CrashingFailpoints(Failpoints):
    """Failpoints that end the simulated process as every call does."""

    def __init__(self, network: Network) -> None:
        super().__init__({})
        self._network = network

    def reach(self, name: str) -> None:
        """Maybe die here."""
        del name
        self._network.crash_point()


class Worker:
    """One life of one worker process.

    Parameters
    ----------
    process
        It runs in.
    loop, network, brokers, group
        Of the simulation.
    chance
        Decides about fetches.
    parts, habits
        What it is made of, and its settings.
    """

    def __init__(
        self,
        process: Process,
        loop: SimulatedLoop,
        network: Network,
        brokers: Brokers,
        group: Group,
        chance: random.Random,
        parts: Parts,
        habits: Habits,
    ) -> None:
        self.process = process
        self._loop, self._network, self._brokers, self._group = loop, network, brokers, group
        self._chance = chance
        self._parts = parts
        self._habits = habits
        self._positions: dict[TopicPartition, int] = {}
        self._generation = -1
        self._is_flowing = False
        self._stop = asyncio.Event()
        self._queues: dict[str, asyncio.Queue[Chunk]] = {topic: asyncio.Queue() for topic in INPUT_TOPICS}
        self._tasks: list[asyncio.Task[None]] = []
        self._ticking: asyncio.Task[None] | None = None
        self.leases: Leases | None = None

    def start(self, *, is_ticking: bool) -> None:
        """Begin its life."""
        self._loop.spawn(self.process, halting(self._live(is_ticking=is_ticking)))

    def stop(self) -> None:
        """Ask it to end in order (SIGTERM)."""
        self._stop.set()

    def stop_ticking(self) -> None:
        """Let no time pass any more."""
        if self._ticking is not None:
            self._ticking.cancel()

    async def _live(self, *, is_ticking: bool) -> None:
        observer, failpoints = Observer(), CrashingFailpoints(self._network)
        outputs = Outputs(GROUP, INPUTS, CHANGELOG)
        habits = self._habits
        committer = self._parts.committer(
            outputs,
            habits.commit_min_ms,
            habits.commit_max_ms,
            poison_limit=NO_POISON_LIMIT,
            observer=observer,
            failpoints=failpoints,
        )
        source = Source({}, GROUP, CHANGELOG, INPUTS)
        leases = self.leases = self._parts.leases(source, self._parts.new_fold, committer, observer, failpoints)
        ticker = Ticker(leases, {}, "ticks", habits.clock, habits.tick_seconds, self._log_ends, observer)
        if is_ticking:
            self._ticking = self._begin(ticker.tick_forever())
        self._begin(References(leases, source, self._group.partitions).write_forever())
        for topic in INPUT_TOPICS:
            self._begin(self._receive(topic, leases))
        self._begin(self._fetch_forever(leases))
        member = self._group.member()
        stopping = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            await self._belong(member, leases, stopping)
        await leases.release()
        await member.leave()
        await leases.close()
        self.process.is_alive = False

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that ends the process when it fails; it is kept from being collected."""
        task = asyncio.create_task(halting(work))
        self._tasks.append(task)
        return task

    async def _belong(self, member: Member, leases: Leases, stopping: asyncio.Task[Any]) -> None:
        """Join, own what is assigned, until the next rebalance."""
        generation, partitions = await member.join()
        self._generation, self._positions, self._is_flowing = generation, {}, True
        await halting(leases.take_over(partitions, generation))
        self._begin(self._recover(leases, generation))
        heartbeats = asyncio.create_task(member.until_rebalance(generation))
        await asyncio.wait((heartbeats, stopping), return_when=asyncio.FIRST_COMPLETED)
        heartbeats.cancel()
        self._is_flowing = False  # as Faust does first of all: a restore that ends now must not begin to serve
        if not self._stop.is_set():
            await halting(leases.release())

    async def _recover(self, leases: Leases, generation: int) -> None:
        """Restore, then seek: there are no positions before, as the consumer gives nothing away until it has sought."""
        await leases.restore_new()
        if generation != self._generation or not self._is_flowing:
            return
        starts = leases.begin_serving(generation)
        for lease in leases:
            lease.inbox._full_bytes = 0  # two chunks pause fetching here as large ones do
        await self._network.pause(self._chance.choice((self._network.delay(), 0.2)))
        if generation == self._generation and self._is_flowing:
            self._positions = {TopicPartition(*place): offset for place, offset in starts.items()}

    async def _fetch_forever(self, leases: Leases) -> None:
        while True:
            generation = self._generation
            wanted = [tp for tp in self._positions if not leases.is_full(tp.topic, tp.partition)]
            found = await self._fetch(wanted) if wanted else {}
            if not found:
                await self._network.pause(self._chance.uniform(0.01, 0.1))
                continue
            if self._chance.random() < 0.1:  # between the consumer's thread and the main one
                await self._network.pause(self._network.delay())
            if generation != self._generation:
                continue
            for tp, (chunk,) in _stamped(found, generation).items():
                self._queues[tp.topic].put_nowait(chunk)

    async def _fetch(self, wanted: list[TopicPartition]) -> dict[TopicPartition, Chunk]:
        """Fetch some records of some of the partitions."""
        chance, logs = self._chance, self._brokers.logs
        asked = {tp: self._positions[tp] for tp in wanted if chance.random() < 0.8}
        limits = {tp: chance.choice((1, 2, 5, 20, 200)) for tp in asked}

        def serve() -> dict[TopicPartition, tuple[list[Any], int, int]]:
            answers = {}
            for tp, position in asked.items():
                log = logs[tp.topic, tp.partition]
                if position < log.stable_end:
                    answers[tp] = (*log.read(position, limits[tp]), log.stable_end)
            return answers

        found: dict[TopicPartition, Chunk] = {}
        generation = self._generation
        answers = await self._network.call(serve)
        if generation != self._generation or not self._is_flowing:
            return found  # a call that was given up moves no position: `streams/transport.py` sees to that
        for tp, (records, end, stable_end) in answers.items():
            start = asked[tp]
            if self._positions.get(tp) == start and end > start:
                self._positions[tp] = end
                found[tp] = Chunk(tp.topic, tp.partition, records, start, end, end < stable_end)
        return found

    async def _receive(self, topic: str, leases: Leases) -> None:
        """Be the topic's agent."""
        queue = self._queues[topic]
        while True:
            chunk = await queue.get()
            if self._chance.random() < 0.1:
                await self._network.pause(self._network.delay())
            leases.offer(chunk)

    async def _log_ends(self) -> dict[tuple[str, int], int]:
        logs = self._brokers.logs
        places = [(tp.topic, tp.partition) for tp in self._positions]
        return await self._network.call(lambda: {place: logs[place].stable_end for place in places})
