"""One flush is one transaction: what it writes, where, and when the next one comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from state.flush import Flush, Message
from state.layout import INPUT_TOPICS
from streams import commit
from streams.commit import BACKLOG_RECORDS, FLUSH_SECONDS, Committer, Outputs, flush_seconds
from streams.lease import Lease
from streams.merge import Chunk
from streams.observer import Observer
from streams.settings import Settings
from streams.store import TRANSACTION_TIMEOUT_MS
from tests.streams.counting import CountingFold
from tests.streams.recount import read_all
from tests.streams.test_merge import At


class Flushes(Observer):
    """Notes when flushes were committed."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def flushed(self, partition: int, seconds: float, flush: Flush) -> None:
        """Note it."""
        del partition, seconds, flush
        self.at.append(monotonic())


class OneFlush(CountingFold):
    """A state with one flush that writes to every destination."""

    def take_flush(self) -> Flush:
        """Return it."""
        headers = (("bw_reason", b"BAD"), ("bw_path", b"$.id"))
        return Flush(
            sequence=1,
            journal=Message(None, b"journal"),
            offsets={"usage": 7, "ticks": 2},
            changelog=[Message(b"a", b"row"), Message(b"b", None)],
            scores=[Message(b"a", b"score")],
            alerts=[Message(b"a", b"alert", (("ce_id", b"1"), ("ce_type", b"io.bellwether.alert.firing")))],
            dead_letters=[Message(b"k", b"\xff", headers)],
            rerouted=[Message(b"a", b"away", timestamp=1_000, partition=3), Message(b"b", b"here", timestamp=2_000)],
        )


@asynccontextmanager
async def open_lease(
    settings: Settings, fold: CountingFold, observer: Observer
) -> AsyncIterator[tuple[Lease, Committer]]:
    """Give a lease of partition 1 that serves, and a committer."""
    inputs = {topic: settings.topic(topic) for topic in INPUT_TOPICS}
    names = {
        part: settings.topic(part.replace("_", "-"))
        for part in ("scores", "alerts", "dead_letters", "rerouted", "journal")
    }
    outputs = Outputs(group=settings.app_id, inputs=inputs, changelog=settings.changelog, **names)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.app_id}-1") as producer:
        lease = Lease(1, fold, producer, INPUT_TOPICS)
        lease.serve(1)
        yield lease, Committer(outputs, 50, 1_000, 500, observer)
    # A commit is answered before its markers are in the logs; the next producer of that id waits until they are.
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.app_id}-1"):
        pass


async def test_a_flush_writes_every_part_to_its_topic(provisioned: Settings) -> None:
    """Keys, values, tombstones, headers, timestamps and partitions arrive as given; offsets are the group's."""
    async with open_lease(provisioned, OneFlush(1), Observer()) as (lease, committer):
        await committer.flush(lease)
    read = {}
    for topic in ("scores", "alerts", "dead-letters", "rerouted", "journal"):
        read[topic] = await read_all(provisioned, provisioned.topic(topic))
    rows = (await read_all(provisioned, provisioned.changelog))[1]
    assert [(r.key, r.value) for r in rows] == [(b"a", b"row"), (b"b", None)]
    assert [(r.key, r.value) for r in read["scores"][1]] == [(b"a", b"score")]
    assert list(read["alerts"][1][0].headers) == [("ce_id", b"1"), ("ce_type", b"io.bellwether.alert.firing")]
    letter = read["dead-letters"][1][0]
    assert (letter.key, letter.value) == (b"k", b"\xff")
    assert list(letter.headers) == [("bw_reason", b"BAD"), ("bw_path", b"$.id")]
    assert [(r.value, r.timestamp) for r in read["rerouted"][3]] == [(b"away", 1_000)]
    assert [(r.value, r.timestamp) for r in read["rerouted"][1]] == [(b"here", 2_000)]
    assert [(r.key, r.value) for r in read["journal"][1]] == [(None, b"journal")]
    expected = {
        TopicPartition(provisioned.topic("usage"), 1): 7,
        TopicPartition(provisioned.topic("ticks"), 1): 2,
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=provisioned.kafka)
    await admin.start()
    try:
        async with asyncio.timeout(20):  # the group shows a transaction's offsets a moment after its commit
            while {
                tp: meta.offset for tp, meta in (await admin.list_consumer_group_offsets(provisioned.app_id)).items()
            } != expected:
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def test_many_rows_need_several_batches_and_all_arrive(provisioned: Settings) -> None:
    """4 000 rows of 1 000 bytes exceed one batch many times over."""
    fold = CountingFold(1)
    fold.apply_runs([("usage", [At(index, 0, b"%d" % index + b"x" * 1_000) for index in range(4_000)])])
    async with open_lease(provisioned, fold, Observer()) as (lease, committer):
        await committer.flush(lease)
    assert len((await read_all(provisioned, provisioned.changelog))[1]) == 4_001


async def test_an_alert_is_flushed_at_the_shortest_interval_and_the_rest_at_the_interval(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second flush waits for the interval, here two seconds; when its state is urgent only for the shortest one."""
    monkeypatch.setattr(commit, "FLUSH_SHARE", 10_000)  # so that every interval is the longest
    flushes, fold = Flushes(), CountingFold(1)

    async def flush_of(count: int, offset: int, lease: Lease) -> float:
        began, before = monotonic(), len(flushes.at)
        fold.apply_runs([("usage", [At(offset + index, 0, b"a") for index in range(count)])])
        lease.is_dirty.set()
        async with asyncio.timeout(20):
            while len(flushes.at) == before:
                await asyncio.sleep(0.001)
        return flushes.at[-1] - began

    async with open_lease(provisioned, fold, flushes) as (lease, committer):
        committer._max_seconds = 2.0
        fold.apply_runs([("usage", [At(0, 0, b"other")])])
        await committer.flush(lease)  # a new broker takes its time for the first transaction
        task = asyncio.create_task(committer.commit_forever(lease))
        await flush_of(1, 1, lease)  # the first finds no interval to wait for
        waited = await flush_of(1, 2, lease)
        urgent = await flush_of(8, 3, lease)  # the tenth event alerts
        task.cancel()
    assert urgent < waited


async def test_an_alert_waits_while_a_backlog_is_applied(provisioned: Settings) -> None:
    """More waiting records than one stretch hold urgent state back for the whole interval, fewer do not."""
    fold = CountingFold(1)

    async def waited(lease: Lease, committer: Committer, waiting: int) -> float:
        lease.inbox.restart({"usage": 0})
        lease.offer(Chunk("usage", 1, [At(0, 0, b"a")] * waiting, 0, 1, generation=1))
        began = monotonic()
        await committer._gather_more(lease, began, 2.0)
        return monotonic() - began

    async with open_lease(provisioned, fold, Flushes()) as (lease, committer):
        fold.apply_runs([("usage", [At(offset, 0, b"a") for offset in range(10)])])  # the tenth event alerts
        few = await waited(lease, committer, BACKLOG_RECORDS)
        many = await waited(lease, committer, BACKLOG_RECORDS + 1)
    assert few < many


def test_a_large_flush_has_more_time_and_every_flush_less_than_its_transaction() -> None:
    """Each 5 000 records are a second more, up to a limit below which the broker aborts nothing."""
    base = {"sequence": 1, "journal": Message(None, b"journal"), "offsets": {}}
    rows, few = [Message(b"a", b"row")] * 50_000, [Message(b"a", b"row")] * 50
    small, large = Flush(**base, changelog=few), Flush(**base, changelog=rows, scores=rows)
    huge = Flush(**base, changelog=rows * 100)
    assert flush_seconds(small) < FLUSH_SECONDS + 1
    assert flush_seconds(large) == FLUSH_SECONDS + 20
    assert flush_seconds(large) < flush_seconds(huge) < TRANSACTION_TIMEOUT_MS / 1000
