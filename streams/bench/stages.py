"""Where the core's time goes: one partition's state fed in this process, without Kafka. Run as a child process.

It prints one JSON object: microseconds an event for decode, resolve (identity, duplicates, columns), kernel, sweep,
encode, and produce (records into Kafka's batches; what the client does to send them is not part of it).
"""

import cProfile
import os
import pstats
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import NamedTuple

import orjson
from aiokafka.producer.message_accumulator import BatchBuilder

from scoring.compile import Compiled
from state.flush import Flush
from state.murmur2 import partition_of
from state.partition import Partition
from state.warming import warm
from streams.bench.workload import Line, Workload
from streams.commit import batches
from streams.kernel_cache import use_kernel_cache
from streams.lease import STRETCH_RECORDS, SWEEP_ROWS
from streams.merge import Run
from streams.scorer import load_compiled, new_partition
from streams.settings import Settings

PARTITION = 0
FLUSH_RECORDS = 20_000
"""About what a second brings under backlog."""
HOUR_MS = 3_600_000
FUNCTIONS = {"decode": "decode_chunk", "kernel": "apply_events"}
"""Stage → the function it is spent in, once a chunk: the profiler costs nothing there."""


BATCH_BYTES = 1 << 20


class Entry(NamedTuple):
    """A record as a consumer delivers it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def stretches(workload: Workload, partitions: int) -> Iterator[list[Run]]:
    """Yield the workload's records of one partition as the inbox would hand them out."""
    places: dict[str, int] = {}
    offsets: dict[str, int] = {}
    runs: list[tuple[str, list[Entry]]] = []
    count = 0
    for line in workload.lines():
        place = places.get(line.account_id)
        if place is None:
            place = places[line.account_id] = partition_of(line.account_id, partitions)
        if place != PARTITION:
            continue
        if not runs or runs[-1][0] != line.topic:
            runs.append((line.topic, []))
        runs[-1][1].append(_entry(line, offsets))
        count += 1
        if count == STRETCH_RECORDS:
            yield [Run(topic, entries) for topic, entries in runs]
            runs, count = [], 0
    if runs:
        yield [Run(topic, entries) for topic, entries in runs]


def _entry(line: Line, offsets: dict[str, int]) -> Entry:
    offset = offsets.get(line.topic, 0)
    offsets[line.topic] = offset + 1
    return Entry(offset, line.timestamp_ms, line.account_id.encode(), line.value)


@dataclass
class Spent:
    """Seconds by what was called, and the events they went to."""

    apply: float = 0.0
    sweep: float = 0.0
    encode: float = 0.0
    produce: float = 0.0
    events: int = 0


def feed(partition: Partition, work: Sequence[list[Run]], watching: AbstractContextManager[object]) -> Spent:
    """Apply everything, with a tick and a flush about once a second's worth of records; only applying is `watching`."""
    spent = Spent()
    ticks = flushed_at = 0
    for runs in work:
        began = perf_counter()
        with watching:
            partition.apply_runs(runs)
        spent.apply += perf_counter() - began
        spent.events += sum(len(records) for _, records in runs)
        if spent.events - flushed_at < FLUSH_RECORDS and runs is not work[-1]:
            continue
        flushed_at = spent.events
        began = perf_counter()
        as_of_ms = runs[-1].records[-1].timestamp // HOUR_MS * HOUR_MS
        tick = orjson.dumps({"as_of_ms": as_of_ms, "ends": {}})
        partition.apply("ticks", [Entry(ticks, as_of_ms, b"", tick)])
        ticks += 1
        while not partition.sweep(SWEEP_ROWS):
            pass
        spent.sweep += perf_counter() - began
        began = perf_counter()
        flush = partition.take_flush()
        assert flush is not None
        spent.encode += perf_counter() - began
        began = perf_counter()
        pack(flush)
        spent.produce += perf_counter() - began
    return spent


def pack(flush: Flush) -> list[bytes]:
    """Write a flush's records into batches as the producer would; return those."""
    written = (flush.changelog, flush.alerts, flush.scores, flush.cohorts, [flush.journal])
    empty = partial(BatchBuilder, BATCH_BYTES, 0, is_transactional=1)
    return [bytes(batch._build()) for messages in written for batch in batches(messages, empty)]  # noqa: SLF001 - what the producer calls


def prepared(settings: Settings, workload: Workload, tell: Callable[[str], None]) -> tuple[Compiled, list[list[Run]]]:
    """Return the model with its kernel warm, and the workload of one partition, cut as a worker's inbox would."""
    compiled = load_compiled(settings)
    for step in warm(compiled):
        tell(f"warming: {step}")
    return compiled, list(stretches(workload, settings.partitions))


def measure(settings: Settings, workload: Workload) -> dict[str, float]:
    """Return stage → microseconds an event."""
    compiled, work = prepared(settings, workload, lambda _: None)
    profile = cProfile.Profile()
    spent = feed(new_partition(PARTITION, settings, compiled), work, profile)
    # (file, line, function) → (calls, primitive calls, own seconds, cumulative seconds, callers)
    cumulative = {function: figures[3] for (_, _, function), figures in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    seconds = {stage: cumulative.get(function, 0.0) for stage, function in FUNCTIONS.items()}
    seconds["resolve"] = spent.apply - sum(seconds.values())
    seconds |= {"sweep": spent.sweep, "encode": spent.encode, "produce": spent.produce}
    return {stage: each / spent.events * 1e6 for stage, each in seconds.items()}


if __name__ == "__main__":
    use_kernel_cache(os.environ)
    given = Workload(events=int(os.environ["BENCH_EVENTS"]), accounts=int(os.environ["BENCH_ACCOUNTS"]))
    print(orjson.dumps(measure(Settings.from_environ(os.environ), given)).decode(), flush=True)
