"""The monthly request to an account's owner to confirm what was entered by hand."""

import json
from typing import Any

import pytest

from scoring.presets import load_model
from state.moments import rfc3339
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


@pytest.mark.parametrize(
    ("arr", "days"), [(1_000_000, ["2026-03-31", "2026-04-30", "2026-05-30"]), (12_000, []), (None, [])]
)
def test_who_never_said_anything_is_asked_where_it_is_worth_it(arr, days):
    """An account worth a person's hour is asked about after its first month, not on its first day; others never are."""
    found = asked(account(95, **({"arr": arr} if arr else {})))
    assert [a["occurred_at"][:10] for a in found] == days
    assert {a["state"] for a in found} <= {"firing"}


def test_what_was_never_said_cannot_be_confirmed():
    """Confirming where nothing is known, or erasing all of it, is no answer: the owner goes on being asked."""
    for said in ({"by": "ann"}, {"champion": None, "by": "ann"}):
        log = account(40, arr=1_000_000)
        log.event("accounts", "acme", START + 40 * DAY + HOUR, relationship=said)
        log.tick(START + 75 * DAY)
        assert {a["state"] for a in asked(log)} == {"firing"}


def test_each_fact_is_shown_with_who_said_it_when():
    """The score record names author and date of each fact and of the last confirmation; what is erased is gone."""
    log = Log()
    log.event("accounts", "acme", START, **KNOWN)
    log.event("accounts", "acme", START + DAY, relationship={"champion": "at_risk", "outcome": None, "by": "bob"})
    log.event("accounts", "acme", START + 2 * DAY, relationship={"by": "eve", "at": rfc3339(START + DAY + HOUR)})
    ann, bob, eve = (
        {"at": rfc3339(at), "by": by} for at, by in ((START, "ann"), (START + DAY, "bob"), (START + DAY + HOUR, "eve"))
    )
    assert shown(log) == {"champion": {"is": "at_risk"} | bob, "executive": {"is": "active"} | ann, "confirmed": eve}
    log.event("accounts", "acme", START + 3 * DAY, relationship=None)
    assert shown(log) is None


def shown(log: Log) -> dict[str, Any] | None:
    """Return what the newest score record says of the relationship."""
    flush = feed(partition_for(load_model("saas-renewal")), log.journal).take_flush()
    assert flush is not None
    return json.loads(flush.scores[-1].value or b"").get("relationship")


def test_the_first_answer_ends_the_asking():
    """Stated for the first time, it resolves at once; a month later it is asked to be confirmed."""
    log = account(40, arr=1_000_000)
    log.event("accounts", "acme", START + 40 * DAY + HOUR, **KNOWN)
    log.tick(START + 75 * DAY)
    assert [(a["state"], a["occurred_at"][:10]) for a in asked(log)] == [
        ("firing", "2026-03-31"),
        ("resolved", "2026-04-10"),
        ("firing", "2026-05-11"),
    ]
