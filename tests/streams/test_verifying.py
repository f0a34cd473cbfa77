"""`alerts verify`: what the log gives is right, what somebody changed is not, and what cannot be known is said."""

from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from scoring.compile import compile_model
from scoring.presets import load_model
from state.murmur2 import partition_of
from state.partition import Partition
from streams.settings import Settings
from streams.topics import admin
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import feed
from tests.streams.test_cli_alerts import command

ACCOUNT = "acme"
MODEL = """
name = "proof"
version = 1
[signals.scores]
from = "support"
measure = "last(score)"
events = ["nps"]
[inputs.mood]
value = "last(scores)"
curve = [[0, 0], [10, 100]]
weight = 1
[[bands]]
name = "red"
enter_below = 50
leave_above = 60
dwell = "0h"
"""
FIRST, SECOND = alert_id(ACCOUNT, "band-red", 1), alert_id(ACCOUNT, "band-red", 2)


@pytest.fixture
async def history(provisioned: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Topics as a worker leaves them: an account that turned red, was acknowledged, recovered, and turned red again.

    The second alert's record was changed afterwards: its health is another.
    """
    (tmp_path / "proof.toml").write_text(MODEL)
    for name, value in (provisioned.environ() | {"BELLWETHER_MODEL": str(tmp_path / "proof.toml")}).items():
        monkeypatch.setenv(name, value)
    number = partition_of(ACCOUNT.encode(), provisioned.partitions)
    compiled = compile_model(load_model(str(tmp_path / "proof.toml")))
    state = Partition(number, provisioned.partitions, compiled, app_id=provisioned.app_id)
    log, flushes = Log(), []
    for at, score in ((START, 9), (START + HOUR, 2), (START + 3 * DAY, 9), (START + 5 * DAY, 1)):
        log.event("support", ACCOUNT, at, event="nps", score=score)
        if score == 2:
            log.event("commands", ACCOUNT, at + HOUR, command="acknowledge", alert_id=FIRST, by="ann")
        log.tick(at + HOUR // 2)
        flushes.append(feed(state, log.journal).take_flush())
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:

        async def write(topic, key, value, headers=(), at=None) -> None:
            await producer.send_and_wait(
                provisioned.topic(topic),
                value,
                key,
                partition=number,
                headers=[(n, v) for n, v in headers],
                timestamp_ms=at,
            )

        for topic, records in log.journal:
            for record in records:
                await write(topic, record.key, record.value, at=record.timestamp)
        for flush in flushes:
            await write("journal", flush.journal.key, flush.journal.value)
            for message in flush.alerts:
                body = orjson.loads(message.value)
                if body["alert_id"] == SECOND:
                    body["scores"]["health"] = 11.0
                value = orjson.dumps(body) if body["alert_id"] == SECOND else message.value
                await write("alerts", message.key, value, message.headers)
    return provisioned


@pytest.mark.usefixtures("history")
async def test_what_the_log_gives_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Every state of the alert is computed again, byte for byte; exit code 0."""
    assert await command("alerts", "verify", FIRST[:8], "--json") == 0
    found = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["alert_id"], found["account_id"], found["right"]) == (FIRST, ACCOUNT, True)
    assert [(record["state"], record["right"]) for record in found["records"]] == [
        *(("firing", True), ("acknowledged", True), ("resolved", True))
    ]
    assert found["folded"] == 7
    assert await command("alerts", "verify", FIRST) == 0
    told = capsys.readouterr()
    assert "firing        sequence 1, flush 2: right" in told.out
    assert "is right, byte for byte (7 records applied again)" in told.err


@pytest.mark.usefixtures("history")
async def test_what_was_changed_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the very place where the record differs from the log."""
    assert await command("alerts", "verify", SECOND) == 1
    told = capsys.readouterr()
    assert "$.scores.health: written 11.0, computed 10.0" in told.out
    assert f"acme: alert {SECOND} is not what the log gives" in told.err


@pytest.mark.parametrize("gone", [1, 3])
async def test_a_journal_that_begins_later_still_proves_what_is_right(
    history: Settings, gone: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its first flush gone, or all that speak of the alert: the same bytes from the records' times are a proof too."""
    number = partition_of(ACCOUNT.encode(), history.partitions)
    async with admin(history) as client:
        place = TopicPartition(history.topic("journal"), number)
        await client.delete_records({place: RecordsToDelete(before_offset=gone)})
    assert await command("alerts", "verify", FIRST, "--json") == 0
    found = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["right"], found["known"], found["missing"]) == (True, True, [])
    assert 0 < found["guessed"] <= found["folded"]
    # What somebody changed is found as well, but proves nothing: another order might have given it.
    assert await command("alerts", "verify", SECOND) == 1
    told = capsys.readouterr()
    assert "$.scores.health: written 11.0, computed 10.0" in told.out
    assert f"alert {SECOND} is not proved: what is left of the log gives another" in told.err
    assert "records before it were applied in the order of their times" in told.err


async def test_inputs_that_are_gone_are_named(history: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """An input topic that no longer has its beginning is said, and a difference then proves nothing."""
    number = partition_of(ACCOUNT.encode(), history.partitions)
    name = history.topic("support")
    async with admin(history) as client:
        await client.delete_records({TopicPartition(name, number): RecordsToDelete(before_offset=1)})
    assert await command("alerts", "verify", FIRST) == 1
    told = capsys.readouterr()
    assert "is not proved" in told.err
    assert f"{name} begins at offset 1: what was before it is gone" in told.err


@pytest.mark.usefixtures("history")
async def test_what_cannot_be_known_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert that never was, another model, and topics that are not there are one sentence each."""
    assert await command("alerts", "verify", "zzz") == 1
    assert capsys.readouterr().err == "zzz: expected one alert, none begins like this — see `bellwether alerts tail`\n"
    with monkeypatch.context() as patched:
        patched.setenv("BELLWETHER_MODEL", "saas-renewal")
        assert await command("alerts", "verify", FIRST) == 1
    assert "set BELLWETHER_MODEL to the file of that version" in capsys.readouterr().err
    monkeypatch.setenv("BELLWETHER_TOPIC_PREFIX", "elsewhere-")
    assert await command("alerts", "verify", FIRST) == 1
    assert "elsewhere-alerts: no such topic in Kafka" in capsys.readouterr().err
