"""The bench from beginning to end: stack, topics, preload, bound, stock Faust, worker, restore, stages, latency."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local import Stack, StackError
from deploy.local.processes import free_ports
from streams import topics
from streams.bench import children
from streams.bench.crowd import measure_crowd
from streams.bench.latency import Feed, measure_latency
from streams.bench.loading import preload
from streams.bench.report import figures
from streams.bench.start import help_seconds
from streams.bench.throughput import run_through
from streams.bench.workload import Workload
from streams.halt import Refusal
from streams.settings import Settings

PARTITIONS = 4
STEADY_RATE = 20_000
"""Events per second of the latency phase, where the machine can carry it."""
STEADY_SHARE = 0.5
"""Of the maximum just measured: the latency of a queue that only grows tells nothing."""
STEADY_WIDTH = 5
"""Accounts of the latency phases for each one of the workload: 100 000."""
BUSY_SHARE = 0.8
"""Of the maximum, in the second latency phase."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    events, accounts
        Of the workload, ≥ 1.
    warm_seconds
        Feed before each latency is taken, > 0: at 20 000 events/s nearly all of 100 000 accounts are met in it, and a
        broker as young as this one has compiled itself.
    steady_seconds
        Feed during which it is, > 0.
    """

    events: int = 600_000
    accounts: int = 20_000
    warm_seconds: int = 14
    steady_seconds: int = 20


def bench(plan: Plan, settings: Settings, tell: Callable[[str], None]) -> dict[str, object]:
    """Measure on a stack of its own, which is gone afterwards; return the figures.

    Raises
    ------
    Refusal
        Something did not start, or a worker ended.
    """
    with own_stack(settings, tell) as (own, folder):
        return asyncio.run(_measure(plan, own, folder, tell))


def bench_restore(accounts: int, settings: Settings, tell: Callable[[str], None]) -> dict[str, float]:
    """Measure on a stack of its own how long a worker restores so many accounts; return the figures.

    Raises
    ------
    Refusal
        Something did not start, or a worker ended.
    """
    with own_stack(settings, tell) as (own, _):
        return asyncio.run(measure_crowd(own, accounts, tell))


@contextlib.contextmanager
def own_stack(settings: Settings, tell: Callable[[str], None]) -> Iterator[tuple[Settings, Path]]:
    """Yield settings of a stack that is gone afterwards, its kernel warm, and a folder."""
    tell("warming the kernel (a minute when its sources changed)")
    warm = [sys.executable, "-m", "streams.cli", "warm"]
    warmed = subprocess.run(warm, env={**os.environ, **settings.environ()}, capture_output=True, text=True, check=False)
    if warmed.returncode:
        raise Refusal(f"warm: {warmed.stderr.strip()[-500:]}")
    tell("starting Kafka")
    try:
        with Stack() as stack, tempfile.TemporaryDirectory(prefix="bellwether-bench-") as folder:
            own = replace(
                settings,
                kafka=stack.kafka,
                redis_url=str(stack.redis_url),
                app_id="bench",
                topic_prefix="",
                clock="log",
                partitions=PARTITIONS,
                replication=1,
                metrics_port=free_ports(1)[0],
                log_level="WARNING",
            )
            yield own, Path(folder)
    except StackError as error:
        raise Refusal(str(error)) from error


async def _measure(plan: Plan, settings: Settings, folder: Path, tell: Callable[[str], None]) -> dict[str, object]:
    await topics.create(settings)
    workload = Workload(plan.events, plan.accounts)
    await preload(workload, settings, tell)
    tell("the bound: aiokafka, orjson, one dict")
    limit = await children.measure_limit(settings)
    tell("stock Faust: one agent, one table")
    stock = await children.measure_stock(settings, workload)
    tell("the worker at full speed")
    through = await run_through(settings, folder, plan.events, tell)
    tell("restore and sweep")
    restored = await children.measure_restore(settings)
    tell("stages")
    stages = await children.measure_stages(settings, workload)
    top = through.events_per_second
    steady = _feed(min(STEADY_RATE, int(STEADY_SHARE * top)), plan, plan.events, workload.end_ms)
    latency = await measure_latency(settings, folder, steady, tell)
    before, end_ms = plan.events + steady.workload.events, steady.workload.end_ms
    at_80 = await measure_latency(settings, folder, _feed(int(BUSY_SHARE * top), plan, before, end_ms), tell)
    return figures(through, limit, stock, restored, stages, latency, at_80, help_seconds())


def _feed(rate: int, plan: Plan, before: int, start_ms: int) -> Feed:
    """Return events at a steady rate over many accounts, from the time at which the ones before end."""
    seconds = plan.warm_seconds + plan.steady_seconds
    accounts = plan.accounts * STEADY_WIDTH
    events = Workload(rate * seconds, accounts, start_ms, seconds * 1000, skewed_ratio=0.0, seed=1 + before)
    return Feed(events, plan.warm_seconds, before)
