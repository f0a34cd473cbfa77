"""Workers killed and frozen in the middle of the stream: nothing lost, nothing twice."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiokafka import AIOKafkaProducer

from streams.settings import Settings
from tests.streams.recount import is_consumed, recount
from tests.streams.workers import Workers

TOPICS = ("usage", "billing", "support")
ACCOUNTS = 300


class Load:
    """Produces events to several topics until told to stop; counts what it wrote."""

    def __init__(self, settings: Settings, seed: int, per_second: int = 3_000) -> None:
        self._settings = settings
        self._random = random.Random(seed)
        self._per_second = per_second
        self._stop = asyncio.Event()
        self.written: Counter[str] = Counter()

    async def run(self) -> None:
        """Write until stopped."""
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka, linger_ms=10, enable_idempotence=True)
        await producer.start()
        try:
            while not self._stop.is_set():
                for _ in range(self._per_second // 20):
                    topic = self._random.choice(TOPICS)
                    key = b"account-%d" % self._random.randrange(ACCOUNTS)
                    await producer.send(self._settings.topic(topic), b"{}", key=key)
                    self.written[topic] += 1
                await asyncio.sleep(0.05)
        finally:
            await producer.stop()

    def stop(self) -> None:
        """End the production."""
        self._stop.set()


async def until(condition: Callable[[], Awaitable[bool]], workers: Workers, seconds: float) -> None:
    """Wait for the condition, reviving workers meanwhile."""
    async with asyncio.timeout(seconds):
        while not await condition():
            workers.revive()
            await asyncio.sleep(0.2)


async def trouble(settings: Settings, workers: Workers, load: Load, seed: int, kills: int, freezes: int) -> None:
    """Kill and freeze workers while the load runs; every fault lands while work remains."""
    chance = random.Random(seed)
    faults = chance.sample(["kill"] * (kills - 1) + ["freeze"] * freezes, kills - 1 + freezes)
    for fault in [*faults, "kill"]:  # never a freeze at the end: the zombie must meet the others at work
        before = load.written.copy()
        victim = chance.randrange(2)

        async def is_at_work(before: Counter[str] = before, victim: int = victim) -> bool:
            return workers.owns_partitions(victim) and await is_consumed(settings, before)

        await until(is_at_work, workers, 60)
        if fault == "kill":
            workers.signal(victim, signal.SIGKILL)
            workers.processes[victim].wait()
        else:
            workers.signal(victim, signal.SIGSTOP)
            await asyncio.sleep(13)  # the fault itself: longer than the 10 s session
            workers.signal(victim, signal.SIGCONT)
        workers.revive()


async def survive(settings: Settings, folder: Path, seed: int, kills: int, freezes: int) -> None:
    """Run the whole story and recount."""
    load = Load(settings, seed)
    with Workers(settings, folder, 2) as workers:
        producing = asyncio.create_task(load.run())
        await trouble(settings, workers, load, seed, kills, freezes)
        load.stop()
        await producing
        await until(lambda: is_consumed(settings, load.written), workers, 60)
        for index in range(2):
            workers.signal(index, signal.SIGTERM)
        codes = [process.wait(timeout=20) for process in workers.processes]
    # A worker started a moment ago has no handler yet and dies of the signal itself.
    assert set(codes) <= {0, -signal.SIGTERM}
    found = await recount(settings)
    print(found.events, "events", found.alerts, "alerts", "exits", Counter(workers.exits))
    assert found.events == load.written.total()
    assert found.faults == {}


async def test_kills_and_a_zombie_lose_and_repeat_nothing(provisioned: Settings, tmp_path: Path) -> None:
    """Two workers, three SIGKILLs and one freeze beyond the session: every alert is there once, every row is right."""
    await survive(provisioned, tmp_path, seed=1, kills=3, freezes=1)
