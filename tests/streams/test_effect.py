"""What came of playbooks, told from records: the counts by hand, and the interval against a published example."""

import json
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.effect import Answer, PlaybookEffect, Share, effects
from streams.settings import Settings
from tests.state.scored import low, model_of
from tests.streams.test_cli_alerts import command

MODEL = model_of([low(playbook="call")], playbooks={"call": {"steps": ["ring"], "due": "2d", "recover_within": "10d"}})


def at(day: int, hour: int = 0) -> str:
    """A time in March."""
    return f"2026-03-{day:02d}T{hour:02d}:00:00.000Z"


def record(account: str, day: int, state: str, band: str, episode: int = 1, **more: Any) -> dict[str, Any]:
    """A record of an account's alert with the playbook `call`."""
    step = None if state == "resolved" else {"playbook": "call"}
    head = {"alert_id": f"{account}{episode}", "account_id": account, "state": state, "to_band": band}
    return head | {"occurred_at": at(day), "next_step": step, **more}


def answer(account: str, command: str, day: int, alert: str | None = None) -> Answer:
    """A command at noon."""
    return Answer(account, command, at(day, 12), alert)


def test_what_came_of_a_playbook_is_counted() -> None:
    """Answered by the first of several answers; recovered in time, late, closed, open and held out are told apart."""
    alerts = [
        record("in-time", 1, "firing", "red"),
        record("in-time", 3, "firing", "red", overdue=True),
        record("in-time", 5, "resolved", "green", resolution="CONDITION_ENDED"),
        record("in-time", 20, "firing", "red", episode=2),  # a second one of the account says nothing about recovery
        record("too-late", 1, "firing", "red"),
        record("too-late", 12, "resolved", "green", resolution="CONDITION_ENDED"),
        record("half-way", 1, "firing", "red"),
        record("half-way", 5, "resolved", "yellow", resolution="CONDITION_ENDED"),
        record("gone", 1, "firing", "green"),
        record("gone", 2, "resolved", "green", resolution="ACCOUNT_CLOSED"),
        record("open", 25, "firing", "red"),  # may still recover
        record("held", 1, "firing", "red", holdout=True),
        record("held", 4, "resolved", "green", resolution="CONDITION_ENDED"),
        record("held-too", 1, "firing", "red", holdout=True),
        record("other", 28, "firing", "red") | {"next_step": None},
    ]
    commands = [
        answer("in-time", "note", 1, "in-time1"),
        answer("in-time", "step_done", 4, "in-time1"),
        answer("in-time", "acknowledge", 2, "in-time1"),
        answer("too-late", "outreach", 1),
        answer("half-way", "outreach", 9),  # after its end
    ]
    (found,) = effects(alerts, commands, [], MODEL)
    assert found == PlaybookEffect(
        "call", 6, 1, 0, Share(2, 6), (36 + 12) / 2, Share(1, 4), Share(1, 2), Share(1, 2), Share(1, 3)
    )


def test_a_band_that_no_alert_told_of_is_read_off_the_score() -> None:
    """Ended in yellow, green by the latest score within the time: recovered."""
    alerts = [
        record("a", 1, "firing", "red"),
        record("a", 3, "resolved", "yellow", resolution="CONDITION_ENDED"),
    ]
    (found,) = effects(alerts, [], [{"account_id": "a", "at": at(9), "band": "green"}], MODEL)
    assert found.recovered == Share(1, 1)
    (late,) = effects(alerts, [], [{"account_id": "a", "at": at(12), "band": "green"}], MODEL)
    assert late.recovered == Share(0, 1)


def test_a_band_of_a_day_in_between_is_read_off_the_history() -> None:
    """Ended in yellow, green at the end of a day within the time, yellow again by now: recovered only where days are kept."""
    alerts = [
        record("a", 1, "firing", "red"),
        record("a", 3, "resolved", "yellow", resolution="CONDITION_ENDED"),
    ]
    now = [{"account_id": "a", "at": at(20), "band": "yellow"}]
    history = [
        {"account_id": "a", "at": at(10), "health": 80.0, "band": "green"},
        {"account_id": "a", "at": at(9), "health": 60.0},
        {"account_id": "a", "at": at(12), "health": 60.0, "band": "yellow"},
    ]
    (found,) = effects(alerts, [], now, MODEL, history)
    assert found.recovered == Share(1, 1)
    (found,) = effects(alerts, [], now, MODEL)
    assert found.recovered == Share(0, 1)


def test_the_difference_has_newcombe_s_interval() -> None:
    """His example: 56/70 against 48/80 is 20 points, 5.24 to 33.39."""
    found = PlaybookEffect("p", 0, 0, 0, Share(0, 0), None, Share(56, 70), Share(48, 80)).difference()
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert PlaybookEffect("p", 0, 0, 0, Share(0, 0), None, Share(1, 2), Share(0, 0)).difference() is None


async def test_the_command_reads_the_topics(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alerts, commands (a broken one among them) and scores as they lie in Kafka become one line for each playbook."""
    for name, value in provisioned.environ().items():
        monkeypatch.setenv(name, value)
    step = {"playbook": "adoption-rescue"}
    alerts = [
        record("a", 1, "firing", "red") | {"next_step": step},
        record("a", 5, "resolved", "green", resolution="CONDITION_ENDED"),
    ]
    said = msgspec.json.encode(answer("a", "acknowledge", 1, "a1"))
    score = msgspec.json.encode({"account_id": "a", "at": at(6), "band": "green"})
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        for alert in alerts:
            await producer.send_and_wait(provisioned.topic("alerts"), msgspec.json.encode(alert), b"a")
        for value in (b"{", said):
            await producer.send_and_wait(provisioned.topic("commands"), value, b"a")
        await producer.send_and_wait(provisioned.topic("scores"), score, b"a")
    assert await command("alerts", "effect", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "playbooks": [
            {
                "playbook": "adoption-rescue",
                "opened": 1,
                "overdue": 0,
                "suppressed": 0,
                "answered": 1,
                "hours_to_answer": 12.0,
                "recovered": {"count": 1, "of": 1},
                "held_out_recovered": {"count": 0, "of": 0},
                "difference": None,
            }
        ]
    }
    assert await command("alerts", "effect") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "adoption-rescue: 1 opened, answered 1 of 1 (100%), median after 12.0 h",
        "    0 overdue, 0 suppressed; recovered 1 of 1 (100%)",
    ]
    assert "1 alerts with a playbook, 1 answered" in told.err
