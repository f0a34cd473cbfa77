"""Corners of a partition's life, each told as a small story. Where a story was once got wrong, it says what went wrong."""

import json
from typing import Any

import pytest

from scoring.model import Model
from scoring.parse import parse
from scoring.presets import load_model
from state.moments import rfc3339
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import alerts_of, dead_of, feed, partition_for, restored, seen
from tests.state.random_models import SIGNALS

MIDNIGHT = START // DAY * DAY + DAY


def model_of(value: str = "days_since(clicks)", **changes: Any) -> Model:
    """Return a model of one input: 100 points on the day of a click, one less a day, red below 50."""
    content: dict[str, Any] = {
        "name": "corner",
        "version": 1,
        "signals": {name: dict(signal) for name, signal in SIGNALS.items()},
        "inputs": {"n": {"value": value, "curve": [[0, 100], [100, 0]], "weight": 1}},
        "bands": [{"name": "red", "enter_below": 50, "leave_above": 60, "dwell": "0h"}],
        "rules": [],
    }
    return parse({**content, **changes}, "corner")


def states(partition) -> list[tuple[Any, ...]]:
    """Return (rule, state, at, health) of everything a partition announced."""
    return [(line[2], line[4], line[5], line[8]) for line in alerts_of([partition.take_flush()])]


def test_account_whose_first_event_is_expired_lives_on():
    """It was never due again: its day stood still, and later events were counted in days to come."""
    log = Log()
    log.event("usage", "other", START)
    log.tick(START)
    log.event("usage", "a", START - 95 * DAY, written_at=START)
    log.event("usage", "a", START + 3 * DAY)
    log.tick(START + 20 * DAY)
    partition = feed(partition_for(model_of()), log.journal)
    view = seen(partition)["a"]
    assert view["day"] == (START + 20 * DAY) // DAY
    assert view["signals"]["clicks"][0] == [0, 0, 1, 1]
    flush = partition.take_flush()
    assert dead_of([flush]) == [("usage", 1, "EXPIRED")]
    assert seen(restored(model_of(), [flush])) == seen(partition)


def test_silence_alone_turns_an_account_red_at_its_next_grid_point():
    """50 days after a click health falls below 50: red at the midnight after, not when a tick happens to come."""
    log = Log()
    log.event("usage", "a", START)
    log.tick(START + 49 * DAY)
    log.tick(START + 90 * DAY)
    partition = feed(partition_for(model_of()), log.journal)
    ((rule, state, at, health),) = states(partition)
    assert (rule, state) == ("band-red", "firing")
    assert at == MIDNIGHT + 50 * DAY
    assert 49 < health < 50


def test_busy_account_is_looked_at_every_hour():
    """With eight events a day and more, silence is noticed on the hour; with two, every six hours."""
    noticed = []
    for per_day in (9, 3):
        rules = [{"name": "quiet", "when": "days_since(clicks) > 0.51"}]
        log = Log()
        for k in range(per_day * 30):
            log.event("usage", "a", MIDNIGHT + 30 * 60_000 + k * DAY // per_day)
        last = MIDNIGHT + 30 * 60_000 + (per_day * 30 - 1) * DAY // per_day
        log.tick(last + 2 * DAY)
        ((_, _, at, _),) = states(feed(partition_for(model_of(rules=rules)), log.journal))
        noticed.append((at - last, at % (6 * HOUR)))
    assert 0.51 * DAY < noticed[0][0] <= 0.51 * DAY + HOUR
    assert noticed[0][1] % HOUR == 0
    assert 0.51 * DAY < noticed[1][0] <= 0.51 * DAY + 6 * HOUR
    assert noticed[1][1] == 0


def test_first_band_is_silent_until_it_was_left():
    """An account first met red raises nothing; leaving and falling again does."""
    model = model_of("level(clicks)", inputs={"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}})
    log = Log()
    for k, score in enumerate((1, 9, 1)):
        log.event("support", "a", START + k * HOUR, event="nps", score=score)
    partition = feed(partition_for(model), log.journal)
    assert states(partition) == [("band-red", "firing", START + 2 * HOUR, 10.0)]


def test_dwell_ends_between_grid_points():
    """A dwell of 90 minutes is over 90 minutes after the fall, on the minute."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    bands = [{"name": "red", "enter_below": 50, "leave_above": 60, "dwell": "90m"}]
    log = Log()
    log.event("support", "a", START, event="nps", score=9)
    log.event("support", "a", START + HOUR, event="nps", score=1)
    log.tick(START + DAY)
    partition = feed(partition_for(model_of(inputs=inputs, bands=bands)), log.journal)
    assert states(partition) == [("band-red", "firing", START + 150 * 60_000, 10.0)]


def test_noise_inside_the_gap_changes_no_band():
    """Between 50 and 60 an account stays what it was, however often health moves."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    log = Log()
    for k, score in enumerate((5.5, 5.1, 5.9, 5.0, 5.95, 4.9, 5.9, 5.0, 5.5, 6.0, 5.1)):
        log.event("support", "a", START + k * HOUR, event="nps", score=score)
    partition = feed(partition_for(model_of(inputs=inputs)), log.journal)
    moves = [(line[4], line[5]) for line in alerts_of([partition.take_flush()])]
    assert moves == [("firing", START + 5 * HOUR), ("resolved", START + 9 * HOUR)]


def test_too_little_data_is_no_score_and_no_alert():
    """Below the least coverage there is no health, whatever the rest says; rules neither fire nor end."""
    inputs = {
        "n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 3},
        "m": {"value": "days_since(clicks)", "curve": [[0, 100], [100, 0]], "weight": 7},
    }
    rules = [{"name": "low", "when": "health < 50 or value(n) < 5"}]
    log = Log()
    log.event("support", "a", START, event="nps", score=1)
    log.tick(START + 10 * DAY)
    partition = feed(partition_for(model_of(inputs=inputs, rules=rules)), log.journal)
    view = seen(partition)["a"]
    assert (view["health"], view["risk"], view["coverage"], view["band"]) == (None, None, 0.3, -1)
    assert states(partition) == []


def test_override_is_timed_while_there_is_no_score():
    """An override's time runs from the first grid point at which it was true, also without enough data."""
    inputs = {
        "n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 3},
        "m": {"value": "last(mrr)", "curve": [[0, 100], [100, 0]], "weight": 7},
    }
    overrides = [{"name": "quiet", "when": "days_since(clicks) > 3", "cap": 10, "for": "2d"}]
    log = Log()
    log.event("usage", "a", START)
    log.tick(START + 4 * DAY)
    partition = feed(partition_for(model_of(inputs=inputs, overrides=overrides)), log.journal)
    (since,) = seen(partition)["a"]["overrides"]
    assert since == MIDNIGHT + 3 * DAY


def test_closed_account_leaves_no_closes_behind():
    """Days nobody scored have no close; once they held what had stood there 91 days before, and bent the slope."""
    log = Log()
    for day in range(20):
        log.event("usage", "a", START + day * DAY)
    log.event("outcomes", "a", START + 20 * DAY, outcome="churned")
    log.event("outcomes", "a", START + 107 * DAY, outcome="renewed")
    log.event("usage", "a", START + 108 * DAY)
    partition = feed(partition_for(model_of()), log.journal)
    assert seen(partition)["a"]["slope"] is None
    assert seen(restored(model_of(), [partition.take_flush()])) == seen(partition)


def test_churn_ends_alerts_with_the_account_s_own_score():
    """The last alert shows the score of its account; it showed that of whichever account was scored before."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    log = Log()
    log.event("support", "a", START, event="nps", score=9)
    log.event("support", "a", START + 1, event="nps", score=2)
    log.event("support", "b", START + 2, event="nps", score=10)
    log.event("outcomes", "a", START + 3, outcome="churned")
    log.event("support", "a", START + 4, event="nps", score=1)
    partition = feed(partition_for(model_of(inputs=inputs)), log.journal)
    flush = partition.take_flush()
    assert [(line[0], line[4], line[8]) for line in alerts_of([flush])] == [
        ("a", "firing", 20.0),
        ("a", "resolved", 20.0),
    ]
    assert json.loads(flush.alerts[-1].value)["resolution"] == "ACCOUNT_CLOSED"
    assert {message.key: message.value is None for message in flush.scores} == {b"a": True, b"b": False}


def test_reopened_account_is_published_again():
    """A tombstone stood in the scores; a new contract writes a snapshot even where health is the same as ever."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    partition = partition_for(model_of(inputs=inputs))
    log = Log()
    log.event("support", "a", START, event="nps", score=9)
    log.event("outcomes", "a", START + 1, outcome="churned")
    feed(partition, log.journal)
    assert [message.value for message in partition.take_flush().scores] == [None]
    log.journal.clear()
    log.event("accounts", "a", START + DAY, contract_start=rfc3339(START))
    feed(partition, log.journal)
    (message,) = partition.take_flush().scores
    assert json.loads(message.value)["health"] == 90.0


def test_acknowledged_alert_shows_the_account_s_own_score():
    """A command's alert is decided on the account it names, not on the one scored before it."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    log = Log()
    log.event("support", "a", START, event="nps", score=9)
    log.event("support", "a", START + 1, event="nps", score=2)
    log.event("support", "b", START + 2, event="nps", score=10)
    log.event("commands", "a", START + 3, command="acknowledge", alert_id=alert_id("a", "band-red", 1))
    partition = feed(partition_for(model_of(inputs=inputs)), log.journal)
    assert [line[3:] for line in states(partition)] == [(20.0,), (20.0,)]


def test_person_s_override_moves_at_once_and_ends_on_time():
    """A manual score of 10 turns an account red without dwell and lets it go on the minute it ends."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    bands = [{"name": "red", "enter_below": 50, "leave_above": 60, "dwell": "26h"}]
    until = START + 40 * HOUR + 7 * 60_000
    log = Log()
    log.event("support", "a", START, event="nps", score=9)
    log.event("commands", "a", START + HOUR, command="override", health=10, until=rfc3339(until))
    log.tick(START + 4 * DAY)
    partition = feed(partition_for(model_of(inputs=inputs, bands=bands)), log.journal)
    assert states(partition) == [
        ("band-red", "firing", START + HOUR, 10.0),
        ("band-red", "resolved", until + 26 * HOUR, 90.0),
    ]


def test_waiting_band_passes_at_once_when_an_override_joins():
    """Red waits out its dwell on health alone, but not once the cap takes more than half a point."""
    inputs = {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}}
    bands = [{"name": "red", "enter_below": 50, "leave_above": 60, "dwell": "10d"}]
    overrides = [{"name": "late", "when": "days_since(talks) > 3", "cap": 40}]
    log = Log()
    log.event("engagement", "a", START, event="webinar")
    log.event("support", "a", START, event="nps", score=9)
    log.event("support", "a", START + 1, event="nps", score=4.9)
    log.tick(START + 30 * DAY)
    partition = feed(partition_for(model_of(inputs=inputs, bands=bands, overrides=overrides)), log.journal)
    ((_, _, at, health),) = states(partition)
    assert at == MIDNIGHT + 3 * DAY
    assert health == 40.0


def test_midnight_closes_then_fits_then_judges():
    """A rule on the slope fires at the midnight that brought the seventh close, with the slope of that midnight."""
    rules = [{"name": "falling", "when": "slope < -0.9"}]
    log = Log()
    log.event("usage", "a", START)
    log.tick(START + 30 * DAY)
    partition = feed(partition_for(model_of(rules=rules)), log.journal)
    assert states(partition)[0][:3] == ("falling", "firing", MIDNIGHT + 6 * DAY)


def test_day_exactly_ninety_days_back_still_counts():
    """Expired is more than 90 UTC days before the row's day: the ninetieth is kept, the day before refused."""
    log = Log()
    at = MIDNIGHT + 5 * HOUR
    log.event("usage", "a", at)
    log.event("usage", "a", at // DAY * DAY - 90 * DAY, written_at=at)
    log.event("usage", "a", at // DAY * DAY - 90 * DAY - 1, written_at=at)
    partition = feed(partition_for(model_of()), log.journal)
    flush = partition.take_flush()
    assert dead_of([flush]) == [("usage", 2, "EXPIRED")]
    again = restored(
        model_of("level(clicks)"), [feed(partition_for(model_of("level(clicks)")), log.journal).take_flush()]
    )
    assert seen(again)["a"]["signals"]["clicks"][0] == [1, 1, 1, 1]


def test_returning_users_count_once_after_a_restore():
    """A user of last month who comes again leaves the sealed days; the old tile, written long ago, must not count twice."""
    partition = partition_for(model_of("sum(users, 90d)"))
    log = Log()
    log.event("usage", "a", START, user_id="u")
    log.event("usage", "a", START + 20 * DAY, user_id="v")
    feed(partition, log.journal)
    flushes = [partition.take_flush()]
    log.journal.clear()
    log.event("usage", "a", START + 21 * DAY, user_id="u")
    feed(partition, log.journal)
    flushes.append(partition.take_flush())
    again = restored(model_of("sum(users, 90d)"), flushes)
    assert seen(again)["a"]["signals"]["users"][0] == [2, 2, 2, 2]
    assert seen(again) == seen(partition)


def test_restored_account_without_attributes_can_be_published():
    """Its cold part held no profile; reading none as empty JSON stopped the worker at the next snapshot."""
    partition = partition_for(model_of())
    log = Log()
    log.event("usage", "a", START)
    log.event("usage", "a", START + 10 * DAY)
    feed(partition, log.journal)
    again = restored(model_of(), [partition.take_flush()])
    log.journal.clear()
    log.event("usage", "a", START + 40 * DAY)
    flush = feed(again, log.journal).take_flush()
    assert [message.key for message in flush.scores] == [b"a"]


def test_severity_told_of_a_forgotten_ticket_counts_when_it_comes_back():
    """A ticket settled 100 days ago is as if it had never been, in memory as after a restore."""
    model = model_of("open(tickets)")
    partition = partition_for(model)
    log = Log()
    log.event("support", "a", START, event="ticket_opened", ticket_id="t", severity="low")
    log.event("support", "a", START + 1, event="ticket_resolved", ticket_id="t")
    feed(partition, log.journal)
    log.journal.clear()
    later = START + 100 * DAY
    log.event("support", "a", later, event="ticket_escalated", ticket_id="t", severity="high")
    log.event("support", "a", later + 1, event="ticket_opened", ticket_id="t", severity="low")
    again = restored(model, [partition.take_flush()])
    for one in (partition, again):
        feed(one, log.journal)
        assert seen(one)["a"]["signals"]["tickets"][1] == 1


def test_held_tick_takes_effect_at_one_place_of_the_log_however_it_is_cut():
    """The clock moves once the log has reached the tick's end, across gaps of offsets, not when a chunk happens to end."""
    log = Log()
    log.event("usage", "a", START)
    log.tick(START + 5 * DAY, {"usage": 3})
    body = json.dumps({"id": "1", "account_id": "a", "occurred_at": rfc3339(START + HOUR), "event": "x"}).encode()
    log.add("usage", body, START + HOUR, gap=3)  # offset 4: the end is reached here
    log.event("usage", "a", START + 2 * HOUR)
    rule = [{"name": "many", "when": "sum(clicks, 7d) >= 3"}]
    shown = []
    for journal in (log.journal, [(topic, [record]) for topic, records in log.journal for record in records]):
        partition = feed(partition_for(model_of(rules=rule)), journal)
        shown.append((partition.clock_ms, states(partition), partition.row_bytes("a")))
    assert shown[0] == shown[1]
    assert shown[0][1] == [("many", "firing", START + 5 * DAY, 95.083333)]


def test_use_of_seats_is_unknown_without_usage():
    """No usage data is not no usage: the share of seats in use is unknown until the product has spoken."""
    log = Log()
    log.event("accounts", "a", START, seats=10)
    partition = feed(partition_for(model_of("seat_use")), log.journal)
    assert seen(partition)["a"]["health"] is None


def test_forgotten_item_does_not_come_back_open_with_an_older_record():
    """Closed and forgotten within one flush, it was open again after a restore: the newest record no longer named it."""
    log = Log()
    log.event("support", "a", START, event="ticket_opened", ticket_id="t")
    log.tick(START + 9 * DAY)
    early = len(log.journal)
    log.event("support", "a", START + 10 * DAY, event="ticket_resolved", ticket_id="t")
    log.event("usage", "a", START + 110 * DAY)
    log.tick(START + 111 * DAY)
    model = model_of("open(tickets)")
    partition = feed(partition_for(model), log.journal[:early])
    flushes = [partition.take_flush()]
    flushes.append(feed(partition, log.journal[early:]).take_flush())
    again = restored(model, flushes)
    assert seen(again) == seen(partition)
    assert again.row_bytes("a") == partition.row_bytes("a")


def test_snapshot_tells_what_the_account_is_worth_and_asks_for():
    """Expected value by the account's own figures where it states any, else the model's; its quadrant; a person's view apart."""
    model = load_model("saas-renewal")
    log = Log()
    log.event("accounts", "a", START, arr=10_000, expected_uplift=3_000, engagement_cost=250)
    for day in range(40):
        log.event("usage", "a", START + day * DAY, id=str(day), user_id="u")
    log.tick(START + 40 * DAY)
    flush = feed(partition_for(model), log.journal).take_flush()
    told = json.loads(next(message.value for message in flush.scores if message.value))
    kept = (1 - told["risk"]) * 10_000 * model.value.margin
    worth = kept + told["expansion"] * 3_000 * model.value.margin - 250
    assert told["expected_value"] == pytest.approx(worth, abs=0.05)
    assert (told["value"], told["potential_value"]) == (10_000, 13_000)
    is_risky, is_growing = told["risk"] >= model.value.risky_from, told["expansion"] >= model.value.expanding_from
    quadrants = {(0, 0): "maintain", (1, 0): "rescue", (0, 1): "grow", (1, 1): "protect"}
    assert told["quadrant"] == quadrants[is_risky, is_growing]


def test_potential_value_needs_nothing_but_the_yearly_revenue():
    """What an account would be worth if it expanded: by the model's share without a figure of its own; told without a score too."""
    model = load_model("saas-renewal")
    log = Log()
    log.event("accounts", "known", START, arr=10_000.55, owner="ann")
    log.event("accounts", "other", START, owner="ann")
    flush = feed(partition_for(model), log.journal).take_flush()
    told = {message.key: json.loads(message.value) for message in flush.scores}
    assert (told[b"known"]["health"], told[b"other"]["health"]) == (None, None)
    assert told[b"known"]["potential_value"] == round(10_000.55 * (1 + model.value.expected_uplift), 2)
    assert "potential_value" not in told[b"other"]
