"""The whole path on the real embedded Kafka and Redis: a simulated book through worker processes that are killed."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import redis.asyncio

from streams.demo.book import Book
from streams.outbox import Outbox
from streams.scorer import load_compiled
from streams.settings import Settings
from tests.faults.verify import read_logs, recount
from tests.streams.projecting import expected, projecting, reaches
from tests.streams.recount import is_consumed, read_all
from tests.streams.workers import REAL_WORKER, Workers

DAYS_FED_BEFORE_KILLS = 40


@pytest.mark.timeout(900)
async def test_killed_workers_leave_the_state_alerts_and_redis_of_the_fold(
    provisioned: Settings, tmp_path: Path
) -> None:
    """Rows, alerts and snapshots equal the fold of the journal byte for byte, and Redis the topics, after three SIGKILLs."""
    settings = replace(provisioned, clock="log", commit_max_ms=200)
    book = Book(7, accounts=40, days=110)
    days = iter(list(book.by_day()))
    sent: Counter[str] = Counter()
    with Workers(settings, tmp_path, count=2, command=REAL_WORKER) as workers:
        await feed(settings, islice(days, DAYS_FED_BEFORE_KILLS), sent)
        for victim in (0, 1, 0):
            await until(lambda victim=victim: owns(workers, victim), workers)
            assert not await is_consumed(settings, sent) or await feed(settings, islice(days, 15), sent)
            workers.signal(victim, signal.SIGKILL)
            await feed(settings, islice(days, 8), sent)
        await feed(settings, days, sent)
        await until(lambda: is_consumed(settings, sent), workers)
        await until(lambda: is_redis_level(settings), workers)
        for process in workers.processes:
            process.terminate()
        ends = [await asyncio.to_thread(process.wait, 30) for process in workers.processes]
    assert ends == [0, 0]
    assert workers.exits.count(-signal.SIGKILL) == 3
    compiled = load_compiled(settings)
    check = recount(settings, compiled, await read_logs(settings), compacted=["scores"])
    assert sum(len(fold.store) for fold in check.folds.values()) == 40
    assert check.alerts > 0
    async with projecting(settings):  # a worker that stops commits what it has applied, and its projector ends with it
        await reaches(settings, await expected(settings))


async def feed(settings: Settings, days, sent: Counter[str]) -> bool:
    """Send days of the book; True so that it can stand in an assertion of remaining work."""
    async with Outbox(settings) as outbox:
        for name in ("accounts", "usage", "billing", "support", "engagement", "outcomes"):
            await outbox.open(settings.topic(name))
        for day in days:
            for event in day:
                key = event.account_id.encode()
                await outbox.add(settings.topic(event.topic), key, event.value, timestamp_ms=event.arrives_at_ms)
                sent[event.topic] += 1
    return True


def owns(workers: Workers, index: int) -> bool:
    """Return whether a worker owns partitions, starting again those that ended."""
    workers.revive()
    return workers.owns_partitions(index)


async def until(condition, workers: Workers, seconds: float = 300) -> None:
    """Wait for a condition, plain or awaitable; workers that end are started again meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        workers.revive()
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, workers.log(0).read_text()[-2000:] + workers.log(1).read_text()[-2000:]
        await asyncio.sleep(0.1)


async def is_redis_level(settings: Settings) -> bool:
    """Return whether the read model holds everything that was committed."""
    client = redis.asyncio.from_url(settings.redis_url)
    try:
        for topic in ("scores", "alerts"):
            for partition, records in (await read_all(settings, settings.topic(topic))).items():
                applied = await client.hget(f"bw:{{{partition}}}:applied", topic)
                if records and int(applied or 0) <= records[-1].offset:
                    return False
        return True
    finally:
        await client.aclose()
