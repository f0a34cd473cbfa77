"""What goes wrong: processes die, freeze and lose touch; workers come and go; brokers stall; logs are compacted."""

import random
from collections import Counter
from typing import Any

from tests.simulation.loop import Process

LONG_STALL_SECONDS = 32.0
"""Longer than a flush may take."""


class Faults:
    """Causes faults until told to heal.

    Parameters
    ----------
    world
        The simulation.
    chance
        Decides what and when.
    """

    def __init__(self, world: Any, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self.caused: Counter[str] = Counter()
        pace = chance.choice((0.3, 1.0, 3.0))
        self._pause_seconds = pace
        self._kinds = chance.sample(
            ("kill", "freeze", "silence", "stop", "rebalance", "stall", "compact", "redis_down", "redis_loss"), k=5
        )

    async def trouble(self, seconds: float) -> None:
        """Cause faults for so long, then heal."""
        world, chance = self._world, self._chance
        weather = world.network.weather
        weather.crash_ratio = chance.choice((0, 0, 1 / 600, 1 / 200, 1 / 60))
        weather.error_ratio = chance.choice((0, 0, 1 / 500, 1 / 50))
        weather.slow_ratio = chance.choice((0, 0.05, 0.3))
        until = world.loop.time() + seconds
        while world.loop.time() < until:
            await world.network.pause(chance.expovariate(1 / self._pause_seconds))
            getattr(self, f"_{chance.choice(self._kinds)}")()
        self.heal()

    def heal(self) -> None:
        """End every fault."""
        world = self._world
        weather = world.network.weather
        weather.crash_ratio = weather.error_ratio = weather.slow_ratio = 0.0
        world.group.unreachable.clear()
        world.redis.is_down = False
        for worker in world.workers:
            if worker.process.is_paused:
                world.loop.resume(worker.process)

    def _victim(self) -> Process | None:
        alive = [worker.process for worker in self._world.workers if worker.process.is_alive]
        return self._chance.choice(alive) if alive else None

    def _kill(self) -> None:
        process = self._victim()
        if process is not None:
            process.is_alive = False
            self.caused["kill"] += 1

    def _freeze(self) -> None:
        """Stop a process, perhaps beyond its session, and let it go on."""
        process = self._victim()
        if process is not None and not process.is_paused:
            process.is_paused = True
            self.caused["freeze"] += 1
            seconds = self._chance.choice((0.2, 2.0, 5.0, 20.0, 70.0))
            self._world.loop.later(seconds, self._world.loop.resume, process)

    def _silence(self) -> None:
        """Cut a process off from the group's coordinator only: it works on while others take its partitions over."""
        process = self._victim()
        if process is not None:
            self._world.group.unreachable.add(process)
            self.caused["silence"] += 1
            seconds = self._chance.choice((1.0, 5.0, 15.0))
            self._world.loop.later(seconds, self._world.group.unreachable.discard, process)

    def _stop(self) -> None:
        """End a worker in order; it comes again."""
        workers = [worker for worker in self._world.workers if worker.process.is_alive]
        if workers:
            self._chance.choice(workers).stop()
            self.caused["stop"] += 1

    def _rebalance(self) -> None:
        self._world.group.rebalance()
        self.caused["rebalance"] += 1

    def _stall(self) -> None:
        network = self._world.network
        seconds = LONG_STALL_SECONDS if self._chance.random() < 0.05 else self._chance.choice((0.1, 1.0, 4.0))
        network.stalled_until = max(network.stalled_until, self._world.loop.time() + seconds)
        self.caused["stall"] += 1

    def _compact(self) -> None:
        self._world.compact()
        self.caused["compact"] += 1

    def _redis_down(self) -> None:
        redis = self._world.redis
        redis.is_down = True
        self.caused["redis_down"] += 1

        def answer() -> None:
            redis.is_down = False

        self._world.loop.later(self._chance.choice((0.3, 2.0, 8.0)), answer)

    def _redis_loss(self) -> None:
        """Let Redis forget everything, or go back to an older file."""
        self._world.redis.lose(self._chance)
        self.caused["redis_loss"] += 1
