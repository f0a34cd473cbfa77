"""An event loop in which no real time passes and processes can die or freeze between any two steps.

Nothing is ever waited for: when no callback is ready, the clock jumps to the next timer. Callbacks run in the order in
which they were scheduled; chance enters only through the delays of the simulated network, so a seed fixes everything.
"""

import asyncio
import contextlib
import heapq
import warnings
from asyncio import events
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any


class VanishedError(BaseException):
    """The simulated process that runs is no more; not even ``except Exception`` may hold it up."""


class Process:
    """One life of one simulated worker process.

    Parameters
    ----------
    name
        For messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_paused = False
        self.skew_ms = 0
        self.parked: list[events.Handle] = []


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose code runs now; None: the brokers, Redis, or the test itself."""

WORLD: Context = copy_context()
"""The context of what belongs to no process: it survives every kill."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Event loop with virtual time in seconds since its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        # Held until the end: a task that is collected closes its coroutine, and so runs the clean-up of the dead.
        self._all: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._keep)
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def spawn(self, process: Process | None, work: Any) -> asyncio.Task[Any]:
        """Start a coroutine as part of a process."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def later(self, seconds: float, callback: Callable[..., object], *args: Any) -> events.TimerHandle:
        """Call back outside of every process."""
        return self.call_later(seconds, callback, *args, context=WORLD.copy())

    def resume(self, process: Process) -> None:
        """Let a paused process go on: everything it missed happens now."""
        process.is_paused = False
        self._ready.extend(process.parked)
        process.parked = []

    def bury(self) -> None:
        """Close the coroutines of everything unfinished; call when the simulation is over."""
        with warnings.catch_warnings(action="ignore"):  # some have never run
            for task in self._all:
                task._log_destroy_pending = False
                # What the clean-up of the dead complains of is of no interest.
                with contextlib.suppress(Exception, VanishedError):
                    task.get_coro().close()
        self._all = []
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _keep(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        self._all.append(task)
        return task

    def _run_once(self) -> None:
        """Run what is ready now, or jump to the next timer."""
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            if not scheduled:
                raise AssertionError("nothing will ever happen again")
            self._now = max(self._now, scheduled[0]._when)
            while scheduled and scheduled[0]._when <= self._now:
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is not None:
                if not process.is_alive:
                    continue
                if process.is_paused:
                    process.parked.append(handle)
                    continue
            handle._run()

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""
