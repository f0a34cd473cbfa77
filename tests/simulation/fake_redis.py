"""Redis in memory, as far as the projector uses it. A script is one step; the server may be away, or forget.

``projector.lua`` itself is tested against a real server; here its rules stand in Python, so that the projector around it
can be driven by a seed.
"""

import fnmatch
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.simulation.network import Network

SCANNED = 3
"""Keys in one answer: few, so that a scan takes several."""


class Store:
    """The data: key → dict (hash, sorted set), set, or list of (id, fields) (stream)."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}

    def run(self, name: str, key: str, *words: str) -> None:
        """Run one command."""
        getattr(self, f"_{name.lower()}")(key, *words)
        if not self.keys.get(key, True):
            del self.keys[key]

    def _del(self, key: str) -> None:
        self.keys.pop(key, None)

    def _hset(self, key: str, *pairs: str) -> None:
        self.keys.setdefault(key, {}).update(zip(pairs[::2], pairs[1::2], strict=True))

    def _hdel(self, key: str, field: str) -> None:
        self.keys.get(key, {}).pop(field, None)

    def _zadd(self, key: str, number: str, member: str) -> None:
        self.keys.setdefault(key, {})[member] = number

    def _zrem(self, key: str, member: str) -> None:
        self.keys.get(key, {}).pop(member, None)

    def _sadd(self, key: str, member: str) -> None:
        self.keys.setdefault(key, set()).add(member)

    def _srem(self, key: str, member: str) -> None:
        self.keys.get(key, set()).discard(member)

    def _xadd(self, key: str, _maxlen: str, _limit: str, identity: str, *fields: str) -> None:
        self.keys.setdefault(key, []).append((identity, fields))

    def newest(self, key: str) -> int:
        """Return the first part of a stream's last id, -1 without one."""
        stream = self.keys.get(key)
        return int(stream[-1][0].partition("-")[0]) if stream else -1

    def copy(self) -> "Store":
        """Return a copy."""
        other = Store()
        other.keys = {key: value.copy() for key, value in self.keys.items()}
        return other


class FakeRedis:
    """The server, and its own client: ``from_url`` returns it.

    Parameters
    ----------
    network
        Of the simulation.
    now_ms
        Its clock, milliseconds UTC.
    """

    def __init__(self, network: Network, now_ms: Any) -> None:
        self._network = network
        self._now_ms = now_ms
        self.store = Store()
        self.is_down = False
        self.elsewhere: dict[tuple[str, int], int] = {}
        """Survives what Redis does not; only a mutation uses it."""
        self._saved = Store()
        self._writes = 0

    def from_url(self, _url: str, **_options: Any) -> "FakeRedis":
        """In place of redis.asyncio.Redis.from_url."""
        return self

    def lose(self, chance: random.Random) -> None:
        """Come back empty, or from an older file."""
        self.store = self._saved.copy() if chance.random() < 0.5 else Store()

    async def _call(self, serve: Any) -> Any:
        """Serve, if there is anybody; the answer may be lost though it was done."""

        def reach() -> Any:
            if self.is_down:
                raise RedisConnectionError("connection refused")
            answer = serve()
            if self._network.fails():
                raise RedisConnectionError("connection reset")
            return answer

        return await self._network.call(reach)

    def register_script(self, _text: str) -> Any:
        """Return the projector's script."""

        async def script(*, keys: Sequence[str], args: Sequence[Any]) -> tuple[int, int]:
            return await self._call(lambda: self._apply(*keys, *args))

        return script

    def _apply(
        self, applied: str, written: str, topic: str, first: int, to: int, packed: bytes, *_notice: Any
    ) -> tuple[int, int]:
        store = self.store
        known = int(store.keys.get(applied, {}).get(topic, 0))
        if known < first or known >= to:
            return known, 0
        count = 0
        for offset, commands in msgspec.msgpack.decode(packed):
            if offset >= known:
                count += 1
                for command in commands:
                    if command[0] != "XADD" or offset + 1 > store.newest(command[1]):
                        store.run(*command)
        store.run("HSET", applied, topic, str(to))
        store.run("HSET", written, topic, str(self._now_ms()))
        self._writes += 1
        if self._writes % 7 == 0:
            self._saved = store.copy()
        return to, count

    def pipeline(self, *, transaction: bool) -> "Pipeline":
        """Return a pipeline of reads."""
        del transaction
        return Pipeline(self)

    async def hset(self, key: str, field: str, value: str) -> None:
        """Set a field."""
        await self._call(lambda: self.store.run("HSET", key, field, value))

    async def hdel(self, key: str, field: str) -> None:
        """Remove a field."""
        await self._call(lambda: self.store.run("HDEL", key, field))

    async def unlink(self, *keys: str) -> None:
        """Remove keys."""
        await self._call(lambda: [self.store.keys.pop(key, None) for key in keys])

    async def scan(self, _cursor: int, *, match: str, count: int) -> tuple[int, list[str]]:
        """Return some keys that match a pattern, and 0 when there are no others; who asks removes them."""
        del count
        pattern = match.replace("[", "[[]")
        found = await self._call(lambda: fnmatch.filter(self.store.keys, pattern))
        return int(len(found) > SCANNED), found[:SCANNED]

    async def aclose(self) -> None:
        """Nothing to close."""


class Pipeline:
    """Reads that are sent together."""

    def __init__(self, server: FakeRedis) -> None:
        self._server = server
        self._asked: list[tuple[str, str] | None] = []

    def time(self) -> None:
        """Ask for the clock."""
        self._asked.append(None)

    def hget(self, key: str, field: str) -> None:
        """Ask for a field."""
        self._asked.append((key, field))

    async def execute(self) -> list[Any]:
        """Return the answers."""
        server = self._server

        def serve() -> list[Any]:
            now = server._now_ms()
            clock = (now // 1000, now % 1000 * 1000)
            return [
                clock if asked is None else server.store.keys.get(asked[0], {}).get(asked[1]) for asked in self._asked
            ]

        return await server._call(serve)


def folded(commands: Iterable[Sequence[str | bytes]]) -> dict[str, Any]:
    """Return what commands leave behind when each is run once, in order."""
    store = Store()
    for command in commands:
        store.run(*(word if isinstance(word, str) else word.decode() for word in command))
    return store.keys
