"""Segments with weights and bands of their own: what an account in one scores, and what moving to another does."""

import json
from typing import Any

import pytest

from scoring.model import Model
from scoring.parse import parse
from state.layout import BAND, MODEL_SEGMENT, NO_CLOSE
from state.partition import Partition
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.looking import feed, partition_for


def model_of(**more: Any) -> Model:
    """Return a model of what is owed and who is known, in which large accounts count the second only."""
    return parse(
        {
            "name": "m",
            "version": 1,
            "minimum_coverage": 0.5,
            "signals": {"talks": {"from": "engagement", "measure": "days_since"}},
            "inputs": {
                "contact": {
                    "value": "days_since(talks)",
                    "curve": [[0, 100], [100, 0]],
                    "weight": 30,
                    "reference": 100,
                },
                "people": {"value": "contacts", "curve": [[0, 0], [10, 100]], "weight": 10, "reference": 80},
            },
            "bands": [
                {"name": "red", "enter_below": 30, "leave_above": 35, "dwell": "0h"},
                {"name": "yellow", "enter_below": 60, "leave_above": 65, "dwell": "0h"},
            ],
            "rules": [
                {"name": "low", "when": "health < 45", "severity": "info"},
                {"name": "fell", "when": "change(7) < -15"},
            ],
            "segments": {
                "large": {"weights": {"contact": 0}},
                "strict": {"bands": {"yellow": {"enter_below": 95, "leave_above": 98}}},
            },
            **more,
        }
    )


def lived(log: Log, model: Model) -> tuple[Partition, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the partition after a log, its alerts and its scores of the last flush."""
    partition = partition_for(model)
    feed(partition, log.journal)
    flush = partition.take_flush()
    assert flush is not None
    alerts = [json.loads(alert.value or b"") for alert in flush.alerts]
    return partition, alerts, [json.loads(score.value or b"{}") for score in flush.scores]


def book(**attributes: Any) -> Log:
    """Return a log of an account that talked and has two contacts, thirty quiet days long."""
    log = Log()
    log.event("accounts", "acme", START, contacts=2, **attributes)
    log.event("engagement", "acme", START + HOUR, event="meeting_held")
    log.tick(START + 30 * DAY)
    return log


@pytest.mark.parametrize(("segment", "health"), [(None, 0.75 * 70 + 0.25 * 20), ("large", 20.0), ("strict", 57.5)])
def test_weights_are_those_of_the_segment(segment, health):
    """The same facts score by the weights of the account's own segment; a weight of 0 counts for nothing."""
    log = book(**({"segment": segment} if segment else {}))
    log.event("accounts", "acme", START + 30 * DAY + HOUR, owner="ann")
    log.tick(START + 30 * DAY + HOUR)
    _, _, scores = lived(log, model_of())
    assert abs(scores[-1]["health"] - health) < 0.1
    assert scores[-1]["coverage"] == 1.0


def test_bands_are_those_of_the_segment():
    """One segment is yellow below 95 where others are green."""
    bands = {}
    for segment in ("small", "strict"):
        log = Log()
        log.event("accounts", "acme", START, contacts=2, segment=segment)
        log.event("engagement", "acme", START + HOUR, event="meeting_held")
        log.tick(START + DAY)
        bands[segment] = lived(log, model_of())[2][-1]["band"]
    assert bands == {"small": "green", "strict": "yellow"}


def move(to: str | None, log: Log, at: int) -> None:
    """Let the account's record say another segment."""
    log.event("accounts", "acme", at, segment=to)
    log.tick(at + HOUR)


def test_a_move_alone_raises_nothing_and_is_marked():
    """A healthy account that moves to a segment in which it is red changes band silently; the score says why."""
    log = book()
    before = START + 30 * DAY + HOUR
    move("large", log, before)
    log.tick(before + 40 * DAY)
    partition, alerts, scores = lived(log, model_of())
    later = [(alert["rule"], alert["state"]) for alert in alerts if alert["occurred_at"] > "2026-03-31T06"]
    assert later == [("band-yellow", "resolved")]
    row = partition.store.numbers["acme"]
    assert (partition.store.rows.ints[row, BAND], partition.store.rows.derived[row, MODEL_SEGMENT]) == (0, 1)
    change = scores[-1]["segment_change"]
    assert change | {"health": None} == {
        "code": "SEGMENT_CHANGED", "from": None, "to": "large", "band": "yellow", "health": None
    }  # fmt: skip
    assert abs(change["health"] - 57.5) < 0.1


def test_a_move_is_no_fall():
    """Closes of the past move along, so neither slope nor `change(7)` nor why-it-moved holds the difference."""
    log = book()
    move("large", log, START + 30 * DAY + HOUR)
    log.tick(START + 33 * DAY)
    log.event("accounts", "acme", START + 33 * DAY + HOUR, contacts=1)
    log.tick(START + 33 * DAY + 2 * HOUR)
    partition, alerts, scores = lived(log, model_of())
    assert "fell" not in {alert["rule"] for alert in alerts}
    assert abs(scores[-1]["slope_per_day"]) < 1.5
    totals = partition.store.rows.totals[partition.store.numbers["acme"]]
    kept = [80 + total / 256 for total in totals.tolist() if total != NO_CLOSE]
    assert kept
    assert max(kept) < 51  # they were 57 to 80 when they were made


def test_an_alert_that_the_move_ends_says_so():
    """What holds in both segments goes on without a word; what no longer holds resolves with SEGMENT_CHANGED."""
    log = book()
    move("strict", log, START + 30 * DAY + HOUR)
    move("large", log, START + 31 * DAY + HOUR)
    _, alerts, _ = lived(log, model_of())
    told = [(alert["rule"], alert["state"], alert.get("resolution")) for alert in alerts]
    assert told == [("band-yellow", "firing", None), ("band-yellow", "resolved", "SEGMENT_CHANGED")]


def test_what_else_the_event_says_is_the_customers_doing():
    """An event that states contacts and a segment at once is judged in the old segment first: that alert fires."""
    log = book()
    log.event("accounts", "acme", START + 30 * DAY + HOUR, contacts=0, segment="large")
    log.tick(START + 30 * DAY + 2 * HOUR)
    _, alerts, _ = lived(log, model_of(rules=[{"name": "alone", "when": "contacts < 1"}]))
    assert [(a["rule"], a["state"]) for a in alerts if a["rule"] == "alone"] == [("alone", "firing")]


def test_an_account_is_born_into_its_segment():
    """The first record states it: nothing is marked as a move, the first band is the segment's and raises nothing."""
    log = Log()
    log.event("accounts", "acme", START, contacts=2, segment="large")
    log.tick(START + DAY)
    _, alerts, scores = lived(log, model_of())
    assert ([alert["rule"] for alert in alerts], scores[-1]["band"]) == (["low"], "red")
    assert "segment_change" not in scores[-1]


def test_reasons_sum_to_the_score_of_the_segment():
    """With weights of its own, baseline and reasons still make the health."""
    log = book(segment="large")
    _, _, scores = lived(log, model_of())
    reasons = {reason["code"]: reason["contribution"] for reason in scores[-1]["reasons"]}
    assert reasons == {"PEOPLE": -60.0}
    assert scores[-1]["health"] == 80 - 60


def test_groups_are_told_with_their_points():
    """A snapshot says what each group contributes: the sum of its inputs' contributions; without groups it says nothing."""
    own = model_of()
    content = json.loads(own.source) | {"groups": {"who": {}, "when": {"title": "contact"}}}
    content["inputs"]["people"]["group"], content["inputs"]["contact"]["group"] = "who", "when"
    log = book()
    _, _, scores = lived(log, parse(content))
    by_code = {reason["code"]: reason["contribution"] for reason in scores[-1]["reasons"]}
    assert scores[-1]["groups"] == {"when": by_code["CONTACT"], "who": by_code["PEOPLE"]}
    _, _, plain = lived(log, own)
    assert "groups" not in plain[-1]
    assert plain[-1]["health"] == scores[-1]["health"]
