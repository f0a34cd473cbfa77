"""One seed: a world, its traffic and its faults, and what is found afterwards.

The product's code runs unchanged. At its boundary, and only there, names are bound to the simulated ones for the time of
a run: aiokafka's and Redis's clients, the clocks, and ``halt``, which here ends one simulated process.
"""

import asyncio
import contextlib
import gc
import hashlib
import importlib
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from scoring.compile import Compiled, compile_model
from scoring.presets import load_model
from state.duplicates import Duplicates
from state.layout import INPUT_TOPICS
from state.partition import Partition
from streams.commit import Committer
from streams.halt import UNSAFE
from streams.lease import Lease
from streams.projector import project_forever
from streams.settings import Settings
from streams.store import Leases, halting
from tests.invariants import OUTPUTS, Check, ViolationError
from tests.simulation.broker import Brokers
from tests.simulation.checks import committed_logs, offsets_fit_the_state, redis_fits
from tests.simulation.clients import Clients
from tests.simulation.fake_redis import FakeRedis
from tests.simulation.faults import Faults
from tests.simulation.group import Group
from tests.simulation.loop import PROCESS, Process, SimulatedLoop, VanishedError
from tests.simulation.network import Network
from tests.simulation.traffic import Traffic
from tests.simulation.worker import CHANGELOG, GROUP, Habits, Parts, Worker

EPOCH_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
TROUBLE_SECONDS = 9.0
DRAIN_SECONDS = 240.0
"""Enough for the longest of everything: a frozen worker, a stalled flush, an open transaction the broker must abort."""

REMEMBERED_IDS = 64
"""Ids in a generation of duplicates: few, so that generations turn."""

FENCED = "another worker owns it now"
EXPECTED = (FENCED, "failed", "not done within", "committed offsets cannot be read")
"""In the sentences of workers that end because brokers stall or another worker has taken over."""

LOGGER = logging.getLogger("simulation")


@dataclass
class Outcome:
    """What a seed came to.

    Parameters
    ----------
    seed
        Repeats it.
    violation
        What did not hold; "" when all did.
    events, alerts, flushes, lives, crashes
        How much happened: records written by producers, alerts, committed flushes, workers started, deaths at a call.
    faults
        Kind → how often.
    exits
        Why workers ended themselves → how often.
    digest
        Of all logs: equal for equal runs.
    """

    seed: int
    violation: str = ""
    events: int = 0
    alerts: int = 0
    flushes: int = 0
    lives: int = 0
    crashes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True)
class Mutation:
    """One protection taken away.

    Parameters
    ----------
    leases, committer, lease, fold
        Classes in place of the real ones.
    names
        Dotted name in the product → what it is bound to instead.
    """

    leases: type[Leases] = Leases
    committer: type[Committer] = Committer
    lease: type[Lease] = Lease
    fold: type[Partition] = Partition
    names: Mapping[str, Any] = field(default_factory=dict)


@cache
def compiled_model() -> Compiled:
    """Return the model that all simulations score with."""
    return compile_model(load_model(str(Path(__file__).parent / "model.toml")))


def simulate(seed: int, mutation: Mutation | None = None) -> Outcome:
    """Run one seed."""
    world = World(seed, mutation or Mutation())
    gc.disable()
    try:
        with world.bound():
            return world.run()
    finally:
        gc.enable()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, mutation: Mutation) -> None:
        self.outcome = Outcome(seed)
        self._mutation = mutation
        self._chance = chance = random.Random(seed)
        self.loop = SimulatedLoop()
        self.network = Network(self.loop, random.Random(chance.random()))
        self.partitions = chance.choice((1, 2, 3))
        self.brokers = Brokers(self.loop, self._marker_delay)
        self.brokers.create((*INPUT_TOPICS, *OUTPUTS, "journal", CHANGELOG), self.partitions)
        self.brokers.on_commit = self._on_commit
        self.group = Group(self.loop, self.network, self.partitions, random.Random(chance.random()))
        projectors = Group(self.loop, self.network, self.partitions, random.Random(chance.random()))
        self._speed = chance.choice((600, 7_200, 43_200, 86_400))  # seconds of wall clock per simulated second
        self.redis = FakeRedis(self.network, self._wall_ms)
        groups = {f"{GROUP}-projector": projectors}
        self._clients = Clients(
            self.loop, self.network, self.brokers, groups, self._wall_ms, random.Random(chance.random())
        )
        self._habits = Habits(
            clock=chance.choice(("wall", "log")),
            tick_seconds=chance.choice((0.2, 1.0, 3.0)),
            commit_min_ms=chance.choice((10, 50, 200)),
            commit_max_ms=chance.choice((200, 1000)),
        )
        self._is_projecting = chance.random() < 0.5
        self._is_ticking = True
        self._violation: ViolationError | None = None
        self.workers: list[Worker] = []

    # ---- the run

    def run(self) -> Outcome:
        """Run to the end and return what was found."""
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._story())
        except (ViolationError, AssertionError) as error:
            self.outcome.violation = f"{type(error).__name__}: {error}"
        finally:
            self.network.is_over = True
            self.outcome.crashes = self.network.crashes
            self.outcome.digest = self._digest()
            self.loop.bury()
            asyncio.set_event_loop(None)
        return self.outcome

    async def _story(self) -> None:
        chance = self._chance
        accounts, events = chance.choice((2, 4, 9)), chance.choice((40, 120, 300))
        traffic = Traffic(self.brokers, random.Random(chance.random()), self._wall_ms, self.partitions, accounts)
        faults = Faults(self, random.Random(chance.random()))
        self.workers = [self._start() for _ in range(chance.choice((1, 2, 3)))]
        supervising = asyncio.create_task(self._supervise())
        writing = asyncio.create_task(traffic.write(events, TROUBLE_SECONDS * 200 / events, self.network.pause))
        await faults.trouble(TROUBLE_SECONDS)
        await writing
        await self.network.pause(2.0)
        self._is_ticking = False
        for worker in self.workers:
            worker.stop_ticking()
        await self._until(self._is_drained, "not all records are applied")
        self.outcome.faults = dict(faults.caused)
        self.outcome.events = traffic.sent.total()
        check = Check(committed_logs(self.brokers, self.partitions), self.partitions, self._new_fold)
        check.everything(traffic.sent)
        self.outcome.alerts, self.outcome.flushes = check.alerts, check.flushes
        check.survivors((lease.partition, lease.fold) for worker in self._alive() for lease in worker.leases or ())
        if self._is_projecting:
            await self._until(
                lambda: redis_fits(self.brokers, self.partitions, self.redis.store.keys),
                "Redis differs from the topics",
            )
        supervising.cancel()

    async def _until(self, holds: Any, complaint: str) -> None:
        deadline = self.loop.time() + DRAIN_SECONDS
        while not holds():
            if self._violation is not None:
                raise self._violation
            if self.loop.time() > deadline:
                raise ViolationError(f"{complaint} {DRAIN_SECONDS:.0f} s after everything healed")
            await self.network.pause(0.5)
        if self._violation is not None:
            raise self._violation

    def _is_drained(self) -> bool:
        committed = self.brokers.offsets.get(GROUP, {})
        if not self.brokers.is_settled or any(
            (records := self.brokers.logs[topic, partition].committed())
            and records[-1].offset >= committed.get((topic, partition), 0)
            for topic in INPUT_TOPICS
            for partition in range(self.partitions)
        ):
            return False
        leases = [lease for worker in self._alive() for lease in worker.leases or ()]
        owned = {lease.partition for lease in leases if lease.is_restored}
        return len(owned) == len(leases) == self.partitions and not any(lease.fold.dirty for lease in leases)

    # ---- processes

    def _alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.process.is_alive]

    async def _supervise(self) -> None:
        """Start every worker again some time after it ended."""
        due: dict[int, float] = {}
        while True:
            for index, worker in enumerate(self.workers):
                if worker.process.is_alive:
                    continue
                now = self.loop.time()
                if due.setdefault(index, now + self._chance.choice((0.1, 0.5, 4.0))) <= now:
                    self.workers[index] = self._start()
                    del due[index]
            await self.network.pause(0.1)

    def _start(self) -> Worker:
        self.outcome.lives += 1
        process = Process(f"worker {self.outcome.lives}")
        process.skew_ms = self._chance.choice((0, 0, -60_000, 60_000, 7_200_000))
        parts = Parts(self._mutation.leases, self._mutation.committer, new_fold=self._new_mutant_fold)
        chance = random.Random(self._chance.random())
        worker = Worker(process, self.loop, self.network, self.brokers, self.group, chance, parts, self._habits)
        worker.start(is_ticking=self._is_ticking)
        if self._is_projecting:
            settings = Settings(app_id=GROUP, partitions=self.partitions)
            self.loop.spawn(process, halting(project_forever(settings)))
        return worker

    def _new_fold(self, number: int) -> Partition:
        return Partition(number, self.partitions, compiled_model(), duplicates=Duplicates(REMEMBERED_IDS))

    def _new_mutant_fold(self, number: int) -> Partition:
        return self._mutation.fold(number, self.partitions, compiled_model(), duplicates=Duplicates(REMEMBERED_IDS))

    def _wall_ms(self) -> int:
        process = PROCESS.get()
        skew_ms = 0 if process is None else process.skew_ms
        return EPOCH_MS + int(self.loop.time() * 1000 * self._speed) + skew_ms

    def _marker_delay(self) -> float:
        """Return how long a marker takes: now and then much longer than the answer to the commit."""
        return self.network.arrival() + (self._chance.uniform(0.02, 1.0) if self._chance.random() < 0.1 else 0.0)

    def compact(self) -> None:
        """Compact the changelogs up to some point."""
        for partition in range(self.partitions):
            log = self.brokers.logs[CHANGELOG, partition]
            log.compact(max(0, log.end - self._chance.choice((3, 20, 100))))

    # ---- the boundary

    def _halt(self, code: int, sentence: str) -> NoReturn:
        process = PROCESS.get()
        assert process is not None
        process.is_alive = False
        LOGGER.warning("%.3f %s halts: %s", self.loop.time(), process.name, sentence)
        reason = re.sub(r"\d+", "n", sentence.partition(": ")[2].partition(":")[0])
        self.outcome.exits[reason] = self.outcome.exits.get(reason, 0) + 1
        is_expected = any(words in sentence for words in EXPECTED)
        if not is_expected or (code == UNSAFE and FENCED not in sentence):
            self._fail(ViolationError(f"{process.name} stopped: {sentence}"))
        raise VanishedError

    def _on_commit(self) -> None:
        try:
            offsets_fit_the_state(self.brokers)
        except ViolationError as error:
            self._fail(error)

    def _fail(self, violation: ViolationError) -> None:
        self._violation = self._violation or violation

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Bind the product's names at its boundary to this world's."""
        clients, clock = self._clients, self.loop.time
        names = {
            "streams.recovery.AIOKafkaConsumer": clients.consumer,
            "streams.recovery.AIOKafkaAdminClient": clients.admin,
            "streams.recovery.to_thread": _at_once,
            "streams.recovery.hand_out_as_parsed": _leave_as_is,
            "streams.store.AIOKafkaProducer": clients.producer,
            "streams.ticker.AIOKafkaProducer": clients.producer,
            "streams.cohorts.AIOKafkaProducer": clients.producer,
            "streams.projector.AIOKafkaConsumer": clients.consumer,
            "streams.projection.redis_client": self.redis.from_url,
            "streams.ticker.time": SimpleNamespace(time_ns=lambda: self._wall_ms() * 1_000_000),
            "streams.commit.halt": self._halt,
            "streams.store.halt": self._halt,
            "streams.store.Lease": self._mutation.lease,
            **{f"streams.{name}.monotonic": clock for name in ("lease", "commit", "store", "recovery", "ticker")},
            "streams.projector.monotonic": clock,
            **self._mutation.names,
        }
        with contextlib.ExitStack() as stack:
            for name, value in names.items():
                stack.enter_context(_bound(name, value))
            yield

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for log in self.brokers.logs.values():
            for entry in log.entries:
                digest.update(repr((log.topic, entry.offset, entry.record)).encode())
        return digest.hexdigest()[:16]


async def _at_once(work: Callable[..., None], *arguments: Any) -> None:
    """Do what a thread would do: there is one thread only, so that a seed repeats."""
    work(*arguments)


def _leave_as_is(_consumer: Any) -> None:
    """Do nothing to a consumer that has no fetcher."""


@contextlib.contextmanager
def _bound(name: str, value: Any) -> Iterator[None]:
    place, _, attribute = name.rpartition(".")
    try:
        owner = importlib.import_module(place)
    except ModuleNotFoundError:  # a class in a module
        module, _, kind = place.rpartition(".")
        owner = getattr(importlib.import_module(module), kind)
    former = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        setattr(owner, attribute, former)
