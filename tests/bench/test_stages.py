"""A stage of scoring by itself, each in a benchmark: a regression has an address. `make microbench` measures.

In the suite each runs once, to see that it does its work. Times are of a stretch of `STRETCH_RECORDS` events (decode,
intake, duplicates, kernel), of a flush after `FLUSH_RECORDS` (rows, snapshots, alerts, packing), or of all rows (sweep,
load); what a stage needs is made ready outside the measured time.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from scoring.compile import Compiled
from state.apply import APPLIED, apply_events
from state.decode import decode_chunk
from state.flush import Flush
from state.intake import Batch, Part
from state.partition import Partition
from streams.bench.stages import FLUSH_RECORDS, PARTITION, Entry, pack, prepared
from streams.bench.workload import Workload
from streams.event_order import in_order
from streams.lease import STRETCH_RECORDS, SWEEP_ROWS
from streams.merge import Run
from streams.replay import TOPICS, Replay, files_of
from streams.scorer import new_partition
from streams.settings import Settings

ROUNDS = 8
DAY_MS = 86_400_000
SETTINGS = Settings(partitions=1)
WARM_STRETCHES = 40
"""Applied before anything is measured: rows with a past cost more than new ones."""
Prepared = tuple[Compiled, list[list[Run]]]


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> Prepared:
    """Return the model and the stretches of a partition; few where nothing is measured."""
    size = Workload(300_000, 10_000) if request.config.option.benchmark_enable else Workload(60_000, 4_000)
    return prepared(SETTINGS, size, lambda _: None)


class Fed:
    """A partition with a past, and what comes next for it."""

    def __init__(self, made: Prepared) -> None:
        self.compiled, work = made
        self.partition = new_partition(PARTITION, SETTINGS, self.compiled)
        self._coming: Iterator[list[Run]] = iter(work)
        self._ticks = 0
        for _ in range(min(WARM_STRETCHES, len(work) // 3)):
            self.partition.apply_runs(self.runs())
        self.end_day()
        self.partition.take_flush()

    def runs(self) -> list[Run]:
        """Return the next stretch."""
        self.last = next(self._coming)
        return self.last

    def parts(self) -> list[Part]:
        """Return the next stretch as intake takes it, topics whole."""
        runs, start = self.runs(), 0
        records: dict[str, list[Any]] = {}
        places: dict[str, list[int]] = {}
        for topic, run in runs:
            records.setdefault(topic, []).extend(run)
            places.setdefault(topic, []).extend(range(start, start + len(run)))
            start += len(run)
        return [Part(topic, topic, each, np.array(places[topic])) for topic, each in records.items()]

    def batch(self) -> Batch:
        """Return the next stretch, decoded and resolved, with room for its rows and items."""
        batch = self.partition.intake.batch(self.parts())
        self.partition.store.reserve(0, batch.events.row.size * len(self.compiled.model.signals))
        return batch

    def tick(self, days: int) -> None:
        """Move the clock; the sweep waits."""
        as_of_ms = self.last[-1].records[-1].timestamp // DAY_MS * DAY_MS + days * DAY_MS
        value = orjson.dumps({"as_of_ms": as_of_ms, "ends": {}})
        self.partition.apply("ticks", [Entry(self._ticks, as_of_ms, b"", value)])
        self._ticks += 1

    def end_day(self, days: int = 0) -> None:
        """Move the clock and sweep."""
        self.tick(days)
        self.sweep()

    def sweep(self) -> None:
        """Let the time up to the clock pass for every row."""
        while not self.partition.sweep(SWEEP_ROWS):
            pass

    def changed(self) -> None:
        """Flush what there is and apply about as much as the next flush takes."""
        self.partition.take_flush()
        applied = 0
        while applied < FLUSH_RECORDS:
            runs = next(self._coming, None)
            if runs is None:
                break
            self.partition.apply_runs(runs)
            applied += sum(len(records) for _, records in runs)


@pytest.fixture
def fed(made: Prepared) -> Fed:
    return Fed(made)


def test_decode(benchmark: BenchmarkFixture, made: Prepared) -> None:
    """A stretch of one topic's JSON becomes columns; nothing is refused."""
    records = [record for runs in made[1][:4] for topic, run in runs if topic == "usage" for record in run]
    chunk = benchmark(decode_chunk, "usage", records[:STRETCH_RECORDS])
    assert len(chunk.account) == STRETCH_RECORDS
    assert not chunk.rejections


def test_resolve(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """Decoding included (see `test_decode`): a stretch of several topics in one order, with the rows it goes to."""
    batch = benchmark.pedantic(fed.partition.intake.batch, setup=lambda: ((fed.parts(),), {}), rounds=ROUNDS)
    assert batch.events.row.size == sum(len(run) for _, run in fed.last)


def test_duplicates(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """Every id of a stretch is looked up and remembered; none was seen before."""

    def ready() -> tuple[tuple[Any, ...], dict[str, Any]]:
        batch = fed.batch()
        return (batch.id_hash, batch.timestamp_ms, batch.events.at), {}

    assert not benchmark.pedantic(fed.partition.duplicates.check, setup=ready, rounds=ROUNDS).any()


def test_kernel(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """A stretch's columns change rows and score them."""
    partition = fed.partition

    def ready() -> tuple[tuple[Any, ...], dict[str, Any]]:
        events = fed.batch().events
        partition._outflow.take_moves()
        return (events, np.full(events.row.size, APPLIED, np.uint8)), {}

    def apply(events: Any, outcome: Any) -> int:
        done = 0
        while done < events.row.size:
            done = apply_events(
                partition.plan, partition.store.handle, partition.work, events, outcome, done, partition.clock_ms
            )
            partition._outflow.take_moves()
        return int((outcome == APPLIED).sum())

    assert benchmark.pedantic(apply, setup=ready, rounds=ROUNDS) > 0


def test_sweep(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """A midnight passes for every row."""
    days = iter(range(1, ROUNDS + 2))
    benchmark.pedantic(fed.sweep, setup=lambda: fed.tick(next(days)), rounds=ROUNDS)
    assert fed.partition.sweep(1)


def test_rows(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """Changed rows become changelog records."""
    partition = fed.partition

    def rows() -> list[Any]:
        return partition.row_records.encode(partition.row_records.changed(), partition.clock_ms)

    assert len(benchmark.pedantic(rows, setup=fed.changed, rounds=ROUNDS)) > 0


def test_snapshots(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """Changed scores become records with their reasons."""
    partition = fed.partition

    def news() -> list[Any]:
        _, told = partition._outflow.news()
        return partition._outflow.snapshots(told, partition.clock_ms, partition.sequence)

    assert len(benchmark.pedantic(news, setup=fed.changed, rounds=ROUNDS)) > 0


def test_alerts(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """Moves become alerts."""
    partition = fed.partition

    def alerts() -> list[Any]:
        return partition._outflow.alerts(partition.sequence)

    assert len(benchmark.pedantic(alerts, setup=fed.changed, rounds=ROUNDS)) > 0


def test_packing(benchmark: BenchmarkFixture, fed: Fed) -> None:
    """A flush's records become Kafka's batches."""

    def ready() -> tuple[tuple[Flush], dict[str, Any]]:
        fed.changed()
        flush = fed.partition.take_flush()
        assert flush is not None
        return (flush,), {}

    assert sum(map(len, benchmark.pedantic(pack, setup=ready, rounds=ROUNDS))) > FLUSH_RECORDS


def test_load(benchmark: BenchmarkFixture, made: Prepared) -> None:
    """A partition comes back from its changelog, brought to its clock."""
    fed = Fed(made)
    first = new_partition(PARTITION, SETTINGS, fed.compiled)
    for runs in made[1]:
        first.apply_runs(runs)
    flush = first.take_flush()
    assert flush is not None
    records = flush.changelog

    def load(partition: Partition) -> Partition:
        partition.load(records)
        partition.finish_load()
        return partition

    def ready() -> tuple[tuple[Partition], dict[str, Any]]:
        return (new_partition(PARTITION, SETTINGS, fed.compiled),), {}

    assert len(benchmark.pedantic(load, setup=ready, rounds=ROUNDS).store) == len(first.store)


@pytest.mark.parametrize(("accounts", "days"), [(700, 54), (700, 135), (700, 271), (5_000, 120)])
def test_replay(
    benchmark: BenchmarkFixture,
    tmp_path: Path,
    made: Prepared,
    request: pytest.FixtureRequest,
    accounts: int,
    days: int,
) -> None:
    """A history with five events a day for each account, two, one or a third passes from its files to the end, in one process."""
    share = 1 if request.config.option.benchmark_enable else 25
    events = 190_000 // share
    history = Workload(events, accounts // share, span_ms=days * DAY_MS, skewed_ratio=0.0)
    for topic, lines in groupby(sorted(history.lines(), key=lambda line: line.topic), lambda line: line.topic):
        (tmp_path / f"{topic}.jsonl").write_bytes(b"".join(line.value + b"\n" for line in lines))

    def replayed() -> int:
        running = Replay(made[0])
        running.run(in_order(files_of(tmp_path), TOPICS))
        return running.counts()["applied"]

    assert benchmark.pedantic(replayed, rounds=3, warmup_rounds=1) == events
