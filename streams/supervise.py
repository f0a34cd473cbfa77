"""Keeps child processes running: starts them, starts them again when they end, and takes them along when it goes.

    start ──> running ──ends──> wait (0.5 s, doubling to 30 s) ──> start again
                 │
                 └── ends with 2 (wrong usage) or 3 (stopped for safety): left ended, starting again would not help

A child that lived for a minute is healthy again, and its next wait is the short one. Every child runs under a guard,
so that it ends with this process however that ends, `kill -9` included.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import guard
from streams.halt import UNSAFE

USAGE = 2
FINAL_CODES = frozenset({USAGE, UNSAFE})
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 15.0  # the guard itself kills after 10
LOG_LINES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running.

    Parameters
    ----------
    name
        What it is called in messages, such as ``worker-1``.
    command
        Program and arguments.
    environ
        Its whole environment.
    log
        File that its output is appended to.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path

    def last_words(self) -> str:
        """Return the last lines of its log, indented, or nothing."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
            return "".join(f"\n    {line}" for line in lines)
        return ""


def wait_seconds(failures: int) -> float:
    """Return how long to wait before a start.

    Parameters
    ----------
    failures
        Ends in a row before a minute was lived, ≥ 1.

    Examples
    --------
    >>> [wait_seconds(n) for n in (1, 2, 3, 9)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return float(min(FIRST_WAIT_SECONDS * 2.0 ** (failures - 1), LONGEST_WAIT_SECONDS))


@dataclass
class Supervisor:
    """Keeps some children running; use it as an async context manager, leaving it stops them.

    Parameters
    ----------
    children
        The processes.
    tell
        Called with a sentence when a child ended.
    healthy_seconds
        A child that lived for so long waits the shortest time again when it ends, > 0.

    Attributes
    ----------
    restarts
        How often a child was started again.
    given_up
        Resolved with (child, exit code) once a child ended with a code that starting again would not change.
    """

    children: Sequence[Child]
    tell: Callable[[str], None]
    healthy_seconds: float = HEALTHY_SECONDS
    restarts: int = 0
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _pids: dict[str, int] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _is_stopping: bool = False

    async def __aenter__(self) -> Self:
        self.given_up: asyncio.Future[tuple[Child, int]] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._keep(child), name=child.name) for child in self.children]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        for process in list(self._running.values()):
            if process.stdin is not None:
                process.stdin.close()  # tells the guard to end its child
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(process.wait() for process in list(self._running.values())))
        for process in list(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pid(self, name: str) -> int | None:
        """Return the process id of a child, ``None`` while it does not run.

        Parameters
        ----------
        name
            The child's name.
        """
        return self._pids.get(name)

    async def _keep(self, child: Child) -> None:
        failures = 0
        while not self._is_stopping:
            started = time.monotonic()
            code = await self._run(child)
            if self._is_stopping:
                return
            if code in FINAL_CODES:
                self.tell(f"{child.name}: ended with {describe_code(code)} and stays ended{child.last_words()}")
                if not self.given_up.done():
                    self.given_up.set_result((child, code))
                return
            failures = 1 if time.monotonic() - started >= self.healthy_seconds else failures + 1
            self.tell(
                f"{child.name}: ended with {describe_code(code)}; starting again in {wait_seconds(failures):.1f} s"
            )
            await asyncio.sleep(wait_seconds(failures))
            self.restarts += 1

    async def _run(self, child: Child) -> int:
        with child.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard.__file__, guard.KEEP, "--", *child.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=dict(child.environ),
                start_new_session=True,  # Ctrl-C in the terminal is for us, we stop the children in order
            )
        self._running[child.name] = process
        assert process.stdout is not None
        self._pids[child.name] = int(await process.stdout.readline() or 0)
        code = await process.wait()
        del self._running[child.name], self._pids[child.name]
        return code


def describe_code(code: int) -> str:
    """Return an exit code in words: the signal's name where a signal ended the process.

    Parameters
    ----------
    code
        As the guard reports it, 0-255: a signal's negative number wraps around.

    Examples
    --------
    >>> describe_code(247), describe_code(3)
    ('SIGKILL', 'exit code 3')
    """
    with contextlib.suppress(ValueError):
        return signal.Signals(256 - code).name
    return f"exit code {code}"
