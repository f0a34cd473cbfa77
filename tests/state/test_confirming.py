"""The monthly request to an account's owner to confirm what was entered by hand."""

import json
from typing import Any

import pytest

from scoring.presets import load_model
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import feed, partition_for


def asked(log: Log) -> list[dict[str, Any]]:
    """Return the records of the request, in order."""
    partition = partition_for(load_model("saas-renewal"))
    feed(partition, log.journal)
    flush = partition.take_flush()
    assert flush is not None
    told = [json.loads(alert.value or b"") for alert in flush.alerts]
    return [alert for alert in told if alert["rule"] == "confirm-facts"]


def account(days: int, **facts: Any) -> Log:
    """Return a log of an account with an owner that logs in every day, beginning with what is entered."""
    log = Log()
    log.event("accounts", "acme", START, owner="ann", contacts=3, **facts)
    for day in range(days):
        log.event("usage", "acme", START + day * DAY + HOUR, user_id="u")
    log.tick(START + days * DAY)
    return log


KNOWN = {"relationship": {"champion": "active", "executive": "active", "outcome": "defensible", "by": "ann"}}


def test_the_owner_is_asked_every_month():
    """After a month without confirmation the owner has a next step; while nobody answers it is told again monthly."""
    found = asked(account(95, **KNOWN))
    assert [(a["state"], a["severity"], a.get("repeated", False)) for a in found] == [
        ("firing", "info", False),
        ("firing", "info", True),
        ("firing", "info", True),
    ]
    assert found[0]["occurred_at"][:10] == "2026-03-31"
    assert (found[0]["next_step"]["playbook"], found[0]["next_step"]["owner"]) == ("confirm-facts", "ann")


@pytest.mark.parametrize("answer", [{"by": "ann"}, {"champion": "at_risk", "by": "ann"}])
def test_an_answer_ends_it_for_a_month(answer):
    """Confirming (only `by`) or changing a fact resolves it at once; a month later it is asked anew."""
    log = account(40, **KNOWN)
    log.event("accounts", "acme", START + 40 * DAY + HOUR, relationship=answer)
    for day in range(41, 75):
        log.event("usage", "acme", START + day * DAY, user_id="u")
    log.tick(START + 75 * DAY)
    found = asked(log)
    assert [(a["state"], a["episode"]) for a in found] == [("firing", 1), ("resolved", 1), ("firing", 2)]
    assert found[1]["occurred_at"] == found[1]["occurred_at"][:10] + "T06:00:00.017Z"
    assert found[2]["occurred_at"][:10] == "2026-05-11"


def test_nobody_is_asked_to_confirm_what_was_never_said():
    """Without anything entered by hand there is nothing to confirm, and coverage says what is missing."""
    assert asked(account(95)) == []
