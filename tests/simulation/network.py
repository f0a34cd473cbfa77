"""The way between a process and the brokers: takes its time, fails at times, and is where processes die."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.broker import AgainError
from tests.simulation.loop import PROCESS, Process, SimulatedLoop, VanishedError

SLOWEST_SECONDS = 0.4


@dataclass
class Weather:
    """How bad the network is just now.

    Parameters
    ----------
    crash_ratio
        Share of calls at which the calling process dies, 0 to 1.
    error_ratio
        Share of deliveries that fail, 0 to 1.
    slow_ratio
        Share of calls that take much longer than the others, 0 to 1.
    """

    crash_ratio: float = 0.0
    error_ratio: float = 0.0
    slow_ratio: float = 0.0


class Network:
    """Carries requests.

    Parameters
    ----------
    loop
        Of the simulation.
    chance
        Decides delays, failures and deaths.
    """

    def __init__(self, loop: SimulatedLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance
        self.weather = Weather()
        self.stalled_until = 0.0
        self.is_over = False
        self.calls = 0
        self.crashes = 0

    def delay(self) -> float:
        """Return how long one way takes, seconds."""
        if self._chance.random() < self.weather.slow_ratio:
            return self._chance.uniform(0.02, SLOWEST_SECONDS)
        return self._chance.uniform(0.0005, 0.006)

    def arrival(self) -> float:
        """Return how long a request takes to be served: not before a stall of the brokers ends, seconds."""
        return max(self.delay(), self.stalled_until - self._loop.time())

    def fails(self) -> bool:
        """Return whether this delivery is one that fails."""
        return self._chance.random() < self.weather.error_ratio

    def crash_point(self) -> None:
        """Maybe end the process that runs here, at once."""
        process = PROCESS.get()
        if process is None:
            return
        if not process.is_alive:
            raise VanishedError
        self.calls += 1
        if self._chance.random() < self.weather.crash_ratio:
            self.crashes += 1
            process.is_alive = False
            raise VanishedError

    async def call(self, serve: Callable[[], Any]) -> Any:
        """Have the brokers serve a request and return the answer.

        A process that dies on the way may have its request served all the same.
        """
        if self.is_over:
            return None
        self.crash_point()
        process, answered = PROCESS.get(), self._loop.create_future()
        self._loop.later(self.arrival(), self._serve, process, serve, answered)
        answer = await answered
        self.crash_point()
        return answer

    async def pause(self, seconds: float) -> None:
        """Wait as a client."""
        done = self._loop.create_future()
        self._loop.later(seconds, settle, done, None, None)
        await done

    def _serve(self, process: Process | None, serve: Callable[[], Any], answered: Any) -> None:
        answer, fault = None, None
        try:
            answer = serve()
        except AgainError:
            if process is None or process.is_alive:
                self._loop.later(self.arrival() + 0.01, self._serve, process, serve, answered)
            return
        except Exception as error:  # noqa: BLE001 - whatever the brokers refuse with is the caller's to see
            fault = error
        self._loop.later(self.arrival(), settle, answered, answer, fault)


def settle(answered: Any, answer: Any, fault: Exception | None) -> None:
    """Give a caller its answer, unless it gave up waiting."""
    if answered.done():
        return
    if fault is None:
        answered.set_result(answer)
    else:
        answered.set_exception(fault)
        answered.exception()  # noted as seen: that nobody asks is no news here
