"""What only happens on bad days: topics made anew, records nobody takes, transactions nobody knows the end of."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams import topics
from streams.halt import FAILED, UNSAFE
from streams.settings import Settings
from tests.streams.recount import is_consumed, read_all
from tests.streams.workers import ROOT, Workers

FLUSHING = ROOT / "tests/streams/flushing.py"


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def produce(settings: Settings, count: int, partition: int = 0) -> None:
    """Write events to one partition of `usage`."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for _ in range(count):
            await producer.send_and_wait(settings.topic("usage"), b"{}", key=b"a", partition=partition)


async def make_anew(settings: Settings, name: str) -> None:
    """Delete a topic and create it again, as somebody does who wants to empty it."""
    async with topics.admin(settings) as admin:
        await admin.delete_topics([settings.topic(name)])

        async def is_created() -> bool:
            try:
                return settings.topic(name) in await topics.create(settings)
            except KafkaError:
                return False

        await until(is_created)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_running", [True, False], ids=["under a running worker", "while no worker runs"])
async def test_a_topic_made_anew_is_refused(provisioned: Settings, tmp_path: Path, *, is_running: bool) -> None:
    """Offsets begin again at 0 and would pass for records seen before: the worker stops with code 3 and says so."""
    await produce(provisioned, 50)
    with Workers(provisioned, tmp_path) as workers:
        await until(lambda: is_consumed(provisioned, {"usage": 50}))
        if not is_running:
            workers.processes[0].terminate()
            assert await asyncio.to_thread(workers.processes[0].wait, 30) == 0
        await make_anew(provisioned, "usage")
        await produce(provisioned, 10)

        async def has_refused() -> bool:
            # Without the topic it may end with 1 first, as any worker whose topics are missing, and is started again.
            if workers.processes[0].poll() not in (None, UNSAFE):
                workers.revive()
            return workers.processes[0].poll() == UNSAFE

        await until(has_refused, 150)
    told = workers.log(0).read_text()
    assert f"{provisioned.topic('usage')}[0]: the log " in told
    assert "the topic was made anew; start over with a new BELLWETHER_APP_ID" in told


@pytest.mark.parametrize(
    ("scene", "code", "sentence"),
    [
        ("good", 0, ""),
        (
            "expired",
            FAILED,
            "partition 1: another worker owns it now, or the broker gave the transaction up; nothing was committed",
        ),
        ("fenced", FAILED, "partition 1: another worker owns it now"),
        ("oversize", UNSAFE, "-accounts-changelog: expected records that the topic takes, the largest has 31"),
    ],
)
async def test_a_flush_that_cannot_be_committed_ends_the_worker(
    provisioned: Settings, tmp_path: Path, scene: str, code: int, sentence: str
) -> None:
    """Given up by the broker, fenced, too large: the alert is never seen, and the last line says why and what to do."""
    with Workers(provisioned, tmp_path, command=(str(FLUSHING), scene)) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 90) == code
    assert sentence in workers.log(0).read_text()
    alerts = (await read_all(provisioned, provisioned.topic("alerts")))[1]
    assert len(alerts) == (scene == "good")
