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
from streams.bench.latency import measure_latency
from streams.bench.loading import preload
from streams.bench.report import figures
from streams.bench.throughput import run_through
from streams.bench.workload import Workload
from streams.halt import Refusal
from streams.settings import Settings

PARTITIONS = 4
STEADY_RATE = 20_000
"""Events per second of the latency phase, where the machine can carry it."""
STEADY_SHARE = 0.5
"""Of the maximum just measured: the latency of a queue that only grows tells nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    events, accounts
        Of the workload, ≥ 1.
    steady_seconds
        Length of the latency phase, > 4.
    """

    events: int = 600_000
    accounts: int = 20_000
    steady_seconds: int = 24


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
        with Stack(redis=False) as stack, tempfile.TemporaryDirectory(prefix="bellwether-bench-") as folder:
            own = replace(
                settings,
                kafka=stack.kafka,
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
    rate = min(STEADY_RATE, int(STEADY_SHARE * through.events_per_second))
    steady = Workload(
        events=rate * plan.steady_seconds,
        accounts=plan.accounts,
        start_ms=workload.end_ms,
        span_ms=plan.steady_seconds * 1000,
        skewed_ratio=0.0,
        seed=2,
    )
    latency = await measure_latency(settings, folder, steady, plan.events, tell)
    return figures(through, limit, stock, restored, stages, latency)
