"""The demonstration from beginning to end: stack, topics, workers, feed, alerts, story table; then nothing is left.

Stack ─> topics ─> warm ─> workers ─> feed (paced) ─> lag 0 and silence ─> table ─> (terminal: wait for Enter) ─> all ends
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console, RenderableType

from deploy.local import Stack, StackError
from deploy.local.processes import free_ports
from streams import topics
from streams.demo.book import Book
from streams.demo.feed import Feed, History, run_feed
from streams.demo.histories import Histories
from streams.demo.judge import judge_stories
from streams.demo.outcomes import judge_outcomes
from streams.demo.progress import Display
from streams.demo.tables import outcome_table, story_table
from streams.demo.watch import Watch
from streams.halt import FAILED, Refusal
from streams.settings import Settings
from streams.supervise import Child, Supervisor

READY_SECONDS = 90.0
DRAIN_SECONDS = 600.0
SETTLED_SECONDS = 3.0  # no lag, no new position, no new alert for so long: nothing more will come
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """What to demonstrate.

    Parameters
    ----------
    accounts, days, seed
        Of the simulated book; see ``Book``.
    seconds
        How long the days take, > 0.
    workers
        Worker processes, ≥ 1.
    folder
        Real histories instead of the book; ``None`` for the book.
    as_json
        Print the report as one JSON object.
    """

    accounts: int = 2_000
    days: int = 120
    seed: int = 1
    seconds: float = 120.0
    workers: int = 2
    folder: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to demonstrate: what is fed, and who judges the alerts.

    Parameters
    ----------
    history
        What is fed.
    names
        Account id → name, for the lines that people read.
    book
        The simulated book, if it is one.
    histories
        The real histories, if they are.
    """

    history: History
    names: dict[str, str]
    book: Book | None = None
    histories: Histories | None = None


def open_case(options: Options) -> Case:
    """Return what is to be demonstrated.

    Parameters
    ----------
    options
        As given on the command line.

    Raises
    ------
    Refusal
        If a parameter is out of its range or the folder holds no histories.
    """
    if options.folder is not None:
        histories = Histories(options.folder)
        return Case(histories.history, {}, histories=histories)
    try:
        book = Book(options.seed, options.accounts, options.days)
    except ValueError as error:
        raise Refusal(str(error), code=2) from error
    truth = book.truth
    return Case(History(truth.start_ms, truth.end_ms, book.by_day()), book.names, book=book)


def demonstrate(options: Options, settings: Settings) -> int:
    """Run the demonstration; return the exit code.

    Parameters
    ----------
    options
        As given on the command line.
    settings
        The caller's; addresses, clock and ports are replaced by the demonstration's own.
    """
    console = Console(stderr=True)
    case = open_case(options)
    console.print("Starting Kafka and Redis …")
    try:
        with Stack() as stack, tempfile.TemporaryDirectory(prefix="bellwether-demo-") as folder:
            own = replace(settings, kafka=stack.kafka, redis_url=stack.redis_url, clock="log", topic_prefix="")
            return asyncio.run(_Demonstration(options, own, case, console, Path(folder)).run())
    except StackError as error:
        raise Refusal(str(error)) from error


class _Demonstration:
    """One run, inside a running stack."""

    def __init__(self, options: Options, settings: Settings, case: Case, console: Console, folder: Path) -> None:
        self._options = options
        self._settings = settings
        self._case = case
        self._console = console
        self._folder = folder
        self._ports = free_ports(options.workers)

    async def run(self) -> int:
        await topics.create(self._settings)
        self._console.print("Compiling the scoring kernel (a minute at the first start, then cached) …")
        await self._warm()
        display = Display(self._console, self._case.history)
        with display:
            async with (
                Supervisor(self._children(), display.line) as supervisor,
                Watch(self._settings, display.line, self._case.names) as watch,
            ):
                code = await self._until_given_up(supervisor, self._live(watch, display))
                if code == 0:
                    display.stop()
                    self._report(watch, display)
                    await self._stay()
                return code

    async def _live(self, watch: Watch, display: Display) -> None:
        display.line(f"Waiting for {self._options.workers} workers …")
        await self._until_ready(watch)
        feed = Feed(reached_ms=self._case.history.start_ms)
        feeding = asyncio.create_task(run_feed(self._case.history, self._settings, self._options.seconds, feed))
        try:
            while not feeding.done():
                await display.show(feed, watch)
                await asyncio.wait([feeding], timeout=LOOK_SECONDS)
            await feeding
        finally:
            feeding.cancel()
        await self._until_settled(watch, display, feed)

    async def _until_given_up(self, supervisor: Supervisor, work: Coroutine[Any, Any, None]) -> int:
        """Do the work, but stop when a worker stays ended; return the exit code."""
        working = asyncio.create_task(work)
        either: list[asyncio.Future[Any]] = [working, supervisor.given_up]
        done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            await working
            return 0
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return supervisor.given_up.result()[1]

    async def _warm(self) -> None:
        command = [sys.executable, "-m", "streams.cli", "warm"]
        warming = await asyncio.create_subprocess_exec(
            *command, env=self._environ(0), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            words, _ = await warming.communicate()
        except asyncio.CancelledError:
            warming.terminate()
            await warming.wait()
            raise
        if warming.returncode:
            raise Refusal(f"warm: {words.decode(errors='replace').strip()[-500:]}", code=FAILED)

    def _environ(self, metrics_port: int) -> dict[str, str]:
        # Whatever a worker puts into the system's temporary folder goes away with the demonstration's.
        own = {"TMPDIR": str(self._folder)}
        return {**os.environ, **replace(self._settings, metrics_port=metrics_port).environ(), **own}

    def _children(self) -> list[Child]:
        command = [sys.executable, "-m", "streams.cli", "worker"]
        return [
            Child(f"worker-{number}", command, self._environ(port), self._folder / f"worker-{number}.log")
            for number, port in enumerate(self._ports, start=1)
        ]

    async def _until_ready(self, watch: Watch) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while await watch.members() < self._options.workers:
            if time.monotonic() > deadline:
                words = "".join(child.last_words() for child in self._children())
                raise Refusal(f"workers: expected {self._options.workers} to join within {READY_SECONDS:.0f} s{words}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _until_settled(self, watch: Watch, display: Display, feed: Feed) -> None:
        seen: object = None
        started = since = time.monotonic()
        while time.monotonic() - since < SETTLED_SECONDS:
            await display.show(feed, watch)
            positions = await watch.positions()
            now = (positions, len(watch.alarms))
            if now != seen or await watch.lag(positions):
                seen, since = now, time.monotonic()
            if time.monotonic() - started > DRAIN_SECONDS:
                raise Refusal(
                    f"workers: expected to catch up within {DRAIN_SECONDS:.0f} s — see if the machine is overloaded"
                )
            await asyncio.sleep(LOOK_SECONDS)

    def _report(self, watch: Watch, display: Display) -> None:
        value, table = self._judged(watch)
        value = {"events": display.sent, "seconds": round(display.seconds, 1), "alerts": len(watch.alarms), **value}
        (self._console if self._options.as_json else Console()).print(table)
        for line in self._addresses():
            self._console.print(line, highlight=False, soft_wrap=True)
        if self._options.as_json:
            print(orjson.dumps(value).decode(), flush=True)

    def _judged(self, watch: Watch) -> tuple[dict[str, object], RenderableType]:
        if self._case.book is not None:
            stories = judge_stories(self._case.book.truth, watch.alarms)
            return stories.as_builtins(), story_table(stories)
        histories = self._case.histories
        assert histories is not None, "a case is a book or histories"
        outcomes = judge_outcomes(histories.accounts, histories.outcomes, watch.alarms)
        return outcomes.as_builtins(), outcome_table(outcomes)

    def _addresses(self) -> list[str]:
        account_id = next(iter(self._case.names), "ACCOUNT")
        return [
            f"Metrics  {', '.join(f'http://127.0.0.1:{port}/metrics' for port in self._ports)}",
            "Try, in another terminal while this one stays open:",
            *([] if shutil.which("bellwether") else [f"    export PATH={Path(sys.executable).parent}:$PATH"]),
            f"    export BELLWETHER_KAFKA={self._settings.kafka} BELLWETHER_REDIS_URL={self._settings.redis_url}",
            "    bellwether alerts tail",
            f"    bellwether explain {account_id}",
            "    bellwether dead-letters list",
        ]

    async def _stay(self) -> None:
        """Stay up until Enter when a person is there, so that the addresses can be tried."""
        if not sys.stdin.isatty():
            return
        self._console.print("Everything stays up until you press Enter or Ctrl-C.")
        pressed = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), pressed.set)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is a way to say that one has seen enough
                await pressed.wait()
        finally:
            loop.remove_reader(sys.stdin.fileno())
