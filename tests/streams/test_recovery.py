"""Which restored positions are accepted; the refusals say what to do."""

import asyncio
import gc

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from state.layout import INPUT_TOPICS
from streams.access import kafka
from streams.failpoints import Failpoints
from streams.halt import UNSAFE, Refusal
from streams.lease import Lease
from streams.observer import Observer
from streams.recovery import Source, _refuse_misfits, check_positions, is_fenced, restore
from streams.settings import Settings
from tests.streams.counting import META, CountingFold

WHERE = TopicPartition("usage", 2)


@pytest.mark.parametrize(
    ("position", "committed", "log"),
    [
        (None, -1, (0, 0)),  # never read, nothing there
        (None, -1, (40, 90)),  # never read, the log's beginning was deleted before we came
        (10, 10, (0, 10)),
        (10, 7, (0, 12)),  # the group shows an older flush: those records are skipped
        (10, -1, (10, 10)),
    ],
)
def test_positions_that_fit_are_accepted(position: int | None, committed: int, log: tuple[int, int]) -> None:
    """The state may be ahead of the committed offsets and anywhere inside the log."""
    _refuse_misfits(WHERE, position, committed, log)


@pytest.mark.parametrize(
    ("position", "committed", "log", "sentence"),
    [
        (10, 11, (0, 20), "usage[2]: offsets are ahead of the state (committed 11, state 10)"),
        (None, 1, (0, 20), "usage[2]: offsets are ahead of the state (committed 1, state 0)"),
        (10, 10, (0, 9), "usage[2]: the log ends at 9, before the state's position 10"),
        (10, 10, (11, 20), "usage[2]: the log begins at 11, after the state's position 10"),
    ],
)
def test_positions_that_do_not_fit_are_refused(
    position: int | None, committed: int, log: tuple[int, int], sentence: str
) -> None:
    """Offsets ahead of the state, a log made anew, unread records deleted: exit code 3 and a sentence."""
    with pytest.raises(Refusal) as caught:
        _refuse_misfits(WHERE, position, committed, log)
    assert str(caught.value).startswith(sentence)
    assert caught.value.code == UNSAFE


async def test_a_restore_reads_to_the_end_over_transaction_markers(provisioned: Settings) -> None:
    """Three committed transactions and an aborted one: the last value of each key, and nothing aborted."""
    inputs = {topic: provisioned.topic(topic) for topic in INPUT_TOPICS}
    source = Source(kafka(provisioned), provisioned.app_id, provisioned.changelog, inputs)
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka, transactional_id=provisioned.app_id) as producer:
        for count in (1, 2, 3, 99):
            await producer.begin_transaction()
            await producer.send_and_wait(source.changelog, b"%d" % count, key=b"a", partition=1)
            meta = b'{"sequence":%d,"positions":{"usage":0}}' % count
            await producer.send_and_wait(source.changelog, meta, key=META, partition=1)
            await (producer.abort_transaction() if count == 99 else producer.commit_transaction())
    lease = Lease(1, CountingFold(1), None, INPUT_TOPICS)
    await restore(lease, source, Observer(), Failpoints({}))
    await check_positions([lease], source)
    assert (lease.fold.rows, lease.fold.sequence, lease.loaded) == ({b"a": 3}, 3, 6)
    assert lease.starts == dict.fromkeys(INPUT_TOPICS, 0)


async def test_rows_without_the_record_of_their_partition_are_refused(provisioned: Settings) -> None:
    """As a former owner reads them that restores slowly while the next one goes on and the changelog is compacted."""
    inputs = {topic: provisioned.topic(topic) for topic in INPUT_TOPICS}
    source = Source(kafka(provisioned), provisioned.app_id, provisioned.changelog, inputs)
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        await producer.send_and_wait(source.changelog, b"1", key=b"a", partition=1)
    with pytest.raises(Refusal, match="rows without the partition's record below offset 1") as caught:
        await restore(Lease(1, CountingFold(1), None, INPUT_TOPICS), source, Observer(), Failpoints({}))
    assert caught.value.code == UNSAFE


async def test_a_worker_can_tell_that_it_was_fenced_during_its_restore(provisioned: Settings) -> None:
    """Only after another producer of the partition's id has started; asking commits nothing, and no error is left unread."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    inputs = {topic: provisioned.topic(topic) for topic in INPUT_TOPICS}
    source = Source(kafka(provisioned), provisioned.app_id, provisioned.changelog, inputs)
    options = {"bootstrap_servers": provisioned.kafka, "transactional_id": provisioned.app_id}
    async with AIOKafkaProducer(**options) as producer:
        lease = Lease(1, CountingFold(1), producer, INPUT_TOPICS)
        assert not await is_fenced(lease, source)
        assert not await is_fenced(lease, source)  # and the producer goes on working
        async with AIOKafkaProducer(**options):
            assert await is_fenced(lease, source)
    lease.producer = producer = None  # type: ignore[assignment]
    gc.collect()
    assert "Future exception was never retrieved" not in complaints
    await check_positions([lease], source)
    assert lease.starts == dict.fromkeys(INPUT_TOPICS, 0)
