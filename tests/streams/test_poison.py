"""A topic full of bad records: the worker stops instead of draining it into the dead letters, unless told to."""

import asyncio
from dataclasses import replace
from pathlib import Path

from streams.outbox import Outbox
from streams.settings import Settings
from tests.streams.recount import is_consumed, read_all
from tests.streams.test_end_to_end import until
from tests.streams.workers import REAL_WORKER, Workers

BAD = b'{"id":"1","account_id":"a","occurred_at":"yesterday","event":"login"}'
GOOD = b'{"id":"%d","account_id":"a","occurred_at":"2026-03-01T00:00:00Z","event":"login"}'


async def produce(settings: Settings, values: list[bytes]) -> None:
    """Send usage records of one account."""
    async with Outbox(settings) as outbox:
        await outbox.open(settings.topic("usage"))
        for value in values:
            await outbox.add(settings.topic("usage"), b"a", value, timestamp_ms=1_772_323_200_000)


async def test_too_many_bad_records_stop_the_worker(provisioned: Settings, tmp_path: Path) -> None:
    """600 bad among 1 000 records end it with code 3 before the end; with a higher limit all pass, each once."""
    settings = replace(provisioned, clock="log")
    await produce(settings, [BAD if k % 5 < 3 else GOOD % k for k in range(1_000)])
    with Workers(settings, tmp_path, command=REAL_WORKER) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 120) == 3
        log = workers.log(0).read_text()
    assert "INVALID_TIME at $.occurred_at" in log
    assert "BELLWETHER_POISON_LIMIT" in log
    assert not await is_consumed(settings, {"usage": 1_000})
    with Workers(replace(settings, poison_limit=2_000), tmp_path, command=REAL_WORKER) as workers:
        await until(lambda: is_consumed(settings, {"usage": 1_000}), workers)
    letters = [
        letter for found in (await read_all(settings, settings.topic("dead-letters"))).values() for letter in found
    ]
    assert [letter.value for letter in letters] == [BAD] * 600
