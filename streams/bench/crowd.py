"""How long a worker takes to restore many accounts: one worker writes their changelog, the next one reads it."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from urllib.error import URLError

import numpy as np
import psutil
from numpy.typing import NDArray

from streams import topics
from streams.bench.loading import preload
from streams.bench.throughput import pid_of, run_through, scrape, worker
from streams.bench.workload import DAY_MS, Workload
from streams.halt import Refusal
from streams.settings import Settings
from streams.supervise import Supervisor

EVENTS_PER_ACCOUNT = 3
SPAN_DAYS = 30
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


async def measure_crowd(settings: Settings, accounts: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Fill the book of one worker, start another on its changelog, and return what its restore took.

    Parameters
    ----------
    settings
        Of both workers; their Kafka has no topics yet.
    accounts
        How many there are, ≥ 1.
    tell
        Takes progress lines.

    Returns
    -------
    dict
        Figures by name. `assignments` is 1 when the group never missed the worker's heartbeats meanwhile.
    """
    await topics.create(settings)
    crowd = Crowd(accounts * EVENTS_PER_ACCOUNT, accounts, span_ms=SPAN_DAYS * DAY_MS)
    await preload(crowd, settings, tell)
    with tempfile.TemporaryDirectory(prefix="bellwether-crowd-") as folder:
        tell("a worker fills its book")
        through = await run_through(settings, Path(folder), crowd.events, tell)
        tell(f"book filled at {through.events_per_second:,.0f} events/s; another worker restores it")
        return await _restart(replace(settings, log_level="INFO"), Path(folder), tell)


async def _restart(settings: Settings, folder: Path, tell: Callable[[str], None]) -> dict[str, float]:
    child, began = worker(settings, folder), monotonic()
    async with Supervisor([child], tell) as supervisor:
        process = psutil.Process(await pid_of(supervisor, child))
        first = spent = 0.0
        told = began
        while True:
            await asyncio.sleep(POLL_SECONDS)
            now, found = monotonic(), await _sample(settings)
            if not first and (found.get(RESTORING) or found.get(SERVING)):
                first, spent = now, sum(process.cpu_times()[:2])
            if found.get(SERVING) == settings.partitions:
                break
            if now - began > READY_SECONDS or supervisor.restarts:
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


async def _sample(settings: Settings) -> Mapping[str, float]:
    try:
        return await asyncio.to_thread(scrape, settings.metrics_port)
    except (URLError, OSError):  # not yet listening
        return {}
