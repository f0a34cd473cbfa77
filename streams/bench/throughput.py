"""Full speed: one real worker process over preloaded topics, from its first commit to the last."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

from streams.affinity import allowed_cpus
from streams.bench.progress import Progress, Sample
from streams.bench.start import ready_seconds
from streams.bench.workload import TOPICS
from streams.halt import Refusal
from streams.settings import Settings
from streams.supervise import Child, Supervisor

POLL_SECONDS = 0.1
START_SECONDS = 120.0
STALL_SECONDS = 60.0
TELL_SECONDS = 2.0
SCRAPE_SECONDS = 30.0


@dataclass(frozen=True)
class Throughput:
    """What full speed came to.

    Parameters
    ----------
    ready_seconds, start_seconds
        From the process's start to when it says that it is ready, and to its first commit.
    first, last
        The worker at its first commit and when everything was committed: rates are taken between the two.
    counters
        Sample of the worker's metrics at the end, labels in its name → number.
    """

    ready_seconds: float
    start_seconds: float
    first: Sample
    last: Sample
    counters: Mapping[str, float]

    @property
    def events(self) -> int:
        """Events applied and committed between the two samples."""
        return self.last.committed - self.first.committed

    @property
    def events_per_second(self) -> float:
        """Events per second of wall time."""
        return self.events / (self.last.at - self.first.at)

    @property
    def cpu_seconds_per_million(self) -> float:
        """CPU seconds of the whole process, all threads, per million events."""
        return (self.last.cpu_seconds - self.first.cpu_seconds) / self.events * 1e6

    @property
    def fetch_seconds_per_million(self) -> float:
        """CPU seconds of all threads but the first per million events: the consumer's thread fetches and parses."""
        return (self.last.other_seconds - self.first.other_seconds) / self.events * 1e6


def worker(settings: Settings, folder: Path, *options: str) -> Child:
    """Return the worker as a supervised child."""
    command = [sys.executable, "-m", "streams.cli", "worker", "--roles", "score", *options]
    return Child("worker", command, {**os.environ, **settings.environ()}, folder / "worker.log")


def pinned() -> list[str]:
    """Return the options that keep a worker on one CPU, where there are two."""
    cpus = allowed_cpus()
    return ["--cpu", str(cpus[0])] if len(cpus) > 1 else []


async def pid_of(supervisor: Supervisor, child: Child) -> int:
    """Return the child's process id as soon as it runs."""
    deadline = monotonic() + START_SECONDS
    while (pid := supervisor.pid(child.name)) is None:
        if monotonic() > deadline:
            raise Refusal(f"{child.name}: did not start within {START_SECONDS:.0f} s{child.last_words()}")
        await asyncio.sleep(POLL_SECONDS / 10)
    return pid


async def run_through(settings: Settings, folder: Path, events: int, tell: Callable[[str], None]) -> Throughput:
    """Start a worker, on one CPU where there are two, and follow it until `events` are committed, then stop it.

    Raises
    ------
    Refusal
        The worker ended, or stopped making progress.
    """
    child = worker(settings, folder, *pinned())
    began = monotonic()
    async with Supervisor([child], tell) as supervisor:
        pid = await pid_of(supervisor, child)
        async with Progress(settings, TOPICS, pid) as progress:
            waiting = asyncio.create_task(ready_seconds(settings.metrics_port, began))
            try:
                first = await until(progress, child, 1, START_SECONDS, tell)
                start_seconds = first.at - began
                last = await until(progress, child, events, STALL_SECONDS, tell)
                counters = await asyncio.to_thread(scrape, settings.metrics_port)
            finally:
                waiting.cancel()
    return Throughput(waiting.result(), start_seconds, first, last, counters)


def scrape(port: int) -> dict[str, float]:
    """Return the samples of a worker's metrics: name and label values, joined by spaces → number."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SCRAPE_SECONDS) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


async def until(
    progress: Progress, child: Child, committed: int, patience: float, tell: Callable[[str], None]
) -> Sample:
    """Return the first sample with so many events committed.

    Raises
    ------
    Refusal
        The worker ended, or stood still for `patience` seconds.
    """
    moved = told = monotonic()
    seen = -1
    while True:
        try:
            sample = await progress.sample()
        except psutil.NoSuchProcess as error:
            raise _refusal(child, committed, "ended") from error
        if sample.committed >= committed:
            return sample
        if sample.committed != seen:
            seen, moved = sample.committed, sample.at
        if sample.at - moved > patience:
            raise _refusal(child, committed, "stood still")
        if sample.at - told > TELL_SECONDS:
            told = sample.at
            tell(f"worker: {sample.committed:,} events committed")
        await asyncio.sleep(POLL_SECONDS)


def _refusal(child: Child, committed: int, fate: str) -> Refusal:
    return Refusal(f"worker: expected it to commit {committed} events, it {fate}{child.last_words()}")
