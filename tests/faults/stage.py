"""One set of topics with its workers and its load: where several rounds of faults play, one after the other."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import psutil
import redis
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from deploy.local import Stack
from deploy.local.processes import Server, free_ports
from scoring.compile import compile_model
from scoring.presets import load_model
from streams import topics
from streams.settings import Settings
from streams.supervise import Child, Supervisor
from tests.faults import brokers, verify
from tests.faults.load import Load
from tests.invariants import ViolationError

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("worker.py")
PARTITIONS = 4
POLL_SECONDS = 0.1
START_SECONDS = 240.0
"""For workers to be started and to own partitions: seconds, on a machine that does nothing else."""

LEVEL_SECONDS = 180.0
"""After the last fault, by when everything must be consumed, committed and in Redis."""

QUIET_RATE, BUSY_RATE = 20.0, 400.0
"""Events per second: between faults, and while one lands, so that at any instant something is not committed."""

OWN_CONFIG = {
    # Compacted all the time, so that every restore reads a compacted one.
    topics.CHANGELOG: {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "1000"},
    "scores": {"cleanup.policy": "delete"},  # so that every snapshot can be compared, not only the last
}

OWNING = re.compile(rb"\[(\d+)\].*owning partitions \[([\d, ]*)\]")


class MissedError(Exception):
    """The fault did not land while work remained: the round counts for nothing and is played again."""


class Stage:
    """Workers under load; use it as an async context manager.

    Parameters
    ----------
    stack
        Three brokers and Redis.
    database
        Number of the stage's database in Redis: another stage may play at the same time.
    folder
        For logs.
    seed
        Chooses the load, and what faults draw.
    model
        Preset name or path.
    clock
        ``log`` lets days pass within seconds; under ``wall`` ticks come at starts only, so that the end is still.
    workers
        How many are there from the beginning, ≥ 1.
    former
        Folder of another version's tree with the same row layout, None where there is none.
    tell
        Called with sentences about ends of workers.
    """

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        seed: int,
        *,
        database: int = 0,
        model: str,
        clock: str,
        tell: Callable[[str], None],
        workers: int = 2,
        former: Path | None = None,
    ) -> None:
        name = f"f{uuid.uuid4().hex[:8]}"
        self.stack = stack
        self.tell = tell
        self.settings = replace(
            Settings(),
            kafka=stack.kafka,
            redis_url=f"{stack.redis_url.rpartition('/')[0]}/{database}",
            app_id=name,
            topic_prefix=f"{name}-",
            model=model,
            clock=clock,
            tick_seconds=3600,
            partitions=PARTITIONS,
            replication=3,
        )
        self.compiled = compile_model(load_model(model))
        self.folder = folder
        self.former = former
        self._has_elders = False
        self.load = Load(self.settings, seed)
        self.children = [
            self._child(f"worker-{number}", port, model) for number, port in enumerate(free_ports(workers), 1)
        ]
        self.ends: Counter[str] = Counter()
        """How workers ended → how often."""
        self.seconds: dict[str, float] = {}
        """Step of the round under way → how long it took."""

    async def __aenter__(self) -> Self:
        with redis.Redis.from_url(self.settings.redis_url) as database:
            database.flushdb()
        await self._create_topics()
        await self.load.__aenter__()
        self.supervisor = Supervisor(self.children, self._note, healthy_seconds=5.0)
        await self.supervisor.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.supervisor.__aexit__(kind, error, trace)
        shutil.rmtree(Path(tempfile.gettempdir()) / f"bellwether-{self.settings.app_id}", ignore_errors=True)
        try:
            async with asyncio.timeout(LEVEL_SECONDS):
                await self.load.__aexit__()
                async with topics.admin(self.settings, START_SECONDS) as client:
                    await client.delete_topics(list(self._names()))
        except (KafkaError, topics.KafkaUnreachableError, TimeoutError) as reason:
            self.tell(f"stage not tidied up: {reason!r}")  # its topics go with the cluster

    async def _create_topics(self) -> None:
        """Create all topics, two of them with settings of our own."""
        own = {
            name: topic.settings(3) | OWN_CONFIG[topic.name]
            for name, topic in self._names().items()
            if topic.name in OWN_CONFIG
        }
        async with topics.admin(self.settings) as client:
            await client.create_topics(
                [NewTopic(name, PARTITIONS, 3, topic_configs=config) for name, config in own.items()]
            )
        await topics.create(self.settings)

    def _names(self) -> dict[str, topics.Topic]:
        return {topics.kafka_name(topic, self.settings): topic for topic in topics.TOPICS}

    def _child(self, name: str, port: int, model: str, program: Path = PROGRAM) -> Child:
        environ = {
            **os.environ,
            **replace(self.settings, metrics_port=port, model=model).environ(),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-P", "-u", str(program), "worker"]
        return Child(name, command, environ, self.folder / f"{self.settings.app_id}-{name}.log")

    def _note(self, sentence: str) -> None:
        self.tell(sentence)
        self.ends[re.sub(r"^[\w-]+: |; starting again.*|\n.*", "", sentence, flags=re.DOTALL)] += 1

    # ---- workers

    def guest(self, *, model: str | None = None, program: Path = PROGRAM) -> Supervisor:
        """Return one more worker, perhaps with another model or as another program, to be entered and left."""
        guest = self._child("guest", free_ports(1)[0], model or self.settings.model, program)
        return Supervisor([guest], self._note, healthy_seconds=5.0)

    def owned(self, child: Child) -> frozenset[int]:
        """Return the partitions that a worker, as it runs now, has told that it owns."""
        pid = self.supervisor.pid(child.name)
        if pid is None or not child.log.exists():
            return frozenset()
        told = [found[2] for found in OWNING.finditer(child.log.read_bytes()) if int(found[1]) == pid]
        return frozenset(map(int, re.findall(rb"\d+", told[-1]))) if told else frozenset()

    def signal(self, child: Child, number: signal.Signals) -> None:
        """Send a signal to a worker; MissedError when it does not run just now."""
        pid = self.supervisor.pid(child.name)
        if pid is None:
            raise MissedError(f"{child.name} does not run")
        try:
            os.kill(pid, number)
        except ProcessLookupError as error:
            raise MissedError(f"{child.name} has just ended") from error

    @staticmethod
    def kill(pid: int) -> None:
        """SIGKILL a process that may have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def armed(self, child: Child, failpoint: str) -> Iterator[None]:
        """Let every life of a worker that begins inside of the block reach a failpoint."""
        with self._environ(child, "BELLWETHER_FAILPOINT", failpoint):
            yield

    @contextlib.contextmanager
    def of_version(self, child: Child, tree: Path) -> Iterator[None]:
        """Let every life of a worker that begins inside of the block run the code of another tree."""
        self._has_elders = True
        with self._environ(child, "PYTHONPATH", str(tree)):
            yield

    @staticmethod
    @contextlib.contextmanager
    def _environ(child: Child, name: str, value: str) -> Iterator[None]:
        environ = cast("dict[str, str]", child.environ)
        former = environ.get(name)
        environ[name] = value
        try:
            yield
        finally:
            if former is None:
                del environ[name]
            else:
                environ[name] = former

    async def next_life(self, child: Child, former: int | None) -> int | None:
        """Wait until a worker runs as another process than the former; return its id."""

        def is_other() -> bool:
            return self.supervisor.pid(child.name) not in (None, former)

        await self.until(is_other, START_SECONDS, f"{child.name} was not started again")
        return self.supervisor.pid(child.name)

    def is_frozen(self, child: Child) -> bool:
        """Return whether a worker is stopped by SIGSTOP."""
        pid = self.supervisor.pid(child.name)
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED

    async def until(
        self,
        condition: Callable[[], bool],
        seconds: float,
        complaint: str,
        kind: type[Exception] = ViolationError,
    ) -> None:
        """Wait for a condition; raise this kind of error at the deadline, ViolationError for a worker that gave up."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.no_worker_gave_up()
            if time.monotonic() > deadline:
                raise kind(f"{complaint} within {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    def no_worker_gave_up(self) -> None:
        """Raise ViolationError when a worker ended with a code after which nobody starts it again."""
        if self.supervisor.given_up.done():
            child, code = self.supervisor.given_up.result()
            raise ViolationError(f"{child.name} refused with exit code {code}:{child.last_words()}")

    async def all_own(self) -> None:
        """Wait until every worker owns partitions and none is without owner."""
        await self.until(self._is_shared_out, START_SECONDS, "not every worker owns partitions")

    def _is_shared_out(self) -> bool:
        owned = [self.owned(child) for child in self.children]
        return all(owned) and frozenset().union(*owned) == frozenset(range(PARTITIONS))

    @property
    def redis(self) -> Server:
        """The stack's Redis."""
        assert self.stack.redis is not None
        return self.stack.redis

    async def changelog_compacted(self) -> None:
        """Wait until records of the changelog are gone that later ones replaced."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            for records in (await verify.read_logs(self.settings, (topics.CHANGELOG,))).values():
                keys = [record.key for record in records]
                span = records[-1].offset - records[0].offset if records else 0
                if span > 3 * len(keys):  # flushes take two offsets more than they have records: marker and alignment
                    return
            if time.monotonic() > deadline:
                raise ViolationError(f"the changelog is not compacted within {START_SECONDS:.0f} s")
            await asyncio.sleep(1)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time of the block as a step of the round under way."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    # ---- work

    async def busy(self) -> None:
        """Raise the load, and return when it is on its way through the workers."""
        self.load.rate = BUSY_RATE
        before = self.load.sent.total()
        await self.until(
            lambda: self.load.sent.total() > before + BUSY_RATE / 2, LEVEL_SECONDS, "the load does not flow"
        )

    def quiet(self) -> None:
        """Lower the load again."""
        self.load.rate = QUIET_RATE

    async def landed(self, partitions: Iterable[int] = range(PARTITIONS)) -> None:
        """Raise MissedError unless records of these partitions wait to be committed."""
        written = self.load.written
        committed = await brokers.committed(self.settings)
        chosen = set(partitions)
        if not any(count > committed.get(place, 0) for place, count in written.items() if place[1] in chosen):
            raise MissedError("no work was left")

    async def caught_up(self) -> float:
        """Return the seconds until all that is written by now is committed."""
        began, written = time.monotonic(), self.load.written
        deadline = began + LEVEL_SECONDS
        while True:
            committed = await brokers.committed(self.settings)
            waiting = {place: count for place, count in written.items() if committed.get(place, 0) < count}
            if not waiting:
                return time.monotonic() - began
            self.no_worker_gave_up()
            if time.monotonic() > deadline:
                raise ViolationError(f"{len(waiting)} places wait {LEVEL_SECONDS:.0f} s after the fault: {waiting}")
            await asyncio.sleep(POLL_SECONDS)

    async def check(self) -> tuple[int, int]:
        """Let everything come to rest and recount all of it; return events and alerts so far."""
        deadline = time.monotonic() + LEVEL_SECONDS
        with self.step("rest"):
            await self.load.settle()
            logs = await verify.still_logs(self.settings, deadline)
        with self.step("recount"):
            self.load.sent["doubled"] = verify.doubled(logs, self.load.values)
            check = await asyncio.to_thread(
                verify.recount, self.settings, self.compiled, logs, self.load.sent, has_elders=self._has_elders
            )
        with self.step("Redis"):
            await verify.redis_equals_the_topics(self.settings, deadline)
        self.no_worker_gave_up()
        return self.load.sent.total(), check.alerts
