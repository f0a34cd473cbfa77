"""Commands leave a trace: who did what when, and whether it had an effect."""

import json
from typing import Any

import pytest

from scoring.parse import parse
from state.deeds import KEPT
from state.moments import rfc3339
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import feed, partition_for, restored
from tests.state.random_models import SIGNALS

MODEL = parse(
    {
        "name": "deeds",
        "version": 1,
        "owner": "desk@x",
        "signals": {name: dict(signal) for name, signal in SIGNALS.items()},
        "inputs": {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}},
        "bands": [{"name": "red", "enter_below": 50, "leave_above": 60, "dwell": "0h", "playbook": "call"}],
        "playbooks": {"call": {"steps": ["ring", "write"], "due": "5d"}},
        "rules": [],
    },
    "deeds",
)
FIRST, SECOND = alert_id("a", "band-red", 1), alert_id("a", "band-red", 2)


def red_account(log: Log) -> None:
    """Let account a turn red."""
    log.event("support", "a", START, event="nps", score=9)
    log.event("support", "a", START + 1, event="nps", score=2)


def told(partition) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the deeds in the newest snapshot, and the alerts, of everything applied."""
    flush = partition.take_flush()
    snapshot = json.loads(flush.scores[-1].value)
    return snapshot.get("deeds", []), [json.loads(message.value) for message in flush.alerts]


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ({"command": "acknowledge", "alert_id": FIRST}, "DONE"),
        ({"command": "acknowledge"}, "INCOMPLETE"),
        ({"command": "acknowledge", "alert_id": SECOND}, "UNKNOWN_ALERT"),
        ({"command": "snooze", "alert_id": FIRST, "until": rfc3339(START + HOUR)}, "UNCHANGED"),
        ({"command": "snooze", "alert_id": FIRST, "until": rfc3339(START + 9 * DAY)}, "DONE"),
        ({"command": "snooze", "alert_id": FIRST}, "INCOMPLETE"),
        ({"command": "assign", "alert_id": FIRST, "owner": "bob@x"}, "DONE"),
        ({"command": "assign", "alert_id": FIRST}, "INCOMPLETE"),
        ({"command": "note", "reason": "called them"}, "DONE"),
        ({"command": "note"}, "INCOMPLETE"),
        ({"command": "outreach"}, "DONE"),
        ({"command": "step_done", "alert_id": FIRST, "step": "ring"}, "DONE"),
        ({"command": "step_done", "alert_id": FIRST}, "INCOMPLETE"),
        ({"command": "override", "health": 80}, "DONE"),
        ({"command": "override"}, "INCOMPLETE"),
    ],
    ids=lambda given: given if isinstance(given, str) else "-".join(given.values() if "x" in given else given),
)
def test_every_command_has_an_effect_that_is_told(command: dict[str, Any], effect: str) -> None:
    """The account's next snapshot says who did what when, and what came of it."""
    log = Log()
    red_account(log)
    log.event("commands", "a", START + 2 * HOUR, id="c1", by="ann", **command)
    deeds, _ = told(feed(partition_for(MODEL), log.journal))
    kept = {name: value for name, value in command.items() if name != "health"}
    assert deeds == [{"id": "c1", "at": rfc3339(START + 2 * HOUR), "effect": effect, "by": "ann", **kept}]


def test_a_command_for_an_ended_alert_is_told_so() -> None:
    """Resolved, then acknowledged: the answer says it is closed, and nothing is announced."""
    log = Log()
    red_account(log)
    log.event("commands", "a", START + HOUR, id="c1", command="resolve", alert_id=FIRST)
    log.event("commands", "a", START + 2 * HOUR, id="c2", command="acknowledge", alert_id=FIRST)
    deeds, alerts = told(feed(partition_for(MODEL), log.journal))
    assert [(deed["id"], deed["effect"]) for deed in deeds] == [("c1", "DONE"), ("c2", "CLOSED_ALERT")]
    assert [alert["state"] for alert in alerts] == ["firing", "resolved"]


def test_an_assigned_alert_says_whose_it_is_and_what_was_done() -> None:
    """The next record of the alert names the new owner and the steps done; a new owner of the account changes others."""
    log, partition = Log(), partition_for(MODEL)
    red_account(log)
    _, (first,) = told(feed(partition, log.journal))
    log.event("commands", "a", START + HOUR, command="assign", alert_id=FIRST, owner="bob@x", by="ann")
    log.event("commands", "a", START + 2 * HOUR, command="step_done", alert_id=FIRST, step="ring", by="bob@x")
    log.event("commands", "a", START + 3 * HOUR, command="acknowledge", alert_id=FIRST)
    log.event("commands", "a", START + 4 * HOUR, command="assign", owner="eve@x")
    log.event("support", "a", START + 5 * HOUR, event="nps", score=9)
    log.event("support", "a", START + 6 * HOUR, event="nps", score=1)
    _, later = told(feed(partition, log.journal))
    steps = [(alert["state"], alert["next_step"] and alert["next_step"]["owner"]) for alert in (first, *later)]
    assert steps == [("firing", "desk@x"), ("acknowledged", "bob@x"), ("resolved", None), ("firing", "eve@x")]
    done = {"step": "ring", "by": "bob@x", "at": rfc3339(START + 2 * HOUR)}
    assert later[0]["next_step"]["done"] == [done]
    assert "done" not in later[2]["next_step"]


def test_deeds_survive_a_restart_and_stay_few() -> None:
    """The newest ones are kept, the oldest go, attributes beside them stay; a restored row is the same."""
    log = Log()
    log.event("accounts", "a", START, name="Acme", owner="ann@x")
    red_account(log)
    for number in range(KEPT + 5):
        log.event("commands", "a", START + HOUR + number, id=f"c{number}", command="note", reason="x" * 2000)
    partition = feed(partition_for(MODEL), log.journal)
    flush = partition.take_flush()
    snapshot = json.loads(flush.scores[-1].value)
    assert [deed["id"] for deed in snapshot["deeds"]] == [f"c{number}" for number in range(5, KEPT + 5)]
    assert {len(deed["reason"]) for deed in snapshot["deeds"]} == {500}
    assert (snapshot["name"], snapshot["owner"]) == ("Acme", "ann@x")
    assert restored(MODEL, [flush]).row_bytes("a") == partition.row_bytes("a")
