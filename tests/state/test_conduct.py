"""How alerts behave beyond their condition: rest, repetition, escalation, muting, flapping; told as stories and counted."""

import pytest

from state.moments import rfc3339
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.scored import low, model_of, scores, told


def test_after_a_resolve_it_rests() -> None:
    """Low again within the refractory time fires only when that is over; without it, at once."""
    log = Log()
    scores(log, (0, 9), (1, 2), (2, 9), (3, 2))
    log.tick(START + 3 * DAY)
    assert [line[:3] for line in told(model_of([low(refractory="10h")]), log)] == [
        *(("low", "firing", 1.0), ("low", "resolved", 2.0), ("low", "firing", 12.0))
    ]
    assert [line[2] for line in told(model_of([low()]), log)] == [1.0, 2.0, 3.0]


def test_what_nobody_answers_is_repeated() -> None:
    """Every so often, marked as repeated, in its episode; an acknowledgement ends that, a snooze's end begins it anew."""
    log = Log()
    scores(log, (0, 9), (1, 2))
    log.event("commands", "a", START + 60 * HOUR, command="acknowledge", alert_id=alert_id("a", "low", 1))
    log.tick(START + 10 * DAY)
    found = told(model_of([low(repeat="24h")]), log)
    assert [(state, hours, record.get("repeated", False)) for _, state, hours, record in found] == [
        *(("firing", 1.0, False), ("firing", 25.0, True), ("firing", 49.0, True), ("acknowledged", 60.0, False))
    ]
    assert {record["episode"] for *_, record in found} == {1}
    assert [record["sequence"] for *_, record in found] == [1, 2, 3, 4]


def test_what_nobody_answers_grows_graver_in_its_episode() -> None:
    """Once, when the time is over: the same alert with the higher severity, which its resolve keeps; the next begins mild."""
    log = Log()
    scores(log, (0, 9), (1, 2))
    log.tick(START + 5 * DAY)
    scores(log, (121, 9), (122, 2))
    log.tick(START + 6 * DAY)
    playbooks = {"call": {"steps": ["ring"], "due": "6d"}}
    found = told(model_of([low(severity="warning", escalate_after="3d", playbook="call")], playbooks=playbooks), log)
    assert [(s, h, r["severity"], r.get("escalated_from"), r["episode"]) for _, s, h, r in found] == [
        ("firing", 1.0, "warning", None, 1),
        ("firing", 73.0, "critical", "warning", 1),
        ("resolved", 121.0, "critical", "warning", 1),
        ("firing", 122.0, "warning", None, 2),
    ]
    due = rfc3339(START + HOUR + 6 * DAY)
    assert [record["next_step"]["due_at"] for *_, record in found[:2]] == [due, due], (
        "the date stays that of the episode"
    )


def test_an_open_alert_mutes_others() -> None:
    """While the first is open the second does not begin; where it still holds afterwards, it fires then."""
    rules = [low("worse", 30, mutes=["low"]), low("low", 50)]
    log = Log()
    scores(log, (0, 9), (1, 2), (2, 4), (3, 9), (4, 4), (5, 2), (6, 9))
    log.tick(START + DAY)
    assert [line[:3] for line in told(model_of(rules), log)] == [
        *(("worse", "firing", 1.0), ("worse", "resolved", 2.0), ("low", "firing", 2.0), ("low", "resolved", 3.0)),
        # Begun already it stays, and its end is told: every alert that fires is resolved.
        *(("low", "firing", 4.0), ("worse", "firing", 5.0), ("worse", "resolved", 6.0), ("low", "resolved", 6.0)),
    ]


def test_red_mutes_yellow() -> None:
    """A band's own alert can mute another band's: on the way up nobody is told of yellow while red is open."""
    bands = [
        {"name": "red", "enter_below": 30, "leave_above": 35, "dwell": "0h", "mutes": ["sinking"]},
        {"name": "yellow", "enter_below": 60, "leave_above": 65, "dwell": "0h"},
    ]
    log = Log()
    scores(log, (0, 9), (1, 2))
    log.tick(START + DAY)
    found = told(model_of([low("sinking", 50)], bands=bands), log)
    assert [line[:2] for line in found] == [("band-red", "firing")]


def flap(days: int) -> Log:
    """An account that falls and recovers twice every day, and then stays low."""
    log = Log()
    scores(log, (0, 9))
    for day in range(days):
        scores(log, (24 * day + 1, 2), (24 * day + 5, 9), (24 * day + 9, 2), (24 * day + 13, 9))
    return log


@pytest.mark.parametrize(("is_calmed", "wanted"), [(False, 160), (True, 22)])
def test_a_storm_is_one_alert(is_calmed: bool, wanted: int) -> None:  # noqa: FBT001
    """Forty days of falling and recovering twice a day: 160 records, or five restless days and one alert until it is calm."""
    log = flap(40)
    log.tick(START + 80 * DAY)
    flapping = {"flapping": {"enter_percent": 30, "leave_percent": 15}} if is_calmed else {}
    found = told(model_of([low()], **flapping), log)
    assert len(found) == wanted
    if not is_calmed:
        return
    last_firing, end = found[-2:]
    assert (last_firing[1], last_firing[3]["flapping"]) == ("firing", True)
    assert sum(record.get("flapping", False) for *_, record in found) == 1
    assert end[1] == "resolved"
    # The last change was on day 40; below 15 % of the weight are four of the oldest days.
    assert 40 * 24 + 15 * 24 < end[2] < 40 * 24 + 21 * 24


def test_rare_changes_do_not_flap() -> None:
    """An alert a week is an alert a week."""
    log = Log()
    scores(log, (0, 9))
    for week in range(10):
        scores(log, (168 * week + 1, 2), (168 * week + 30, 9))
    found = told(model_of([low()], flapping={}), log)
    assert len(found) == 20
    assert not any("flapping" in record for *_, record in found)


def test_a_closed_account_forgets_its_conduct() -> None:
    """Churned while resting or flapping, and back: it begins anew."""
    log = flap(12)
    log.event("outcomes", "a", START + 13 * DAY, outcome="churned")
    log.event("accounts", "a", START + 14 * DAY, contract_start=rfc3339(START + 14 * DAY))
    scores(log, (15 * 24, 9), (15 * 24 + 1, 2))
    model = model_of([low(refractory="30d")], flapping={"enter_percent": 6, "leave_percent": 2})
    assert [(line[1], line[2], line[3].get("flapping")) for line in told(model, log)][-1] == ("firing", 361.0, None)


def test_an_alert_says_whose_account_it_is() -> None:
    """What people stated of the account goes along, so that alerts can be routed by segment and plan."""
    log = Log()
    log.event("accounts", "a", START, name="Acme", plan="starter", segment="smb", industry="mining")
    scores(log, (0, 9), (1, 2))
    (*_, record) = told(model_of([low()]), log)
    assert record[3]["account"] == {"name": "Acme", "segment": "smb", "plan": "starter"}


@pytest.mark.parametrize(("percent", "steps"), [(0, ["ring"]), (50, [])])
def test_a_next_step_has_role_and_channels_and_may_be_held_out(percent: int, steps: list[str]) -> None:
    """The role's holder owns it; an account in the holdout (by hash: this one is, at 50 %) has an owner and no steps."""
    playbook = {"steps": ["ring"], "owner": "lead", "channels": ["call"], "holdout_percent": percent}
    log = Log()
    scores(log, (0, 9), (1, 2))
    model = model_of([low(playbook="call")], playbooks={"call": playbook}, roles={"lead": "eve@x"})
    record = told(model, log)[0][3]
    step = record["next_step"]
    assert (step["owner"], step["channels"], step["steps"]) == ("eve@x", ["call"], steps)
    assert record.get("holdout", False) is (percent > 0)
