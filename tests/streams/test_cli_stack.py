"""`up`, `down` and `doctor` as a person runs them."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local.processes import free_ports
from state.changelog import PARTITION, Meta
from state.layout import LAYOUT_VERSION
from state.murmur2 import partition_of
from streams import standing
from streams.cli import main
from streams.outbox import Outbox
from streams.reading import committed
from streams.settings import Settings
from streams.topics import TOPICS


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in settings.environ().items():
        monkeypatch.setenv(variable, value)


def test_up_twice_then_down_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second `up` finds the first's servers, the second `down` finds nothing; both are fine."""
    monkeypatch.setenv("BELLWETHER_DATA_DIR", str(tmp_path))
    try:
        assert main(["up", "--kafka-port", "0", "--redis-port", "0", "--json"]) == 0
        first = last_json(capsys)
        assert main(["up", "--json"]) == 0
        assert last_json(capsys) == first | {"started": False}
        monkeypatch.setenv("BELLWETHER_KAFKA", str(first["kafka"]))
        assert main(["topics", "create", "--json"]) == 0
        assert len(last_json(capsys)["created"]) == len(TOPICS)
    finally:
        assert main(["down", "--json"]) == 0
    assert last_json(capsys) == {"stopped": True}
    assert main(["down", "--json"]) == 0
    assert last_json(capsys) == {"stopped": False}


def test_doctor_finds_nothing_where_all_is_well(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With broker, topics and Redis as they should be every check is good and the exit code 0."""
    use(provisioned, monkeypatch)
    assert main(["doctor", "--json"]) == 0
    report = last_json(capsys)
    assert report["ok"]
    assert [check["what"] for check in report["checks"]] == [
        "python",
        "faust-streaming",
        "aiokafka",
        "model",
        "kafka",
        "topics",
        "redis",
        "clock",
        "state",
        "workers",
        "lag",
        "redis content",
    ]


def test_doctor_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing topics and an absent Redis are told with their remedy, without Redis's password; exit code 1."""
    use(settings, monkeypatch)
    port = free_ports(1)[0]
    monkeypatch.setenv("BELLWETHER_REDIS_URL", f"redis://user:secret@127.0.0.1:{port}/0")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert f"BAD topics: {len(TOPICS)} of {len(TOPICS)} missing — run `bellwether topics create`" in said
    assert f"BAD redis: no answer at 127.0.0.1:{port}/0" in said
    assert "secret" not in said


def test_doctor_goes_on_without_a_broker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreachable broker is one bad check; Redis is looked at all the same."""
    use(settings, monkeypatch)
    monkeypatch.setenv("BELLWETHER_KAFKA", f"127.0.0.1:{free_ports(1)[0]}")
    assert main(["doctor", "--json"]) == 1
    checks = {check["what"]: check["ok"] for check in last_json(capsys)["checks"]}
    assert (checks["kafka"], checks["redis"]) == (False, True)


async def test_doctor_tells_what_waits(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records that nobody reads are bad and named with their partitions; so is the missing worker."""
    use(provisioned, monkeypatch)
    topic = provisioned.topic("usage")
    async with Outbox(provisioned) as outbox:
        await outbox.open(topic)
        for _ in range(5):
            await outbox.add(topic, b"acme", b"{}", 1)
    assert await asyncio.to_thread(main, ["doctor", "--json"]) == 1
    checks = {check["what"]: check for check in last_json(capsys)["checks"]}
    partition = partition_of(b"acme", provisioned.partitions)
    assert checks["lag"]["found"] == f"5 records wait, nothing moves on usage[{partition}]"
    stuck = checks[f"partition {partition}"]
    assert (stuck["found"], stuck["advice"]) == ("5 records wait, held by no worker", "start a worker")
    assert checks["state"]["found"].startswith(f"0 of {provisioned.partitions} partitions written, layout ")
    assert checks["workers"]["found"] == f"none in the group {provisioned.app_id}"
    assert checks["workers"]["advice"] == "start one (`bellwether worker`): records wait"


async def test_doctor_names_who_holds_a_stuck_partition_and_an_unreadable_state(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A member of the workers' group that reads nothing is told by its host; rows of another layout with their remedy."""
    use(provisioned, monkeypatch)
    topic = provisioned.topic("usage")
    meta = Meta(layout=1, model="f" * 16, sequence=1, positions={}, clock_ms=0, duplicates=[], held=None)
    async with Outbox(provisioned) as outbox:
        await outbox.open(topic)
        await outbox.add(topic, b"acme", b"{}", 1)
        await outbox.add(provisioned.changelog, PARTITION, msgspec.json.encode(meta), None, partition=0)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=provisioned.kafka, group_id=provisioned.app_id, enable_auto_commit=False
    ) as consumer:
        while not consumer.assignment():
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(main, ["doctor", "--json"]) == 1
    checks = {check["what"]: check for check in last_json(capsys)["checks"]}
    partition = partition_of(b"acme", provisioned.partitions)
    assert checks[f"partition {partition}"]["found"] == "1 records wait, held by the worker at 127.0.0.1"
    assert "log lines of the worker at 127.0.0.1" in checks[f"partition {partition}"]["advice"]
    assert checks["state"]["found"] == f"partition 0: expected rows of layout {LAYOUT_VERSION}, got layout 1"
    assert checks["state"]["advice"].startswith("start the worker with the version of Bellwether that wrote them")


async def test_the_marker_of_a_transaction_does_not_wait(provisioned: Settings) -> None:
    """A log that ends with a marker and no record behind what is committed counts as read."""
    topic = provisioned.topic("usage")
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka, transactional_id=provisioned.app_id) as producer:
        async with producer.transaction():
            await producer.send(topic, b"{}", partition=0)
        async with producer.transaction():
            await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 1}, provisioned.app_id)
    async with asyncio.timeout(20):  # the broker writes the markers after it has answered
        while TopicPartition(topic, 0) not in await committed(provisioned, provisioned.app_id):
            await asyncio.sleep(0.05)
    assert await standing.look(provisioned, 0.1) == standing.Standing(0, {}, ())


async def test_doctor_tells_how_far_redis_is(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores that were committed and not projected are counted; a few are no fault."""
    use(provisioned, monkeypatch)
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        for number in range(3):
            await producer.send_and_wait(provisioned.topic("scores"), b"{}", key=str(number).encode())
    assert await asyncio.to_thread(main, ["doctor", "--json"]) == 0
    checks = {check["what"]: check["found"] for check in last_json(capsys)["checks"]}
    assert checks["redis content"] == "3 committed scores and alerts behind"
