"""How adding workers scales: the same preloaded topics through one worker process, then through two, and so on.

``python -m streams.bench.scaling --workers 1,2`` prints a line for each. Every run is an application of its own that
begins at the topics' beginning. A rate is taken from when every worker serves partitions and has committed until all
is committed, so the slowest partition counts: in W1 one of four holds two fifths of the events.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

import psutil

from deploy.local import Stack
from deploy.local.processes import free_ports
from streams import topics
from streams.bench.loading import preload
from streams.bench.progress import Progress
from streams.bench.throughput import POLL_SECONDS, pid_of, scrape, worker
from streams.bench.workload import TOPICS, Workload
from streams.cli.output import note, quiet_client, result
from streams.halt import Refusal
from streams.settings import Settings
from streams.supervise import Supervisor

PARTITIONS: Final = 4
PATIENCE_SECONDS: Final = 900.0
SERVING: Final = "bellwether_partitions serving"


@dataclass(frozen=True)
class Run:
    """What one number of workers came to.

    Attributes
    ----------
    workers
        How many.
    events
        Committed while all of them served.
    seconds
        How long that took.
    cpu_seconds
        Of all workers, all threads, meanwhile.
    partitions
        How many each of them served.
    """

    workers: int
    events: int
    seconds: float
    cpu_seconds: float
    partitions: Sequence[int]

    def figures(self) -> dict[str, object]:
        """Return what is printed of it."""
        return {
            "workers": self.workers,
            "events_per_second": round(self.events / self.seconds),
            "cpu_seconds_per_million": round(self.cpu_seconds / self.events * 1e6, 1),
            "events_measured": self.events,
            "partitions": list(self.partitions),
        }


async def run_through(settings: Settings, folder: Path, count: int, events: int, tell: Callable[[str], None]) -> Run:
    """Have so many workers read everything.

    Raises
    ------
    Refusal
        They did not come to the end in time.
    """
    ports = free_ports(count)
    children = [replace(worker(replace(settings, metrics_port=port), folder), name=f"worker-{port}") for port in ports]
    deadline = monotonic() + PATIENCE_SECONDS
    async with Supervisor(children, tell) as supervisor:
        processes = [psutil.Process(await pid_of(supervisor, child)) for child in children]
        async with Progress(settings, TOPICS, processes[0].pid) as progress:
            try:
                while not all(served := [await _served(port) for port in ports]) or sum(served) < PARTITIONS:
                    await _pause(deadline)
                first, first_cpu = await progress.sample(), _cpu_seconds(processes)
                last = first
                while last.committed < events:
                    await _pause(deadline)
                    last = await progress.sample()
                spent = _cpu_seconds(processes) - first_cpu
            except psutil.NoSuchProcess as error:
                raise Refusal(f"workers: one ended before all was committed{children[0].last_words()}") from error
    return Run(count, last.committed - first.committed, last.at - first.at, spent, served)


async def _pause(deadline: float) -> None:
    if monotonic() > deadline:
        raise Refusal(f"workers: expected them to be done within {PATIENCE_SECONDS:.0f} s")
    await asyncio.sleep(POLL_SECONDS)


async def _served(port: int) -> int:
    """Return how many partitions a worker serves; none while it starts."""
    try:
        counters: Mapping[str, float] = await asyncio.to_thread(scrape, port)
    except OSError:
        return 0
    return int(counters.get(SERVING, 0))


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


async def measure(stack: Stack, counts: Sequence[int], workload: Workload, folder: Path) -> list[Run]:
    """Return a run for each number of workers, over the same topics."""
    base = Settings(kafka=stack.kafka, clock="log", partitions=PARTITIONS, log_level="WARNING")
    await topics.create(base)
    await preload(workload, base, note)
    runs = []
    for number, count in enumerate(counts):
        settings = replace(base, app_id=f"scaling-{number}")
        await topics.create(settings)
        runs.append(await run_through(settings, folder, count, workload.events, note))
        note(str(runs[-1].figures()))
    return runs


def main() -> int:
    """Measure on a stack of its own and print the figures."""
    parser = argparse.ArgumentParser(description="Measures how adding workers scales.")
    parser.add_argument("--workers", default="1,2", help="numbers of workers, separated by commas")
    parser.add_argument("--events", type=int, default=1_500_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    quiet_client()
    counts = [int(part) for part in options.workers.split(",")]
    workload = Workload(options.events, options.accounts)
    with Stack(redis=False) as stack, tempfile.TemporaryDirectory(prefix="bellwether-scaling-") as folder:
        runs = asyncio.run(measure(stack, counts, workload, Path(folder)))
    lines = [
        f"{run.workers} workers: {run.events / run.seconds:,.0f} events/s,"
        f" {run.cpu_seconds / run.events * 1e6:.1f} CPU s per million, partitions {list(run.partitions)}"
        for run in runs
    ]
    result({"runs": [run.figures() for run in runs]}, as_json=options.json, sentence="\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
