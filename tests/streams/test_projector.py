"""Redis equals the fold of `scores` and `alerts`, whatever dies on the way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import redis.asyncio

from deploy.local import Stack
from state.murmur2 import partition_of
from streams.observer import Observer
from streams.projection import Projection
from streams.settings import Settings
from tests.streams.projecting import History, content, expected, has_begun, projecting, reaches

ROOT = Path(__file__).parents[2]


@contextmanager
def projector_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A projector as a process of its own; killed at the end."""
    environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
    with log.open("ab") as output:
        command = [sys.executable, "-u", str(ROOT / "tests/streams/projecting.py")]
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Seen(Observer):
    """Remembers what the projector tells."""

    def __init__(self) -> None:
        self.records = 0
        self.rewound: set[tuple[str, int]] = set()
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.lags: dict[tuple[str, int], int] = {}

    def projected(self, topic: str, partition: int, records: int, seconds: float) -> None:
        """Count records."""
        del topic, partition, seconds
        self.records += records

    def projection_rewound(self, topic: str, partition: int) -> None:
        """Remember the place."""
        self.rewound.add((topic, partition))

    def projection_lag(self, topic: str, partition: int, records: int) -> None:
        """Remember the latest."""
        self.lags[topic, partition] = records

    def redis_answers(self, *, is_up: bool) -> None:
        """Set the event."""
        (self.up if is_up else self.down).set()
        (self.down if is_up else self.up).clear()


async def test_redis_equals_the_fold_of_the_topics(provisioned: Settings) -> None:
    """Scores, ranks, open alerts and the stream are what a plain fold says; aborted records are in none of them."""
    history, seen = History(provisioned), Seen()
    await history.write(12)
    async with projecting(provisioned, seen):
        await reaches(provisioned, await expected(provisioned))
        await history.write(12)
        wanted = await expected(provisioned)
        await reaches(provisioned, wanted)
        async with asyncio.timeout(20):
            while any(seen.lags.values()) or len(seen.lags) < 2 * provisioned.partitions:
                await asyncio.sleep(0.05)
    assert not seen.rewound
    assert sum(len(entries) for key, entries in wanted.items() if key.endswith(":alerts")) > 100


async def test_a_notice_says_where_something_changed(provisioned: Settings) -> None:
    """Who listens to `bw:notice` hears of every partition of both topics, with accounts that are there."""
    wanted = {(topic, partition) for topic in ("scores", "alerts") for partition in range(provisioned.partitions)}
    async with redis.asyncio.Redis.from_url(provisioned.redis_url) as database, database.pubsub() as listener:
        await listener.subscribe("bw:notice")
        await History(provisioned).write(4)
        async with projecting(provisioned), asyncio.timeout(30):
            while wanted:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    said = orjson.loads(message["data"])
                    homes = {partition_of(account.encode(), provisioned.partitions) for account in said["accounts"]}
                    assert homes == {said["partition"]}
                    wanted.discard((said["topic"], said["partition"]))


async def test_a_call_that_is_cancelled_ends(settings: Settings) -> None:
    """At whatever moment a call of Redis is cancelled, the cancellation arrives; else a worker could not be stopped."""
    async with Projection(settings) as projection:
        for turns in range(100):
            call = asyncio.create_task(projection.applied([("scores", 0)]))
            for _ in range(turns):
                await asyncio.sleep(0)
            is_pending = call.cancel()
            await asyncio.wait([call], timeout=10)
            assert call.done()
            assert call.cancelled() == is_pending, turns


async def test_kill_minus_nine_changes_nothing(provisioned: Settings, tmp_path: Path) -> None:
    """A projector that is killed again and again while records arrive leaves what an undisturbed one leaves."""
    history = History(provisioned, seed=2)
    for attempt in range(5):
        # A group of its own spares the wait for the dead member's session; how far reading came is in Redis anyway.
        settings = replace(provisioned, app_id=f"{provisioned.app_id}-{attempt}")
        with projector_process(settings, tmp_path / "projector.log"):
            before = await content(provisioned)
            await history.write(8)
            async with asyncio.timeout(60):
                while await content(provisioned) == before:
                    await asyncio.sleep(0.005)
    wanted = await expected(provisioned)
    async with projecting(provisioned):
        await reaches(provisioned, wanted)


async def test_a_flushed_redis_is_filled_again(provisioned: Settings) -> None:
    """FLUSHALL while records arrive, and while none do, is noticed; the end is the same."""
    history, seen = History(provisioned, seed=3), Seen()
    database = redis.asyncio.Redis.from_url(provisioned.redis_url)
    async with projecting(provisioned, seen):
        writing = asyncio.create_task(history.write(40))
        await has_begun(provisioned)
        await database.flushdb()
        await writing
        wanted = await expected(provisioned)
        await reaches(provisioned, wanted)
        await database.flushdb()
        await reaches(provisioned, wanted)
    assert seen.rewound
    await database.aclose()


async def test_while_redis_is_away_records_wait(provisioned: Settings) -> None:
    """An outage is told once and is lag; an older Redis that comes back is brought up to date."""
    history, seen = History(provisioned, seed=4), Seen()
    with Stack(brokers=1) as own:  # its Redis can be stopped without harm to other tests
        settings = replace(provisioned, redis_url=own.redis_url)
        server = own.redis
        assert server is not None
        async with projecting(settings, seen):
            await history.write(10)
            await reaches(settings, await expected(settings))
            server.kill()
            await history.write(10)
            async with asyncio.timeout(30):
                await seen.down.wait()
            server.start()
            await reaches(settings, await expected(settings))
            async with asyncio.timeout(30):
                await seen.up.wait()


async def test_an_older_redis_reads_what_it_misses(provisioned: Settings) -> None:
    """A Redis that went back in time, offsets and data alike, gets every later record again and none twice."""
    history = History(provisioned, seed=5)
    await history.write(10)
    database = redis.asyncio.Redis.from_url(provisioned.redis_url)
    async with projecting(provisioned):
        await reaches(provisioned, await expected(provisioned))
        kept = {key: await database.dump(key) async for key in database.scan_iter(match="bw:*")}
        await history.write(10)
        wanted = await expected(provisioned)
        await reaches(provisioned, wanted)
        async with database.pipeline(transaction=True) as back:
            back.flushdb()
            for key, value in kept.items():
                back.restore(key, 0, value)
            await back.execute()
        await reaches(provisioned, wanted)
    await database.aclose()


async def test_two_projectors_share_and_one_takes_over(provisioned: Settings, tmp_path: Path) -> None:
    """Partitions move between projectors as these come and go; every alert is in a stream once, ids rising."""
    history = History(provisioned, seed=6)
    writing = asyncio.create_task(history.write(60))
    async with projecting(provisioned):
        await has_begun(provisioned)
        with projector_process(provisioned, tmp_path / "other.log"):
            await writing
            await reaches(provisioned, await expected(provisioned))
        await history.write(5)
        await reaches(provisioned, await expected(provisioned))


async def test_offsets_of_another_log_are_not_trusted(provisioned: Settings) -> None:
    """A Redis that is further than the log's end held another log: what it had is removed, and the log is read."""
    history = History(provisioned, seed=7)
    await history.write(3)
    async with redis.asyncio.Redis.from_url(provisioned.redis_url) as database:
        for partition in range(provisioned.partitions):
            await database.hset(f"bw:{{{partition}}}:applied", mapping={"scores": 10**9, "alerts": 10**9})
            await database.hset(f"bw:{{{partition}}}:account:gone", "snapshot", "{}")
            await database.zadd(f"bw:{{{partition}}}:rank:health", {"gone": 1})
            await database.xadd(f"bw:{{{partition}}}:alerts", {"body": "{}"}, id="1000000001-0")
    async with projecting(provisioned):
        await reaches(provisioned, await expected(provisioned))


async def test_a_lost_offset_alone_harms_nothing(provisioned: Settings) -> None:
    """Where only `applied` was removed, everything is read again and the stream takes no alert twice."""
    history = History(provisioned, seed=8)
    await history.write(6)
    wanted = await expected(provisioned)
    async with projecting(provisioned):
        await reaches(provisioned, wanted)
    async with redis.asyncio.Redis.from_url(provisioned.redis_url) as database:
        for partition in range(provisioned.partitions):
            await database.delete(f"bw:{{{partition}}}:applied")
        await history.write(2)
        async with projecting(provisioned):
            await reaches(provisioned, await expected(provisioned))
