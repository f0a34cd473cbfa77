"""A made-up history of `scores` and `alerts`, what Redis must hold after it, and what it does hold.

``python tests/streams/projecting.py`` is a projector with settings from the environment, to be killed.
"""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import redis.asyncio
from aiokafka import AIOKafkaProducer

from state.murmur2 import partition_of
from streams.projector import project_forever
from streams.reading import read_all
from streams.settings import Settings

BANDS = ("green", "yellow", "red")
LIFE = {
    "firing": ("acknowledged", "snoozed", "resolved"),
    "acknowledged": ("snoozed", "resolved"),
    "snoozed": ("resolved",),
}


class History:
    """Writes flushes of made-up scores and alerts, every fifth one aborted.

    Parameters
    ----------
    settings
        Where to.
    seed
        Same seed, same records.
    accounts
        How many accounts there are.
    """

    def __init__(self, settings: Settings, seed: int = 1, accounts: int = 40) -> None:
        self._settings = settings
        self._random = random.Random(seed)
        self._accounts = [
            f"account:{number}}} é" if number % 7 == 0 else f"acme-{number}" for number in range(accounts)
        ]
        self._open: dict[str, dict[str, Any]] = {}
        self._sequence = 0
        self.flushes = 0

    async def write(self, flushes: int) -> None:
        """Write some flushes of about 60 records each."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka, transactional_id=f"{self._settings.app_id}-history"
        )
        await producer.start()
        try:
            for _ in range(flushes):
                self.flushes += 1
                is_aborted = self.flushes % 5 == 0
                before = dict(self._open)
                await producer.begin_transaction()
                await asyncio.gather(*[await self._send(producer, *record) for record in self._flush()])
                if is_aborted:
                    await producer.abort_transaction()
                    self._open = before
                else:
                    await producer.commit_transaction()
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, topic: str, account: str, value: bytes | None) -> Any:
        key = account.encode()
        partition = partition_of(key, self._settings.partitions)
        return await producer.send(self._settings.topic(topic), value, key, partition)

    def _flush(self) -> list[tuple[str, str, bytes | None]]:
        return [self._score() if self._random.random() < 0.7 else self._alert() for _ in range(60)]

    def _score(self) -> tuple[str, str, bytes | None]:
        draw, account = self._random, self._random.choice(self._accounts)
        self._sequence += 1
        if draw.random() < 0.05:
            return "scores", account, None
        health = None if draw.random() < 0.1 else round(draw.uniform(0, 100), 6)
        snapshot = {
            "account_id": account,
            "at": f"2026-01-01T00:00:{self._sequence % 60:02d}.000Z",
            "health": health,
            "band": "insufficient_data" if health is None else draw.choice(BANDS),
            "risk": None if health is None else round(draw.random(), 6),
            "expansion": round(draw.random(), 6),
            "value": draw.choice([None, 1200.0, 99000.5]),
            "coverage": 1.0,
            "slope_per_day": 0.0,
            "sequence": self._sequence,
            "model": {"name": "m", "version": 1, "fingerprint": "f"},
            "reasons": [{"code": "LOGINS", "text": "logins down 42 %", "contribution": -7.5}],
            "positions": {"usage": self._sequence},
        }
        if draw.random() < 0.5:
            snapshot |= {"name": f"Name of {account}", "owner": draw.choice(["ann@x", "bob@x"])}
        return "scores", account, orjson.dumps(snapshot)

    def _alert(self) -> tuple[str, str, bytes | None]:
        draw = self._random
        self._sequence += 1
        if self._open and draw.random() < 0.6:
            alert = dict(draw.choice(list(self._open.values())))
            alert["state"] = draw.choice(LIFE[alert["state"]])
        else:
            alert = {
                "alert_id": f"{draw.getrandbits(128):032x}",
                "account_id": draw.choice(self._accounts),
                "rule": draw.choice(["band-red", "silent"]),
                "state": "firing",
                "severity": draw.choice(["critical", "warning"]),
                "occurred_at": "2026-01-01T00:00:00.000Z",
            }
        alert["sequence"] = self._sequence
        self._open[alert["alert_id"]] = alert
        if alert["state"] == "resolved":
            del self._open[alert["alert_id"]]
        return "alerts", alert["account_id"], orjson.dumps(alert)


async def expected(settings: Settings) -> dict[str, Any]:
    """Fold both topics in the plainest way: the last score, the open alerts, every alert once."""
    scores: dict[tuple[int, str], dict[str, Any]] = {}
    async for record in read_all(settings, settings.topic("scores")):
        scores.pop((record.partition, record.key.decode()), None)
        if record.value is not None:
            scores[record.partition, record.key.decode()] = orjson.loads(record.value)
    stream: dict[int, list[tuple[str, str]]] = {}
    is_open: dict[tuple[int, str], dict[str, Any]] = {}
    async for record in read_all(settings, settings.topic("alerts")):
        alert = orjson.loads(record.value)
        stream.setdefault(record.partition, []).append((f"{record.offset + 1}-0", record.value.decode()))
        is_open.pop((record.partition, alert["alert_id"]), None)
        if alert["state"] != "resolved":
            is_open[record.partition, alert["alert_id"]] = alert
    ranks = {
        f"bw:{{{partition}}}:rank:{rank}": {
            account: score[rank] for (p, account), score in scores.items() if p == partition and score[rank] is not None
        }
        for partition in range(settings.partitions)
        for rank in ("health", "risk", "value")
    }
    opened: dict[str, set[str]] = {}
    for (partition, identity), alert in is_open.items():
        for key in (f"bw:{{{partition}}}:open", f"bw:{{{partition}}}:open:{alert['account_id']}"):
            opened.setdefault(key, set()).add(identity)
    return {
        **{f"bw:{{{p}}}:account:{account}": score for (p, account), score in scores.items()},
        **{key: rank for key, rank in ranks.items() if rank},
        **opened,
        **{f"bw:{{{p}}}:alert:{identity}": alert for (p, identity), alert in is_open.items()},
        **{f"bw:{{{p}}}:alerts": entries for p, entries in stream.items()},
    }


async def content(settings: Settings) -> dict[str, Any]:
    """Return what Redis holds, in the same form; hashes by the record they keep."""
    client = redis.asyncio.Redis.from_url(settings.redis_url, decode_responses=True)
    found: dict[str, Any] = {}
    async for key in client.scan_iter(match="bw:*", count=1000):
        kind = await client.type(key)
        if key.endswith((":applied", ":written")):
            continue
        if kind == "hash":
            fields = await client.hgetall(key)
            if fields:  # it may have gone since its name was read
                found[key] = orjson.loads(fields["snapshot" if ":account:" in key else "body"])
        elif kind == "zset":
            found[key] = dict(await client.zrange(key, 0, -1, withscores=True))
        elif kind == "set":
            found[key] = await client.smembers(key)
        elif kind == "stream":  # a key that has gone since its name was read is of no type, and may come back as any
            found[key] = [(entry, fields["body"]) for entry, fields in await client.xrange(key)]
    await client.aclose()
    return found


async def reaches(settings: Settings, wanted: dict[str, Any], seconds: float = 60) -> None:
    """Wait until Redis holds exactly this; compare for a readable difference when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (found := await content(settings)) != wanted:
        if asyncio.get_running_loop().time() > deadline:
            assert found == wanted
        await asyncio.sleep(0.05)


async def has_begun(settings: Settings) -> None:
    """Wait until some account is in Redis."""
    async with asyncio.timeout(60):
        while not any(":account:" in key for key in await content(settings)):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def projecting(settings: Settings, observer: Any = None) -> AsyncIterator[None]:
    """Run a projector in this process."""
    task = asyncio.create_task(project_forever(settings, observer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    logging.basicConfig(level="INFO")
    asyncio.run(project_forever(Settings.from_environ(os.environ)))
