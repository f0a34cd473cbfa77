"""Next steps in time: overdue ones pass on, unwelcome ones are suppressed, reviews ask every so often, accounts have caps."""

import json
from typing import Any

import pytest

from scoring.presets import load_model
from state.moments import rfc3339
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import feed, partition_for, restored
from tests.state.scored import low, model_of, scores, told

CALL = {"steps": ["ring"], "due": "5d", "owner": "ann@x", "escalate_to": "lead"}
ID = alert_id("a", "low", 1)


def play(**changes: Any) -> dict[str, Any]:
    """What a model with the playbook `call` has beside its rules."""
    return {"playbooks": {"call": CALL | changes}, "roles": {"lead": "eve@x"}}


def fallen(days: float, *commands: dict[str, Any]) -> Log:
    """An account that falls after an hour; then its commands, a day apart; the clock runs for so many days."""
    log = Log()
    scores(log, (0, 9), (1, 2))
    for number, fields in enumerate(commands, 1):
        log.event("commands", "a", START + number * DAY, **fields)
    log.tick(START + round(days * DAY))
    return log


def test_an_overdue_step_is_told_once_and_passes_on() -> None:
    """Five days unanswered: the same alert, marked, now with whom its playbook names; its later states say so, nothing repeats."""
    log = fallen(20)
    scores(log, (500, 9))
    found = told(model_of([low(playbook="call")], **play()), log)
    assert [(state, hours, record.get("overdue", False)) for _, state, hours, record in found] == [
        *(("firing", 1.0, False), ("firing", 121.0, True), ("resolved", 500.0, True))
    ]
    first, late = found[0][3], found[1][3]
    assert late["alert_id"] == first["alert_id"]
    assert late["severity"] == first["severity"], "who is late does not make it graver"
    assert first["next_step"]["owner"] == "ann@x"
    assert {key: late["next_step"].get(key) for key in ("owner", "passed_from", "overdue", "due_at")} == {
        "owner": "eve@x",
        "passed_from": "ann@x",
        "overdue": True,
        "due_at": rfc3339(START + HOUR + 5 * DAY),
    }


@pytest.mark.parametrize(
    "command",
    [
        {"command": "acknowledge", "alert_id": ID},
        {"command": "step_done", "alert_id": ID, "step": "ring"},
        {"command": "outreach", "alert_id": ID},
        {"command": "outreach"},
    ],
)
def test_what_is_answered_is_not_overdue(command: dict[str, Any]) -> None:
    """Acknowledged, a step done, somebody got in touch about it or with the account: no date passes; a note is no answer."""
    model = model_of([low(playbook="call")], **play())
    assert not any(record.get("overdue") for *_, record in told(model, fallen(20, command)))
    noted = fallen(20, {"command": "note", "reason": "hm", "alert_id": ID})
    assert sum(record.get("overdue", False) for *_, record in told(model, noted)) == 1


def test_somebody_is_always_responsible() -> None:
    """Alerts and score records name an owner: the account's where one is stated, else the model's."""
    log, done, owners = Log(), 0, []
    state = partition_for(model_of([low()], owner="cs@x"))
    for hours, stated in ((0, "nobody yet"), (48, "bob@x"), (96, None)):
        if stated != "nobody yet":
            log.event("accounts", "a", START + hours * HOUR, owner=stated)
        scores(log, (hours, 9), (hours + 1, 2))
        flush = feed(state, log.journal[done:]).take_flush()
        done = len(log.journal)
        owners.append(
            (json.loads(flush.alerts[-1].value)["account"]["owner"], json.loads(flush.scores[-1].value)["owner"])
        )
    assert owners == [("cs@x", "cs@x"), ("bob@x", "bob@x"), ("cs@x", "cs@x")]


def test_an_episode_s_answer_is_its_own() -> None:
    """Answered once, a later episode of the same rule has a date again; nobody is late where nobody would be told."""
    log = fallen(2, {"command": "step_done", "alert_id": ID, "step": "ring"})
    scores(log, (60, 9), (61, 2))
    log.tick(START + 20 * DAY)
    found = told(model_of([low(playbook="call")], **play()), log)
    assert [(r["episode"], h) for *_, h, r in found if r.get("overdue")] == [(2, 61.0 + 120)]
    for changes in ({"due": "0h"}, {"escalate_to": ""}):
        assert not any("overdue" in r for *_, r in told(model_of([low(playbook="call")], **play(**changes)), log))
    assert not any("overdue" in r for *_, r in told(model_of([low()]), log))


def test_who_is_assigned_after_the_date_keeps_it() -> None:
    """An assignment before the date passes on with it; one made afterwards stands."""
    before = {"command": "assign", "alert_id": ID, "owner": "bob@x"}
    model = model_of([low(playbook="call", repeat="7d")], **play())
    late = next(r for *_, r in told(model, fallen(6, before)) if r.get("overdue"))
    assert (late["next_step"]["owner"], late["next_step"]["passed_from"]) == ("eve@x", "bob@x")
    log = fallen(6)
    log.event("commands", "a", START + 6 * DAY, command="assign", alert_id=ID, owner="bob@x")
    log.tick(START + 13 * DAY)
    assert told(model, log)[-1][3]["next_step"]["owner"] == "bob@x"


def test_the_date_waits_for_no_midnight_and_survives_a_restore() -> None:
    """Restored at any hour before and after the date, the overdue record appears once, at its minute."""
    model = model_of([low(playbook="call")], **play(due="3h"))
    for hour in range(1, 8):
        log = Log()
        scores(log, (0, 9), (1, 2))
        log.tick(START + hour * HOUR)
        first = feed(partition_for(model), log.journal)
        flush = first.take_flush()
        assert flush is not None
        second = restored(model, [flush])
        later = Log()
        later.ends = log.ends
        later.tick(START + 9 * HOUR)
        rest = feed(second, later.journal).take_flush()
        assert rest is not None
        late = [m.timestamp for m in (*flush.alerts, *rest.alerts) if b'"overdue":true,' in (m.value or b"")]
        assert late == [START + 4 * HOUR]


def test_outreach_is_suppressed_and_the_alert_says_why() -> None:
    """Who objected is not written to: the alert stands, its step says why, and nobody is late with it; later it counts."""
    unwelcome = {"channels": ["mail"], "suppress": {"objected": "days_since(talks) < 10", "missing": "contacts < 1"}}
    log = Log()
    log.event("engagement", "a", START, event="webinar")
    scores(log, (0, 9), (1, 2))
    log.tick(START + 20 * DAY)
    found = told(model_of([low(playbook="call")], **play(**unwelcome)), log)
    assert found[0][3]["next_step"]["suppressed"] == ["objected"]
    assert found[0][3]["next_step"]["steps"] == ["ring"], "what is no outreach is still to be done"
    (late,) = [(hours, record["next_step"].get("suppressed")) for *_, hours, record in found if record.get("overdue")]
    assert 240 <= late[0] <= 264, "at the first midnight after the tenth day, not on the fifth"
    assert late[1] is None


def test_an_account_is_got_in_touch_with_so_often() -> None:
    """Two outreaches within a fortnight, whoever made them, suppress a third; after it the step is free again."""
    log = Log()
    scores(log, (0, 9))
    for day in (1, 2):
        log.event("commands", "a", START + day * DAY, command="outreach")
    scores(log, (72, 2), (80, 9), (24 * 16 + 1, 2))
    model = model_of([low(playbook="call")], **play(channels=["call"], contact_cap=2, contact_within="14d"))
    steps = [record["next_step"] for *_, record in told(model, log) if record["state"] == "firing"]
    assert [step.get("suppressed") for step in steps] == [["enough-contact"], None]


@pytest.mark.parametrize("is_restored", [False, True])
def test_nobody_is_late_while_contact_is_enough(is_restored) -> None:
    """Called twice before it fell: its step falls due on the sixth day, and is told overdue only once the cap is free, to the minute."""
    capped = {"channels": ["call"], "contact_cap": 2, "contact_within": "14d"}
    model = model_of([low(playbook="call")], **play(**capped))
    log = Log()
    scores(log, (0, 9))
    for hour in (10, 20):
        log.event("commands", "a", START + hour * HOUR, command="outreach")
    scores(log, (24, 2))
    log.tick(START + 3 * DAY)
    partition = feed(partition_for(model), log.journal)
    first = partition.take_flush()
    assert first is not None
    if is_restored:
        partition = restored(model, [first])
    later = Log()
    later.ends = log.ends
    later.tick(START + 30 * DAY)
    last = feed(partition, later.journal).take_flush()
    assert last is not None
    (late,) = [
        json.loads(m.value or b"") for m in (*first.alerts, *last.alerts) if b'"overdue":true,' in (m.value or b"")
    ]
    assert late["occurred_at"] == rfc3339(START + 14 * DAY + 10 * HOUR)
    assert "suppressed" not in late["next_step"]


def test_a_review_asks_every_so_often() -> None:
    """A week after the account turned low, then once a week until it is answered, then a week after the answer."""
    review = {"name": "weekly", "when": "health < 50", "every": "7d", "playbook": "call"}
    log = fallen(20)
    log.event("commands", "a", START + 20 * DAY, command="resolve", alert_id=alert_id("a", "weekly", 1))
    log.tick(START + 30 * DAY)
    scores(log, (31 * 24, 9))
    found = told(model_of([review], **play(due="3d")), log)
    assert [(s, h / 24, r["severity"], r.get("repeated", False), r.get("overdue", False)) for _, s, h, r in found] == [
        ("firing", 7 + 1 / 24, "info", False, False),
        ("firing", 10 + 1 / 24, "info", False, True),
        # What was told as overdue counts as told: the next asking is a week after that.
        ("firing", 17 + 1 / 24, "info", True, True),
        ("resolved", 20, "info", False, True),
        ("firing", 27, "info", False, False),
        ("firing", 30, "info", False, True),
        ("resolved", 31, "info", False, True),
    ]
    assert [r["episode"] for *_, r in found] == [1, 1, 1, 1, 2, 2, 2]


def test_an_account_has_a_cap() -> None:
    """Two alerts a week begin unmarked, further ones are marked, critical ones never; a week later it begins anew."""
    rules = [low("one", 60), low("two", 50), low("three", 40), low("grave", 30, severity="critical")]
    rules[2] |= {"escalate_after": "1d"}
    log = Log()
    scores(log, (0, 9), (1, 5.5), (2, 4.5), (3, 3.5), (4, 2), (30, 9), (24 * 8, 5.5))
    found = told(model_of(rules, account_cap={"count": 2}), log)
    assert [(rule, hours) for rule, _, hours, record in found if record.get("capped")] == [("three", 3.0)]
    (graver,) = [record for *_, record in found if record.get("escalated_from") and record["state"] == "firing"]
    assert "capped" not in graver, "what grew graver is heard"


@pytest.mark.parametrize("word", [None, "unsubscribed", "complaint"])
def test_a_preset_asks_nobody_to_write_to_who_objected(word: str | None) -> None:
    """A weekly customer of a shop falls silent: the same alerts with and without an objection, but it says so in every step."""
    log = Log()
    for week in range(12):
        log.event("billing", "a", START + week * 7 * DAY, event="purchase", amount=40)
    if word:
        log.event("engagement", "a", START + 80 * DAY, event=word)
    log.tick(START + 130 * DAY)
    found = told(load_model("ecommerce-rfm"), log)
    asked = [record["next_step"] for *_, record in found if record["state"] == "firing"]
    assert {step["playbook"] for step in asked} == {"reactivation"}
    assert {tuple(step.get("suppressed", ())) for step in asked} == {("objected",) if word else ()}
