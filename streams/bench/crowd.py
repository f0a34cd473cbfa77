"""A book of many accounts: how long a worker restores it, and how fast it then is with events that meet all equally often.

The changelog is written here as a worker's flushes would write it::

    the book: two events an account    | an hour: as on any afternoon | days: a worker that was away
    |---------- 29 days and a half ----|-- no midnight in it ---------|-- each midnight moves all --|
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.error import URLError

import numpy as np
import orjson
import psutil
from numpy.typing import NDArray

from state.murmur2 import partition_of
from streams import topics
from streams.bench.loading import preload
from streams.bench.progress import Progress
from streams.bench.throughput import STALL_SECONDS, pid_of, pinned, scrape, until, worker
from streams.bench.workload import DAY_MS, TOPICS, Line, Workload
from streams.halt import Refusal
from streams.lease import SWEEP_ROWS
from streams.merge import TICKS
from streams.outbox import Outbox
from streams.scorer import load_compiled, new_partition
from streams.settings import Settings
from streams.supervise import Child, Supervisor

EVENTS_PER_ACCOUNT = 2
STRETCH = 2_000
TELL_EVERY = 200_000
SPAN_DAYS = 29.5
EVENTS_AFTERWARDS = 0.6
"""Events an account in each of the two stretches that follow; of a small book more, or a flush would hold them all."""
LEAST_AFTERWARDS = 300_000
HOUR_DAYS = 1 / 24
CATCH_UP_DAYS = 2.4
"""So that there is an event for an account every fourth day, as in W1."""
POLL_SECONDS = 0.25
READY_SECONDS = 900.0
RESTORING = "bellwether_partitions restoring"
SERVING = "bellwether_partitions serving"


@dataclass(frozen=True)
class Crowd(Workload):
    """A workload in which every account has equally many events, and the busiest no more than the others."""

    def _accounts(self, random: np.random.Generator) -> NDArray[np.int64]:
        rounds = -(-self.events // self.accounts)
        return np.concatenate([random.permutation(self.accounts) for _ in range(rounds)])[: self.events]


class _Writer:
    """Applies lines to states of its own and writes them, and at the end the changelogs, to Kafka."""

    def __init__(self, outbox: Outbox, settings: Settings) -> None:
        self._outbox = outbox
        self._settings = settings
        compiled = load_compiled(settings)
        self._folds = [new_partition(number, settings, compiled) for number in range(settings.partitions)]
        self._runs: list[list[tuple[str, list[_Record]]]] = [[] for _ in self._folds]
        self._waiting = [0 for _ in self._folds]
        self._ends: Counter[tuple[str, int]] = Counter()

    async def add(self, line: Line) -> None:
        """Write one line to its partition."""
        key = line.account_id.encode()
        number = partition_of(key, len(self._folds))
        record = _Record(self._ends[line.topic, number], line.timestamp_ms, key, line.value)
        self._ends[line.topic, number] += 1
        runs = self._runs[number]
        if runs and runs[-1][0] == line.topic:
            runs[-1][1].append(record)
        else:
            runs.append((line.topic, [record]))
        self._waiting[number] += 1
        if self._waiting[number] == STRETCH:
            self._apply(number)
        await self._outbox.add(self._settings.topic(line.topic), key, line.value, line.timestamp_ms, partition=number)

    async def end(self, at_ms: int, tell: Callable[[str], None]) -> None:
        """Let time pass up to an instant, milliseconds UTC, and write the changelogs, one partition after the other, each as one flush."""
        for number, fold in enumerate(self._folds):
            self._apply(number)
            value = orjson.dumps({"as_of_ms": at_ms, "ends": fold.positions})
            fold.apply(TICKS, [_Record(0, at_ms, b"", value)])
            while not fold.sweep(SWEEP_ROWS):
                pass
            await self._outbox.add(self._settings.topic(TICKS), None, value, at_ms, partition=number)
            flush = fold.take_flush()
            assert flush is not None
            tell(f"partition {number}: {len(fold.store):,} accounts, {len(flush.changelog):,} changelog records")
            for message in flush.changelog:
                await self._outbox.add(self._settings.changelog, message.key, message.value, None, partition=number)
        self._folds.clear()

    def _apply(self, number: int) -> None:
        self._folds[number].apply_runs(self._runs[number])
        self._runs[number], self._waiting[number] = [], 0


class _Record(NamedTuple):
    """An input record as Kafka will hold it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


async def measure_crowd(settings: Settings, accounts: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Write the changelog of a book and events to come, start a worker on it, and return what it took.

    Parameters
    ----------
    settings
        Of the worker; its Kafka has no topics yet.
    accounts
        How many there are, ≥ 1.
    tell
        Takes progress lines.

    Returns
    -------
    dict
        Figures by name. `assignments` is 1 when the group never missed the worker's heartbeats meanwhile; `hour_…` are
        of the events of one hour after the restore, `catch_up_…` of those of the days after it.
    """
    await topics.create(settings)
    crowd = Crowd(accounts * EVENTS_PER_ACCOUNT, accounts, span_ms=int(SPAN_DAYS * DAY_MS))
    async with Outbox(settings) as outbox:
        writer = _Writer(outbox, settings)
        for number, line in enumerate(crowd.lines(), start=1):
            await writer.add(line)
            if number % TELL_EVERY == 0:
                tell(f"filling the book: {number:,} of {crowd.events:,} events")
        await writer.end(crowd.end_ms, tell)
    events = max(int(EVENTS_AFTERWARDS * accounts), LEAST_AFTERWARDS)
    hour = Crowd(events, accounts, crowd.end_ms, int(HOUR_DAYS * DAY_MS), seed=2)
    days = Crowd(events, accounts, hour.end_ms, int(CATCH_UP_DAYS * DAY_MS), seed=3)
    for stretch in (hour, days):
        await preload(stretch, settings, tell)
    with tempfile.TemporaryDirectory(prefix="bellwether-crowd-") as folder:
        child = worker(settings, Path(folder), *pinned())
        async with Supervisor([child], tell) as supervisor:
            pid = await pid_of(supervisor, child)
            restored = await _restored(settings, child, pid, tell)
            if supervisor.restarts:
                raise Refusal(f"worker: expected it to be restored at its first start{child.last_words()}")
            async with Progress(settings, TOPICS, pid) as progress:
                return {
                    **restored,
                    **await _carried("hour", progress, child, crowd.events, events, tell),
                    **await _carried("catch_up", progress, child, crowd.events + events, events, tell),
                }


async def _restored(settings: Settings, child: Child, pid: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Return what the restore took."""
    process, began = psutil.Process(pid), monotonic()
    first = spent = 0.0
    told = began
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now, found = monotonic(), await _sample(settings)
        if not first and (found.get(RESTORING) or found.get(SERVING)):
            first, spent = now, sum(process.cpu_times()[:2])
        if found.get(SERVING) == settings.partitions:
            break
        if now - began > READY_SECONDS or not process.is_running():
            raise Refusal(f"worker: expected it to be restored{child.last_words()}")
        if now - told > 2:
            told = now
            tell(f"restoring: {found.get('bellwether_restored_records', 0):,.0f} changelog records read")
    cpu_seconds = sum(process.cpu_times()[:2]) - spent
    known = sum(number for name, number in found.items() if name.startswith("bellwether_accounts "))
    return {
        "accounts": known,
        "changelog_records": found["bellwether_restored_records"],
        "restore_seconds": round(now - first, 1),
        "restore_cpu_seconds": round(cpu_seconds, 1),
        "accounts_per_second": round(known / (now - first)),
        "cpu_microseconds_per_account": round(cpu_seconds / known * 1e6, 1),
        "start_to_serving_seconds": round(now - began, 1),
        "resident_bytes": process.memory_info().rss,
        "assignments": found["bellwether_rebalances_total"],
    }


async def _carried(
    name: str, progress: Progress, child: Child, before: int, events: int, tell: Callable[[str], None]
) -> dict[str, float]:
    """Return how fast the events after those `before` are committed, from now on."""
    first = await progress.sample()
    last = await until(progress, child, before + events, STALL_SECONDS, tell)
    done = last.committed - max(first.committed, before)
    return {
        f"{name}_events": events,
        f"{name}_events_per_second": round(done / (last.at - first.at)),
        f"{name}_cpu_seconds_per_million": round((last.cpu_seconds - first.cpu_seconds) / done * 1e6, 2),
        f"{name}_resident_bytes": last.resident_bytes,
    }


async def _sample(settings: Settings) -> Mapping[str, float]:
    try:
        return await asyncio.to_thread(scrape, settings.metrics_port)
    except (URLError, OSError):  # not yet listening
        return {}
