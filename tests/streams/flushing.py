"""A process that flushes once, while something happens to its transaction: ``python flushing.py SCENE``.

``halt`` ends the process, so what a bad flush comes to can only be seen from outside.
"""

import asyncio
import logging
import os
import sys
import threading
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.app import INPUT_TOPICS
from streams.commit import Committer, Outputs
from streams.lease import Lease
from streams.observer import Observer
from streams.settings import Settings
from tests.streams.counting import EVERY, CountingFold
from tests.streams.test_merge import At

PARTITION = 1
LARGE = 3 << 20
DEADLINE_SECONDS = 60.0
SCENES = ("good", "oversize", "expired", "fenced")


class Meddling:
    """Stands where failpoints do: has something happen just before the commit.

    Parameters
    ----------
    settings
        Of this process.
    scene
        One of SCENES.
    """

    def __init__(self, settings: Settings, scene: str) -> None:
        self._settings = settings
        self._scene = scene

    def reach(self, name: str) -> None:
        """Hold the flush up until it has happened."""
        if name == "before_commit" and self._scene in ("expired", "fenced"):
            meddling = threading.Thread(target=asyncio.run, args=[getattr(self, f"_{self._scene}")()])
            meddling.start()
            meddling.join()

    async def _fenced(self) -> None:
        """Let another worker take the partition over."""
        async with AIOKafkaProducer(bootstrap_servers=self._settings.kafka, transactional_id=identity(self._settings)):
            pass

    async def _expired(self) -> None:
        """Wait until the broker has given the transaction up: its records are no longer pending."""
        ends = [0, 1]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while ends[0] != ends[1] and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            ends = [await self._end(isolation) for isolation in ("read_committed", "read_uncommitted")]

    async def _end(self, isolation: str) -> int:
        tp = TopicPartition(self._settings.changelog, PARTITION)
        async with AIOKafkaConsumer(bootstrap_servers=self._settings.kafka, isolation_level=isolation) as consumer:
            return int((await consumer.end_offsets([tp]))[tp])


def identity(settings: Settings) -> str:
    """Return the transactional id of the partition."""
    return f"{settings.app_id}-{PARTITION}"


async def flush(settings: Settings, scene: str) -> None:
    """Flush one alert and its row."""
    key = b"a" * (LARGE if scene == "oversize" else 1)
    fold = CountingFold(PARTITION)
    fold.apply_runs([("usage", [At(offset, 0, key) for offset in range(EVERY)])])
    inputs = {topic: settings.topic(topic) for topic in INPUT_TOPICS}
    outputs = Outputs(
        settings.app_id, inputs, settings.changelog, alerts=settings.topic("alerts"), journal=settings.topic("journal")
    )
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id=identity(settings), transaction_timeout_ms=1_000
    ) as producer:
        lease = Lease(PARTITION, fold, producer, INPUT_TOPICS)
        committer = Committer(outputs, 50, 1_000, 500, Observer(), Meddling(settings, scene))  # type: ignore[arg-type]
        await committer.flush(lease)


if __name__ == "__main__":
    logging.basicConfig(level="INFO")
    asyncio.run(flush(Settings.from_environ(os.environ), sys.argv[1]))
