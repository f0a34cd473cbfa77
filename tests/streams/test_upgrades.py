"""A worker meets rows that another version wrote."""

import asyncio
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer

from state.layout import LAYOUT_VERSION
from streams.halt import UNSAFE
from streams.scorer import load_compiled
from streams.settings import Settings
from tests.streams.workers import REAL_WORKER, Workers


async def write(settings: Settings, layout: int) -> None:
    """Write a changelog of partition 0 whose only row makes no sense under the present layout."""
    meta = {
        "layout": layout,
        "model": load_compiled(settings).model.fingerprint,
        "sequence": 1,
        "positions": {},
        "clock_ms": 0,
        "duplicates": [],
        "held": None,
    }
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for key, value in ((b"hacme", b"\x80" * 4_096), (b"m", msgspec.json.encode(meta))):
            await producer.send_and_wait(settings.changelog, value, key=key, partition=0)


async def test_rows_of_an_older_layout_are_refused_before_they_are_read(provisioned: Settings, tmp_path: Path) -> None:
    """Code 3 and one sentence with both versions and what to do; nothing tries to make sense of the rows."""
    await write(provisioned, LAYOUT_VERSION - 1)
    with Workers(provisioned, tmp_path, command=REAL_WORKER) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 120) == UNSAFE
    told = [line for line in workers.log(0).read_text().splitlines() if "CRITICAL" in line]
    assert len(told) == 1
    assert f"partition 0: expected rows of layout {LAYOUT_VERSION}, got layout {LAYOUT_VERSION - 1}" in told[0]
    assert "start the worker with the version of Bellwether that wrote them" in told[0]
