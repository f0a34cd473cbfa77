"""Restore and sweep, measured on what the worker left behind: its changelog. Run as a child process.

It restores every partition as a worker does, then sweeps all rows through one day of hourly ticks, and prints one JSON
object. Memory is what the restored rows added to this process, room for growth included.
"""

import asyncio
import os
import sys
from time import perf_counter
from typing import NamedTuple

import orjson
import psutil

from state.layout import INPUT_TOPICS
from state.partition import Partition
from state.warming import warm
from streams.access import kafka
from streams.failpoints import Failpoints
from streams.kernel_cache import use_kernel_cache
from streams.lease import SWEEP_ROWS, Lease
from streams.observer import Observer
from streams.recovery import Source, restore
from streams.scorer import load_compiled, new_partition
from streams.settings import Settings

HOUR_MS = 3_600_000
HOURS = 24


class TickRecord(NamedTuple):
    """A record of the ticks topic."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


async def measure(settings: Settings) -> dict[str, float]:
    """Return accounts, seconds of restore, bytes an account, rows swept a second, and the longest slice."""
    compiled = load_compiled(settings)
    for _ in warm(compiled):
        pass
    process = psutil.Process()
    before = process.memory_info().rss
    inputs = {topic: settings.topic(topic) for topic in INPUT_TOPICS}
    source = Source(kafka(settings), settings.app_id, settings.changelog, inputs)
    began = perf_counter()
    partitions = [new_partition(number, settings, compiled) for number in range(settings.partitions)]
    leases = [Lease(partition.number, partition, None, INPUT_TOPICS) for partition in partitions]
    await asyncio.gather(*(restore(lease, source, Observer(), Failpoints()) for lease in leases))
    seconds = perf_counter() - began
    accounts = sum(len(partition.store) for partition in partitions)
    resident = process.memory_info().rss - before
    swept, longest = sweep_a_day(partitions)
    return {
        "accounts": accounts,
        "records": sum(lease.loaded for lease in leases),
        "restore_seconds": seconds,
        "bytes_per_account": resident / accounts,
        "sweep_seconds": swept,
        "sweep_longest_slice_seconds": longest,
    }


def sweep_a_day(partitions: list[Partition]) -> tuple[float, float]:
    """Sweep through a day of hourly ticks; return all seconds, and those of the longest slice."""
    total = longest = 0.0
    for partition in partitions:
        first = partition.positions.get("ticks", 0)
        start = partition.clock_ms // HOUR_MS + 1
        for hour in range(HOURS):
            as_of_ms = (start + hour) * HOUR_MS
            value = orjson.dumps({"as_of_ms": as_of_ms, "ends": {}})
            began = perf_counter()
            partition.apply("ticks", [TickRecord(first + hour, as_of_ms, value)])
            is_done = False
            while not is_done:
                slice_began = perf_counter()
                is_done = partition.sweep(SWEEP_ROWS)
                longest = max(longest, perf_counter() - slice_began)
            total += perf_counter() - began
    return total, longest


if __name__ == "__main__":
    use_kernel_cache(os.environ)
    print(orjson.dumps(asyncio.run(measure(Settings.from_environ(os.environ)))).decode(), flush=True)
    sys.stdout.flush()
