"""`explain` and `alerts`: what they show of Redis and Kafka, what they write, and what they say when they cannot."""

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import orjson
import pytest
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from state.changes import set_attributes
from state.decode import decode_event
from state.deeds import Effect, deed_of, remember
from state.events import Command
from state.layout import CLOSED, FIXED, NO_VALUE
from state.murmur2 import partition_of
from streams.cli import main
from streams.cli.worker import _roles
from streams.reading import read_all
from streams.settings import Settings
from tests.streams.projecting import has_begun, projecting

ACCOUNT = "acme"
SCORE = {
    "account_id": ACCOUNT,
    "at": "2026-03-10T00:00:00.000Z",
    "health": 31.25,
    "band": "red",
    "risk": 0.8,
    "horizon_days": 90.0,
    "expansion": 0.1,
    "value": 1000.0,
    "potential_value": 1200.0,
    "value_at_risk": 800.0,
    "coverage": 0.9,
    "slope_per_day": -1.5,
    "sequence": 7,
    "model": {"name": "m", "version": 1, "fingerprint": "f"},
    "positions": {},
    "owner": "ann@x",
    "name": "Acme [1]",
    "reasons": [
        {"code": "LOGINS", "text": "logins down 42 %", "contribution": -20.5},
        {"code": "PAYMENTS", "text": "an invoice is 30 days late", "contribution": -8.0},
    ],
}


def alert(identity: str, state: str, severity: str = "critical", owner: str = "ann@x") -> dict[str, object]:
    """An alert record of the account, with the fields that are shown."""
    step = {"playbook": "call", "goal": "g", "steps": ["call"], "owner": owner, "due_at": "2026-03-12T00:00:00.000Z"}
    return {
        "alert_id": identity,
        "sequence": 1,
        "account_id": ACCOUNT,
        "rule": "band-red",
        "episode": 1,
        "state": state,
        "severity": severity,
        "from_band": "yellow",
        "to_band": "red",
        "reasons": SCORE["reasons"],
        "why_it_moved": [
            {"code": "LOGINS", "text": "logins down 42 % (-12.0 over 14 days)", "contribution": -12.0},
            {"code": "OTHER", "text": "smaller moves together", "contribution": -0.5},
        ],
        "scores": {"health": 31.25, "risk": 0.8, "expansion": 0.1, "coverage": 0.9},
        "trajectory": {"slope_per_day": -1.5, "acceleration": 0.0, "expected_crossing": None},
        "next_step": None if state == "resolved" else step,
        "occurred_at": "2026-03-09T00:00:00.000Z",
    }


FIRST, SECOND = "a" * 32, "ab" + "c" * 30
LOG = [
    alert(FIRST, "firing"),
    alert(SECOND, "firing", "warning", "bob@x"),
    alert("d" * 32, "firing"),
    alert("d" * 32, "resolved"),
]


@pytest.fixture
async def filled(provisioned: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """One account with a score, two open alerts and a resolved one, in Kafka and Redis; commands see them."""
    for name, value in provisioned.environ().items():
        monkeypatch.setenv(name, value)
    partition = partition_of(ACCOUNT.encode(), provisioned.partitions)
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        for topic, value in (("scores", SCORE), *(("alerts", record) for record in LOG)):
            await producer.send_and_wait(
                provisioned.topic(topic), orjson.dumps(value), ACCOUNT.encode(), partition=partition
            )
    async with projecting(provisioned), redis.asyncio.Redis.from_url(provisioned.redis_url) as database:
        await has_begun(provisioned)
        async with asyncio.timeout(30):
            while await database.xlen(f"bw:{{{partition}}}:alerts") < len(LOG):
                await asyncio.sleep(0.02)
    return provisioned


async def command(*arguments: str) -> int:
    """Run a command beside this event loop; return its exit code."""
    return await asyncio.to_thread(main, arguments)


@pytest.mark.usefixtures("filled")
async def test_explain_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Reasons and the remainder sum to the health; open alerts are listed, resolved ones are not."""
    assert await command("explain", ACCOUNT, "--json") == 0
    value = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert value["found"]
    assert value["risk_within_days"] == pytest.approx({"30": 1 - 0.2 ** (1 / 3), "60": 1 - 0.2 ** (2 / 3), "90": 0.8})
    assert value["remainder"] + sum(reason["contribution"] for reason in value["reasons"]) == value["health"] == 31.25
    assert {record["alert_id"] for record in value["open_alerts"]} == {FIRST, SECOND}
    assert await command("explain", ACCOUNT) == 0
    shown = capsys.readouterr().out
    for part in (
        "Acme [1]",
        "churn risk 41.5% in 30 d, 65.8% in 60 d, 80.0% in 90 d",
        "value 1,000 (800 at risk, 1,200 if it expanded)",
        "31.2",
        "falling 1.5 points a day",
        "-20.5  logins down 42 %",
        "+59.8",
        "moved -12.5: logins down 42 % (-12.0 over 14 days); smaller moves together (-0.5)",
        "2 open alerts",
    ):
        assert part in shown


async def test_explain_says_when_an_account_is_unknown(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing known is exit code 1 and a sentence, not a trace."""
    assert await command("explain", "nobody-here") == 1
    assert capsys.readouterr().err.startswith("nobody-here: ")
    async with redis.asyncio.Redis.from_url(filled.redis_url) as database:
        await database.flushdb()
    assert await command("explain", ACCOUNT) == 1
    assert "Redis holds nothing of its partition yet — run `bellwether worker`" in capsys.readouterr().err


def test_an_unreachable_redis_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no Redis listens the command says so and what to do, without the password."""
    monkeypatch.setenv("BELLWETHER_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    assert main(["explain", ACCOUNT]) == 1
    said = capsys.readouterr().err
    assert said.startswith("127.0.0.1:1/0: Redis does not serve us (")
    assert "secret" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("choice", "states"),
    [
        ((), ["firing", "firing", "firing", "resolved"]),
        (("--limit", "1"), ["resolved"]),
        (("--from-beginning", "--limit", "1"), ["firing"]),
        (("--owner", "bob@x"), ["firing"]),
        (("--severity", "critical", "--owner", "ann@x"), ["firing", "firing", "resolved"]),
        (("--rule", "other"), []),
        (("--state", "resolved"), ["resolved"]),
        (("--account", ACCOUNT, "--rule", "band-red"), ["firing", "firing", "firing", "resolved"]),
    ],
)
async def test_tail_shows_what_was_asked_for(
    capsys: pytest.CaptureFixture[str], choice: tuple[str, ...], states: list[str]
) -> None:
    """Each option narrows the alerts; a resolved one, which has no next step, counts as its last owner's."""
    assert await command("alerts", "tail", "--json", *choice) == 0
    value = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert [record["state"] for record in value["alerts"]] == states
    assert value["count"] == len(states)


@pytest.mark.usefixtures("filled")
async def test_follow_shows_alerts_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    """From the beginning on, and ended by its limit; people see reasons and what to do."""
    assert await command("alerts", "tail", "--follow", "--from-beginning", "--limit", "4") == 0
    shown = capsys.readouterr().out
    assert shown.count("band-red  yellow → red") == len(LOG)
    assert "an invoice is 30 days late" in shown
    assert "do: call (call, bob@x, by 2026-03-12)" in shown


async def test_answers_become_commands(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each answer is one valid event of its account; the beginning of an open alert's id is enough where it is unique."""
    assert await command("alerts", "ack", "aaa", "--by", "ann", "--reason", "calling", "--wait", "0") == 0
    assert "acme: asked to acknowledge alert aaaaaaaa by ann" in capsys.readouterr().err
    snooze = ("snooze", SECOND, "--account", ACCOUNT, "--until", "3d", "--by", "ann", "--wait", "0")
    assert await command("alerts", *snooze) == 0
    assert await command("alerts", "resolve", "abc", "--json", "--wait", "0") == 0
    printed = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    events = [orjson.loads(r.value) async for r in read_all(filled, filled.topic("commands"))]
    assert [(event["command"], event["alert_id"], event["account_id"]) for event in events] == [
        ("acknowledge", FIRST, ACCOUNT),
        ("snooze", SECOND, ACCOUNT),
        ("resolve", SECOND, ACCOUNT),
    ]
    assert events[2] | {"effect": None} == printed
    assert events[0]["reason"] == "calling"
    assert events[1]["until"] > events[1]["occurred_at"]


@asynccontextmanager
async def answering(settings: Settings, effect: str = "DONE") -> AsyncIterator[None]:
    """Tells what people know, and an effect of every command, as a worker does: in the account's next score."""

    async def answer() -> None:
        number = partition_of(ACCOUNT.encode(), settings.partitions)
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
        async with consumer, AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
            consumer.assign([TopicPartition(settings.topic(name), number) for name in ("accounts", "commands")])
            profile: dict[str, Any] = {}
            row = np.full(FIXED, NO_VALUE)
            row[CLOSED] = 0
            async for record in consumer:
                if record.topic == settings.topic("accounts"):
                    set_attributes(row, profile, decode_event("accounts", record.value))
                else:
                    event = decode_event("commands", record.value)
                    assert isinstance(event, Command)
                    remember(profile, deed_of(event, Effect(effect), event.occurred_at_ms))
                value = orjson.dumps(SCORE | profile)
                await producer.send(settings.topic("scores"), value, ACCOUNT.encode(), partition=number)

    async with projecting(settings):
        task = asyncio.create_task(answer())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_every_decision_can_be_taken_and_its_effect_is_told(
    filled: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Assign, note, step, outreach and override are sent whole; each answer says what came of it; `show` and `explain` tell."""
    async with answering(filled):
        for given, said in [
            (("assign", "aaa", "--to", "bob@x"), "acme: asked to assign alert aaaaaaaa by ann: done"),
            (("assign", "--account", ACCOUNT, "--to", "eve@x"), "acme: asked to assign by ann: done"),
            (("note", "aaa", "--reason", "they call back"), "acme: asked to note alert aaaaaaaa by ann: done"),
            (("done", "aaa", "--step", "call"), "acme: asked to step done alert aaaaaaaa by ann: done"),
            (("outreach", "--account", ACCOUNT), "acme: asked to outreach by ann: done"),
            (
                ("override", "--account", ACCOUNT, "--health", "80", "--until", "14d", "--reason", "new sponsor"),
                "acme: asked to override until ",
            ),
        ]:
            assert await command("alerts", *given, "--by", "ann", "--wait", "60") == 0
            assert capsys.readouterr().err.startswith(said)
    assert await command("alerts", "show", "aaa") == 0
    shown = capsys.readouterr().out
    for line in ("ann: assign  bob@x", "ann: note  they call back", "ann: step done  call", "band-red"):
        assert line in shown
    assert "outreach" not in shown
    assert await command("explain", ACCOUNT) == 0
    assert "ann: outreach" in capsys.readouterr().out
    assert await command("alerts", "show", "zzz") == 1
    assert "zzz: expected one alert, none begins like this" in capsys.readouterr().err


async def test_what_people_know_is_stated_and_confirmed_without_json(
    filled: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing stated cannot be confirmed; what is stated and confirmed then stands in the score with who and when."""
    assert await command("confirm", ACCOUNT) == 1
    assert capsys.readouterr().err == (
        "acme: expected something to confirm, but its score shows nothing stated — say --champion, --executive, --outcome\n"
    )
    async with answering(filled):
        stated = ("--champion", "active", "--executive", "none", "--by", "ann", "--wait", "60")
        assert await command("confirm", ACCOUNT, *stated) == 0
        said = capsys.readouterr().out
        assert said.startswith("acme: champion active (ann 20")
        assert "executive none (ann " in said
        assert await command("confirm", ACCOUNT, "--by", "bob", "--wait", "60", "--json") == 0
    known = orjson.loads(capsys.readouterr().out.splitlines()[-1])["known"]
    assert [(known[name]["is"], known[name]["by"]) for name in ("champion", "executive")] == [
        ("active", "ann"),
        ("none", "ann"),
    ]
    assert known["confirmed"]["by"] == "bob"
    events = [orjson.loads(r.value) async for r in read_all(filled, filled.topic("accounts"))]
    assert [event["relationship"] for event in events] == [
        {"champion": "active", "executive": "none", "by": "ann"},
        {"by": "bob"},
    ]
    assert await command("explain", ACCOUNT) == 0
    assert "; confirmed by bob " in capsys.readouterr().out


async def test_a_command_without_effect_says_so(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer to an alert that has ended meanwhile: exit code 1, and the reason."""
    async with answering(filled, "CLOSED_ALERT"):
        assert await command("alerts", "ack", "aaa", "--by", "ann", "--wait", "60") == 1
    said = capsys.readouterr().err
    assert said == "acme: asked to acknowledge alert aaaaaaaa by ann: the alert is resolved already\n"


async def test_answers_that_cannot_be_meant_are_refused(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """An id that fits several alerts or none, and a snooze into the past, write nothing."""
    for given in (["ack", "a"], ["ack", "ffff"], ["snooze", "aaa", "--until", "2020-01-01T00:00:00Z"]):
        assert await command("alerts", *given) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("a: expected one alert, 2 begin like this")
    assert said[1].startswith("ffff: no open alert in Redis has this id")
    assert said[2].startswith("--until: expected a time after")
    assert await command("alerts", "note", "--reason", "x") == 1
    assert capsys.readouterr().err == "note: expected ALERT_ID or --account, got neither — say what it is about\n"
    assert [record async for record in read_all(filled, filled.topic("commands"))] == []


async def test_under_a_log_clock_an_answer_is_as_of_the_log(filled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in a replay carries the account's time, not ours: ours would make the account silent for months."""
    monkeypatch.setenv("BELLWETHER_CLOCK", "log")
    assert await command("alerts", "snooze", FIRST, "--account", ACCOUNT, "--until", "2d", "--wait", "0") == 0
    (record,) = [record async for record in read_all(filled, filled.topic("commands"))]
    event = orjson.loads(record.value)
    assert event["occurred_at"] == "2026-03-10T00:00:00.000Z"
    assert event["until"] == "2026-03-12T00:00:00.000Z"


def test_roles_are_checked() -> None:
    """Only the two roles there are may be named."""
    assert _roles("project, score") == {"score", "project"}
    with pytest.raises(argparse.ArgumentTypeError, match="expected score, project or score,project, got 'notify'"):
        _roles("notify")


async def test_a_projecting_worker_fills_redis_and_ends_cleanly(filled: Settings) -> None:
    """`worker --roles project` needs no model, fills an empty Redis, and SIGTERM ends it with 0."""
    async with redis.asyncio.Redis.from_url(filled.redis_url) as database:
        await database.flushdb()
    arguments = [sys.executable, "-m", "streams.cli", "worker", "--roles", "project"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await has_begun(filled)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
