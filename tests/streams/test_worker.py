"""A worker process as a whole: starting, refusing to start, stopping; what it reads and what it leaves out."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer

from streams.settings import Settings
from tests.streams.recount import evict_members, is_consumed, read_all, recount
from tests.streams.workers import Workers

HOUR_MS = 3_600_000


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    """Wait for the condition."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def produce(settings: Settings, topic: str, count: int, *, step_ms: int | None = None) -> None:
    """Write events of 20 accounts; with ``step_ms`` their timestamps rise by it from 2024 on."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, linger_ms=20) as producer:
        for index in range(count):
            stamp = None if step_ms is None else 1_704_067_200_000 + index * step_ms
            key = b"account-%d" % (index % 20)
            await producer.send(settings.topic(topic), b"{}", key=key, timestamp_ms=stamp)


async def test_whole_chunks_are_applied_and_sigterm_commits_them(provisioned: Settings, tmp_path: Path) -> None:
    """5 000 waiting events are applied in few long runs; SIGTERM ends with code 0 and everything accounted for."""
    await produce(provisioned, "usage", 5_000)
    with Workers(provisioned, tmp_path) as workers:
        await until(lambda: is_consumed(provisioned, {"usage": 5_000}))
        workers.signal(0, signal.SIGTERM)
        assert workers.processes[0].wait(timeout=20) == 0
    assert (await recount(provisioned)).faults == {}
    journal = await read_all(provisioned, provisioned.topic("journal"))
    runs = [run for records in journal.values() for r in records for run in orjson.loads(r.value)["runs"]]
    assert sum(last - first + 1 for topic, first, last in runs if topic == "usage") == 5_000
    assert len([run for run in runs if run[0] == "usage"]) < 200


async def test_aborted_records_are_not_applied(provisioned: Settings, tmp_path: Path) -> None:
    """Records of an aborted transaction on `rerouted` never reach the state, committed ones do."""
    topic = provisioned.topic("rerouted")
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka, transactional_id=provisioned.app_id) as producer:
        for ends_well in (False, True):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"{}", key=b"kept" if ends_well else b"aborted", partition=1)
            await (producer.commit_transaction() if ends_well else producer.abort_transaction())
    with Workers(provisioned, tmp_path):
        await until(lambda: is_consumed(provisioned, {"rerouted": 3}))
    rows = await read_all(provisioned, provisioned.changelog)
    keys = {record.key for records in rows.values() for record in records}
    assert (b"kept" in keys, b"aborted" in keys) == (True, False)


async def test_wall_ticks_go_on_although_a_log_ends_in_a_marker(provisioned: Settings, tmp_path: Path) -> None:
    """The last offset of `rerouted` is a transaction's marker, which no record passes: ticks are written all the same."""
    settings = replace(provisioned, tick_seconds=1)
    async with (
        AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=settings.app_id) as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(settings.topic("rerouted"), b"{}", key=b"a", partition=0)
    with Workers(settings, tmp_path):

        async def has_ticks() -> bool:
            return len((await read_all(settings, settings.topic("ticks")))[0]) >= 3

        await until(has_ticks)
    ticks = [orjson.loads(record.value) for record in (await read_all(settings, settings.topic("ticks")))[0]]
    assert ticks[0]["ends"] == {"rerouted": 1}
    assert [tick["as_of_ms"] for tick in ticks] == sorted({tick["as_of_ms"] for tick in ticks})


async def test_log_ticks_stand_on_the_hours_that_events_pass(provisioned: Settings, tmp_path: Path) -> None:
    """Under the log clock ticks are written at whole hours of the records' timestamps, rising, up to the last one."""
    settings = replace(provisioned, clock="log")
    await produce(settings, "usage", 2_000, step_ms=HOUR_MS // 100)
    last_hour = (1_704_067_200_000 + 1_999 * (HOUR_MS // 100)) // HOUR_MS * HOUR_MS

    async def read_ticks() -> list[list[int]]:
        ticks = await read_all(settings, settings.topic("ticks"))
        return [[orjson.loads(record.value)["as_of_ms"] for record in records] for records in ticks.values()]

    async def has_last() -> bool:
        return all(ticks and ticks[-1] == last_hour for ticks in await read_ticks())

    with Workers(settings, tmp_path):
        await until(has_last)
    for ticks in await read_ticks():
        assert ticks == sorted(set(ticks))
        assert all(as_of_ms % HOUR_MS == 0 for as_of_ms in ticks)


async def test_every_named_point_can_kill_it_and_nothing_is_lost(provisioned: Settings, tmp_path: Path) -> None:
    """Killed at each failpoint in turn while work remains, then left alone: all events counted once."""
    points = ("changelog_written", "alerts_written", "offsets_sent", "before_commit", "after_commit", "restore_half")
    with Workers(provisioned, tmp_path) as workers:
        workers.processes[0].kill()
        for point in points:
            await produce(provisioned, "usage", 500)
            workers.processes[0].wait()
            workers.processes[0] = workers.start(0, BELLWETHER_FAILPOINT=f"{point}:2")
            assert await asyncio.to_thread(workers.processes[0].wait, 30) == -signal.SIGKILL
            await evict_members(provisioned)
        workers.processes[0] = workers.start(0)
        await until(lambda: is_consumed(provisioned, {"usage": 500 * len(points)}))
    found = await recount(provisioned)
    assert (found.events, found.faults) == (500 * len(points), {})


async def test_it_refuses_offsets_ahead_of_the_state(provisioned: Settings, tmp_path: Path) -> None:
    """Committed offsets without a changelog mean lost state: exit code 3 and a sentence that says what to do."""
    from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: PLC0415 - only here

    await produce(provisioned, "usage", 100)
    consumer = AIOKafkaConsumer(bootstrap_servers=provisioned.kafka, group_id=provisioned.app_id)
    await consumer.start()
    name = provisioned.topic("usage")
    consumer.assign([TopicPartition(name, 0)])
    await consumer.commit({TopicPartition(name, 0): 5})
    await consumer.stop()
    with Workers(provisioned, tmp_path) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 30) == 3
    assert f"{name}[0]: offsets are ahead of the state (committed 5, state 0)" in workers.log(0).read_text()


async def test_it_refuses_in_one_sentence_when_topics_are_missing(settings: Settings, tmp_path: Path) -> None:
    """Without topics it ends at once with code 1 and says which command makes them."""
    with Workers(settings, tmp_path) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 30) == 1
    lines = [line for line in workers.log(0).read_text().splitlines() if "bellwether topics create" in line]
    assert len(lines) == 1


async def test_it_refuses_in_one_sentence_when_no_broker_answers(settings: Settings, tmp_path: Path) -> None:
    """With nothing listening it ends with code 1 and says where it looked."""
    with Workers(replace(settings, kafka="127.0.0.1:9"), tmp_path) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 30) == 1
    assert "127.0.0.1:9: no Kafka broker answers" in workers.log(0).read_text()


async def test_it_refuses_another_number_of_partitions(provisioned: Settings, tmp_path: Path) -> None:
    """Topics made with 4 partitions do not fit a worker set to 8."""
    with Workers(replace(provisioned, partitions=8), tmp_path) as workers:
        assert await asyncio.to_thread(workers.processes[0].wait, 30) == 1
    assert "expected 8 partitions, got 4" in workers.log(0).read_text()
