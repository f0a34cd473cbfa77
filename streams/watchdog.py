"""Notices a worker that has silently stopped, and ends it so that its supervisor starts it again.

Faust and aiokafka have had several ways to stop fetching or committing after a rebalance or a broker outage without
any error. Whatever the cause, the sign is the same: records wait and nothing moves.

The watchdog looks from the event loop. That the loop itself still turns is seen from a thread: while it stands, Faust's
consumer thread goes on sending heartbeats, so that the group would wait for this worker for ever.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic

from aiokafka.errors import KafkaError

from streams.halt import FAILED, UNSAFE, halt
from streams.lease import Lease
from streams.observer import Observer
from streams.recovery import MADE_ANEW
from streams.store import Leases

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 60.0


class Pulse:
    """Ends the process when its event loop has not turned for too long.

    Parameters
    ----------
    limit_seconds
        How long a turn of the loop may take, > 0. Restoring a large partition holds it for seconds.
    """

    def __init__(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit = limit_seconds
        self._beat = Event()

    async def beat_forever(self) -> None:
        """Beat until cancelled; from the first beat on a thread listens."""
        Thread(target=self._listen, name="pulse", daemon=True).start()
        while True:
            self._beat.set()
            await asyncio.sleep(self._limit / 20)

    def _listen(self) -> None:
        while self._beat.wait(self._limit):
            self._beat.clear()
        halt(
            FAILED,
            f"watchdog: the event loop has not turned for {self._limit:.0f} s; the supervisor should start it again",
        )


@dataclass
class _Mark:
    """The last movement seen and when."""

    seen: tuple[object, ...]
    at: float


class Watchdog:
    """Compares, every few seconds, what waits with what moved.

    Parameters
    ----------
    leases
        The owned partitions.
    log_ends
        Returns (topic, partition) → end offset of the owned partitions' input logs.
    is_owed
        Returns whether the group has so few workers that each should own a partition.
    observer
        Told of the lag.
    limit_seconds
        How long work may wait without any movement, > 0.
    """

    def __init__(
        self,
        leases: Leases,
        log_ends: Callable[[], Awaitable[Mapping[tuple[str, int], int]]],
        is_owed: Callable[[], Awaitable[bool]],
        observer: Observer,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._leases = leases
        self._log_ends = log_ends
        self._is_owed = is_owed
        self._observer = observer
        self._limit = limit_seconds
        self._marks: dict[tuple[int, str], _Mark] = {}
        self._shorter: set[tuple[str, int]] = set()
        self._last_owned_at = monotonic()

    async def watch_forever(self) -> None:
        """Look until cancelled; end the process when something stands still for too long."""
        ends: Mapping[tuple[str, int], int] = {}
        is_left_out = False
        while True:
            await asyncio.sleep(self._limit / 6)
            read = self._read()
            try:
                async with asyncio.timeout(self._limit):
                    ends = await self._log_ends()
                    self._stop_at_shorter_logs(read, ends)
                    is_left_out = await self._is_left_out(monotonic())
            except TimeoutError:
                halt(FAILED, f"watchdog: the consumer gave no answer for {self._limit:.0f} s")
            except KafkaError as error:
                logger.warning("watchdog: the ends of the logs are not known (%r); going by the last ones", error)
            if is_left_out:
                halt(FAILED, f"watchdog: the group gave this worker no partition for {self._limit:.0f} s")
            reason = self.look(ends, monotonic())
            if reason is not None:
                halt(FAILED, f"watchdog: {reason} for {self._limit:.0f} s; the supervisor should start it again")

    def _read(self) -> dict[tuple[str, int], int]:
        """Return (topic, partition) → the offset before which the state has read everything."""
        serving = [lease for lease in self._leases if lease.generation is not None]
        return {(topic, lease.partition): end for lease in serving for topic, end in dict(lease.fold.positions).items()}

    def _stop_at_shorter_logs(self, read: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> None:
        """End the process where a log has twice ended before what was read of it; a new leader may say so once.

        A client that waits at the end of a log may not notice by itself that there is another one of the same name.
        """
        shorter = {place for place, end in ends.items() if end < read.get(place, 0)}
        for topic, partition in sorted(shorter & self._shorter):
            name, place = self._leases.source.inputs[topic], (topic, partition)
            halt(
                UNSAFE,
                f"{name}[{partition}]: the log ends at {ends[place]}, the state has read {read[place]}: {MADE_ANEW}",
            )
        self._shorter = shorter

    async def _is_left_out(self, now: float) -> bool:
        """Return whether we have owned nothing for the limit although there is enough for everybody."""
        if len(self._leases):
            self._last_owned_at = now
        return now - self._last_owned_at >= self._limit and await self._is_owed()

    def look(self, ends: Mapping[tuple[str, int], int], now: float) -> str | None:
        """Return what has stood still for too long at steady time ``now`` (seconds), None when all is well."""
        owned = {lease.partition for lease in self._leases}
        self._marks = {key: mark for key, mark in self._marks.items() if key[0] in owned}
        for lease in self._leases:
            lag = self._lag(lease, ends)
            # A large flush has its own limit of time, and holds applying back.
            moving = (lease.generation, lease.loaded, lease.records_applied, lease.written)
            idle = not lag and lease.generation is not None
            if self._stands(lease, "reading", None if idle else moving, now):
                if lease.generation is None:
                    return f"partition {lease.partition}: a rebalance or restore made no progress"
                return f"partition {lease.partition}: {lag} records wait and nothing was consumed"
            if self._stands(lease, "committing", (lease.flushes, lease.written) if lease.fold.dirty else None, now):
                return f"partition {lease.partition}: nothing was committed"
        self._observer.stood_still(max((now - mark.at for mark in self._marks.values()), default=0.0))
        return None

    def _lag(self, lease: Lease, ends: Mapping[tuple[str, int], int]) -> int:
        if lease.generation is None:
            return 0
        total = 0
        for (topic, partition), end in ends.items():
            if partition == lease.partition:
                lag = max(0, end - lease.inbox.applied_to(topic))
                self._observer.lag(topic, partition, lag)
                total += lag
        return total

    def _stands(self, lease: Lease, what: str, moving: tuple[object, ...] | None, now: float) -> bool:
        """Return whether ``moving`` has been the same for the limit; None means there is nothing to wait for."""
        key = (lease.partition, what)
        mark = self._marks.get(key)
        if moving is None:
            self._marks.pop(key, None)
        elif mark is None or mark.seen != moving:
            self._marks[key] = _Mark(moving, now)
        else:
            return now - mark.at >= self._limit
        return False
