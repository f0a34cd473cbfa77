"""Ticks: the only way time passes for a partition. Its owner writes them, and reads them back like any input.

A tick says "it is ``as_of_ms``, and everything older is applied". So it is written only once that is true: the ends of
the input logs are noted, and the tick waits *here* until all of them are applied, markers of transactions
included. (Written at once with those ends, it could wait for ever: the last offset of a log may be a marker,
which no record ever passes.) At most one tick per partition is on its way.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.ending import ended
from streams.lease import Lease
from streams.merge import TICKS
from streams.observer import Observer
from streams.store import Leases

logger = logging.getLogger(__name__)

HOUR_MS = 3_600_000
"""Silence is evaluated on the hourly grid, so a tick more often than that per hour of log time changes nothing."""

POLL_SECONDS = 0.05
LOG_SECONDS = 0.5
"""Time between two ticks of a partition under the log's clock. In a backlog days pass in this time: a row that lets
several midnights pass at once is fetched from memory once for all of them."""

type_ends = Callable[[], Awaitable[Mapping[tuple[str, int], int]]]


@dataclass
class _Due:
    """A tick that waits for the logs to be applied up to ``ends``."""

    as_of_ms: int
    ends: Mapping[str, int] = field(default_factory=dict)


class Ticker:
    """Writes the ticks of the partitions this process owns.

    Parameters
    ----------
    leases
        The owned partitions.
    kafka, topic
        Bootstrap servers, and the ticks topic's name in Kafka.
    clock
        ``wall``: this machine's time; ``log``: the hour grid points that applied record timestamps pass.
    tick_seconds
        Time between two ticks of a partition under the wall clock, > 0.
    log_ends
        Returns (topic, partition) → end offset of the owned partitions' input logs.
    observer
        Told of every tick written.
    """

    def __init__(
        self,
        leases: Leases,
        client: Mapping[str, Any],
        topic: str,
        clock: Literal["wall", "log"],
        tick_seconds: float,
        log_ends: type_ends,
        observer: Observer,
    ) -> None:
        self._leases = leases
        self._kafka_client = client
        self._topic = topic
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._log_ends = log_ends
        self._observer = observer
        self._due: dict[Lease, _Due] = {}
        self._written: dict[Lease, tuple[int, int]] = {}  # as_of_ms and offset of the last tick

    async def tick_forever(self) -> None:
        """Write ticks until cancelled."""
        producer = AIOKafkaProducer(**self._kafka_client, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            next_at = monotonic()
            while True:
                if monotonic() >= next_at:
                    next_at = monotonic() + (LOG_SECONDS if self._clock == "log" else self._tick_seconds)
                    if self._clock == "log":
                        self._note_grid_points()
                    else:
                        await self._note_wall()
                for lease in [lease for lease, due in self._due.items() if _is_applied(lease, due)]:
                    await self._write(producer, lease)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await ended(producer.stop())

    def _free(self) -> list[Lease]:
        """Forget leases that were given up; return those that may have a new tick."""
        serving = [lease for lease in self._leases if lease.generation is not None]
        self._due = {lease: due for lease, due in self._due.items() if lease in serving}
        self._written = {lease: last for lease, last in self._written.items() if lease in serving}
        return [lease for lease in serving if lease not in self._due and not self._is_under_way(lease)]

    def _is_under_way(self, lease: Lease) -> bool:
        return lease in self._written and lease.inbox.applied_to(TICKS) <= self._written[lease][1]

    async def _note_wall(self) -> None:
        as_of_ms = time.time_ns() // 1_000_000  # before the ends are asked for: what is older lies below them
        try:
            ends = await self._log_ends()
        except KafkaError as error:
            logger.warning("ticks: the ends of the logs are not known (%r); trying again", error)
            return
        for lease in self._free():
            wanted = {topic: end for (topic, partition), end in ends.items() if partition == lease.partition}
            wanted.pop(TICKS, None)
            if wanted:
                self._due[lease] = _Due(as_of_ms, wanted)

    def _note_grid_points(self) -> None:
        for lease in self._free():
            as_of_ms = lease.newest_ms // HOUR_MS * HOUR_MS
            last_ms, _ = self._written.get(lease, (0, -1))
            if as_of_ms > last_ms:
                self._due[lease] = _Due(as_of_ms)

    async def _write(self, producer: Any, lease: Lease) -> None:
        due = self._due.pop(lease)
        ends = {topic: position for topic, position in lease.fold.positions.items() if topic != TICKS}
        value = orjson.dumps({"as_of_ms": due.as_of_ms, "ends": ends})
        sent = await producer.send_and_wait(self._topic, value, partition=lease.partition, timestamp_ms=due.as_of_ms)
        self._written[lease] = (due.as_of_ms, sent.offset)
        self._observer.tick_written(lease.partition, due.as_of_ms)


def _is_applied(lease: Lease, due: _Due) -> bool:
    return all(lease.inbox.applied_to(topic) >= end for topic, end in due.ends.items())
