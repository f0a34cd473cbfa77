"""The read model in Redis as the projector sees it: how far it is, apply records to it, clear it.

RedisDownError
    Redis does not answer, or refuses to write; the message says why. Nothing is lost: call again later.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final, NamedTuple, Self

import msgspec
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from state.readmodel import NOTICE, Command, key_of, notice_of, patterns_of
from streams.access import redis_client
from streams.settings import Settings

TIMEOUT_SECONDS: Final = 5.0
CLEARING: Final = -1
"""In `applied` while a topic's keys are being removed: no script call may write, and whoever finds it goes on removing."""
KEYS_AT_ONCE: Final = 1_000


class RedisDownError(Exception):
    """Redis does not answer or refuses to write."""


class Applied(NamedTuple):
    """How far a topic's partition is in Redis.

    Parameters
    ----------
    offset
        Next offset to apply; 0 where nothing is, CLEARING while its keys are being removed.
    age_ms
        Time since that last rose, milliseconds; 0 where nothing is.
    """

    offset: int
    age_ms: int


class Entry(NamedTuple):
    """One record as commands; they are text, for MessagePack's binary type is not known to every Redis."""

    offset: int
    account: str
    commands: Sequence[Command]


@asynccontextmanager
async def _telling_outages() -> AsyncIterator[None]:
    """Bound a call in time.

    redis-py's own `socket_timeout` waits by `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes as
    a write ends: the projector then never stopped, nor did the worker it ran in.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise RedisDownError(str(error) or type(error).__name__) from error


class Projection:
    """A connection to the read model; use it as an async context manager. Connects when first used.

    Parameters
    ----------
    settings
        Where Redis is and how to get in.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = redis_client(
            settings,
            socket_timeout=None,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that died unnoticed; an outage is the caller's
        )
        self._script = self._client.register_script(files("streams").joinpath("projector.lua").read_text())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def applied(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Applied]:
        """Return how far each (topic, partition) is."""
        places = list(places)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.time()
        for topic, partition in places:
            pipeline.hget(key_of(partition, "applied"), topic)
            pipeline.hget(key_of(partition, "written"), topic)
        async with _telling_outages():
            (seconds, microseconds), *found = await pipeline.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        pairs = zip(places, found[::2], found[1::2], strict=True)
        return {
            place: Applied(int(offset or 0), now_ms - int(written) if written else 0)
            for place, offset, written in pairs
        }

    async def apply(self, topic: str, partition: int, first: int, to: int, entries: Sequence[Entry]) -> tuple[int, int]:
        """Apply records and move on to the offset they reach, both or neither.

        Parameters
        ----------
        topic, partition
            Where the records are from.
        first
            Offset below which nothing is missing if Redis has all up to it, ≥ 0.
        to
            Next offset after the records, ≥ `first`.
        entries
            The records, by offset.

        Returns
        -------
        tuple of int
            The next offset to apply, which is below `first` when Redis has lost data and nothing was written; and how
            many records were new.
        """
        packed = msgspec.msgpack.encode([(entry.offset, entry.commands) for entry in entries])
        notice = notice_of(topic, partition, [entry.account for entry in entries])
        async with _telling_outages():
            offset, count = await self._script(
                keys=[key_of(partition, "applied"), key_of(partition, "written")],
                args=[topic, first, to, packed, NOTICE, notice],
            )
        return int(offset), int(count)

    async def clear(self, topic: str, partition: int) -> None:
        """Remove everything that came from a topic's partition; finishes what an earlier call began."""
        applied, written = key_of(partition, "applied"), key_of(partition, "written")
        async with _telling_outages():
            await self._client.hset(applied, topic, str(CLEARING))
        for pattern in patterns_of(topic, partition):
            cursor = None
            while cursor != 0:
                async with _telling_outages():
                    cursor, keys = await self._client.scan(cursor or 0, match=pattern, count=KEYS_AT_ONCE)
                    if keys:
                        await self._client.unlink(*keys)
        async with _telling_outages():
            await self._client.hdel(written, topic)
            await self._client.hdel(applied, topic)
