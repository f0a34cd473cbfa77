"""How long one call of a partition's state holds whoever waits, in a large book: applying, sweeping, encoding, another model.

`python -m streams.bench.holds --accounts 250000` fills one partition in this process, without Kafka, lets two midnights pass,
flushes after each and changes the model. CPU seconds of this thread, so that other processes do not show.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby, islice
from time import thread_time
from typing import Any

import orjson
import psutil

from state.partition import Partition
from state.warming import warm
from streams.bench.crowd import EVENTS_PER_ACCOUNT, SPAN_DAYS, Crowd
from streams.bench.stages import Entry
from streams.bench.workload import DAY_MS
from streams.kernel_cache import use_kernel_cache
from streams.scorer import load_compiled
from streams.settings import Settings

STRETCH = 500
ROWS = 2_000
"""About what a lease takes in 20 ms."""


@dataclass
class Held:
    """What calls of one kind took: how many, CPU seconds of the longest and of all."""

    calls: int = 0
    longest: float = 0.0
    total: float = 0.0


@dataclass
class Watch:
    """Measures calls by name."""

    held: dict[str, Held] = field(default_factory=lambda: defaultdict(Held))

    def call(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        """Return what `work` returns."""
        began = thread_time()
        result = work(*given)
        seconds, held = thread_time() - began, self.held[name]
        held.calls, held.longest, held.total = held.calls + 1, max(held.longest, seconds), held.total + seconds
        return result


def measure(settings: Settings, accounts: int) -> dict[str, Any]:
    """Return kind of call → calls, longest and all CPU seconds; flushes' sizes; bytes an account."""
    compiled = load_compiled(settings)
    for _ in warm(compiled):
        pass
    process, watch = psutil.Process(), Watch()
    before = process.memory_info().rss
    partition = Partition(0, 1, compiled)
    crowd = Crowd(accounts * EVENTS_PER_ACCOUNT, accounts, span_ms=int(SPAN_DAYS * DAY_MS))
    _fill(partition, crowd, watch)
    filled = process.memory_info().rss
    flushes = [_flush(partition, watch)]
    for day in (1, 2):
        value = orjson.dumps({"as_of_ms": crowd.end_ms + day * DAY_MS, "ends": {}})
        partition.apply("ticks", [Entry(day, crowd.end_ms, b"", value)])
        while not watch.call("sweep", partition.sweep, 5 * ROWS):
            pass
        flushes.append(_flush(partition, watch))
    change = partition.changing(compiled)
    while watch.call("model", next, change, True) is None:
        pass
    return {
        "accounts": accounts,
        "calls": {
            name: [held.calls, round(held.longest, 3), round(held.total, 2)] for name, held in watch.held.items()
        },
        "flush_records": flushes,
        "bytes_per_account": round((filled - before) / accounts),
        "bytes_per_account_in_arrays": round(partition.store.nbytes / accounts),
    }


def _fill(partition: Partition, crowd: Crowd, watch: Watch) -> None:
    offsets: dict[str, int] = defaultdict(int)
    lines = crowd.lines()
    while stretch := list(islice(lines, STRETCH)):
        runs = []
        for topic, run in groupby(stretch, key=lambda line: line.topic):
            records = []
            for line in run:
                records.append(Entry(offsets[topic], line.timestamp_ms, line.account_id.encode(), line.value))
                offsets[topic] += 1
            runs.append((topic, records))
        watch.call("apply", partition.apply_runs, runs)


def _flush(partition: Partition, watch: Watch) -> dict[str, int]:
    while not watch.call("encode", partition.encode, ROWS):
        pass
    flush = watch.call("take", partition.take_flush)
    assert flush is not None
    return {"changelog": len(flush.changelog), "scores": len(flush.scores), "alerts": len(flush.alerts)}


if __name__ == "__main__":
    use_kernel_cache(os.environ)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    print(orjson.dumps(measure(Settings.from_environ(os.environ), parser.parse_args().accounts)).decode())
    sys.stdout.flush()
