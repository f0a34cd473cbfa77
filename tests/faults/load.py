"""What producers write while things break: the simulation's traffic, at a steady rate, into real brokers."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from state.record import Record
from streams.settings import Settings
from tests.simulation.traffic import DAY_MS, Traffic

ACCOUNTS = 60
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
EVENTS_PER_DAY = 300
"""Under a log clock: a round of some thousand events lives through some days. Were it months, a topic that is fetched half a
minute late on a busy machine would be months late, and its good events expired."""

PUBLISHING = 0.002
"""Part of the events before which a model is published in all partitions: some in a round."""

TURN_SECONDS = 0.02
OVERSIZE_RATIO = 1 / 800
OVERSIZED = b'{"id":"large","event":"' + b"x" * 300_000 + b'"}'


class _Alerts:
    """What has been read of one partition's alerts, in the form in which the traffic asks for it."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def committed(self) -> list[Record]:
        return self.records


class Load:
    """Producers of one stage; use it as an async context manager, leaving it delivers what is on its way.

    Parameters
    ----------
    settings
        Of the stage.
    seed
        Same seed, same events (not at the same times).
    """

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings = settings
        self._chance = random.Random(seed)
        self._queue: list[tuple[str, int, tuple[Any, ...]]] = []
        self.logs: dict[tuple[str, int], _Alerts] = defaultdict(_Alerts)
        self.traffic = Traffic(self, self._chance, self._now_ms, settings.partitions, ACCOUNTS)
        self.traffic.publishing = PUBLISHING
        self.values: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        """(topic, partition) → values handed to the producer, which is to deliver each once and in order."""
        self.rate = 0.0
        """Events per second from now on."""
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        servers = self._settings.kafka
        # Nothing may be given up while brokers are away: the request's patience is that of the longest outage.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=120_000,
            metadata_max_age_ms=5_000,
        )
        await self._producer.start()
        self._reader = AIOKafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        await self._reader.start()
        topic, count = self._settings.topic("alerts"), self._settings.partitions
        self._reader.assign([TopicPartition(topic, partition) for partition in range(count)])
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._reader.stop()
        await self._producer.stop()

    @property
    def written(self) -> dict[tuple[str, int], int]:
        """(topic, partition) → records handed to the producer."""
        return {place: len(values) for place, values in self.values.items()}

    @property
    def sent(self) -> Counter[str]:
        """Kind of event (good, repeated, bad, expired, future) → how many were written."""
        return self.traffic.sent

    async def settle(self) -> None:
        """Stop writing, and return when the brokers have everything."""
        self.rate = 0.0
        await asyncio.sleep(2 * TURN_SECONDS)
        await self._producer.flush()
        for task in self._tasks:
            if task.done():
                task.result()

    def append(self, topic: str, partition: int, message: tuple[Any, ...]) -> None:
        """Take one record from the traffic."""
        self._queue.append((topic, partition, message))

    async def _write(self) -> None:
        owed, last = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(TURN_SECONDS)
            now = time.monotonic()
            owed = min(owed + self.rate * (now - last), self.rate)  # an outage is not made up for by a flood
            last = now
            while owed >= 1:
                owed -= 1
                self.traffic.write_one()
                if self._chance.random() < OVERSIZE_RATIO:
                    key = b"account-%d" % self._chance.randrange(ACCOUNTS)
                    self.append(
                        "usage", self._chance.randrange(self._settings.partitions), (key, OVERSIZED, (), self._now_ms())
                    )
                    self.traffic.sent["bad"] += 1
            for topic, partition, (key, value, _, timestamp) in self._queue:
                self.values[topic, partition].append(value)
                await self._producer.send(
                    self._settings.topic(topic), value, key=key, partition=partition, timestamp_ms=timestamp
                )
            self._queue.clear()

    async def _read(self) -> None:
        async for record in self._reader:
            self.logs["alerts", record.partition].records.append(record)

    def _now_ms(self) -> int:
        if self._settings.clock == "wall":
            return time.time_ns() // 1_000_000
        return START_MS + self.sent.total() * (DAY_MS // EVENTS_PER_DAY)
