"""What was said joined with what came: the ledger's report against a plain recount of the same records."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.presets import load_model
from state.moments import rfc3339
from streams.feedback.judging import Asked, judge
from streams.feedback.ledger import Ledger

DAY = 86_400_000
START = 1_767_571_200_000  # Monday, January 5th, 2026
MODEL = load_model("saas-renewal")
ASKED = Asked("churned", 28 * DAY, 1.0, 56 * DAY)
BANDS = ("red", "yellow", "green")
Close = dict[str, Any]
Outcome = tuple[str, int, str]


def close(account: str, day: int, risk: float, band: str = "green", model: str = "m", **more: Any) -> Close:
    """A record of the midnight so many days after the start."""
    at = rfc3339(START + day * DAY)
    return {"account_id": account, "at": at, "health": 50.0, "model": model, "band": band, "risk": risk, **more}


def ledger_of(closes: Iterable[Close], outcomes: Iterable[Outcome], asked: Asked = ASKED) -> Ledger:
    """A ledger that took all of it."""
    ledger = Ledger(asked.weeks)
    for outcome in outcomes:
        ledger.take_outcome(*outcome)
    for each in closes:
        ledger.take_close(each)
    return ledger


def ms(record: Close) -> int:
    """The midnight that a record speaks of."""
    return round(datetime.fromisoformat(record["at"]).timestamp() * 1000)


def recounted(closes: Sequence[Close], outcomes: Sequence[Outcome], asked: Asked) -> dict[str, Any]:
    """The join by hand: one prediction an account and week, one outcome after the other, and nothing kept in between."""
    now = max((ms(each) for each in closes), default=0)
    weekly: dict[tuple[str, int], Close] = {}
    for each in sorted(closes, key=ms):
        week = (ms(each) - START) // (7 * DAY)
        if "risk" in each:
            weekly.setdefault((each["account_id"], week), each)
    last_week = (now - START) // (7 * DAY)
    said = [(ms(each) + DAY, each) for (_, week), each in weekly.items() if week > last_week - asked.weeks]
    of_account: dict[str, list[tuple[int, Close]]] = defaultdict(list)
    for since, each in said:
        of_account[each["account_id"]].append((since, each))
    present = next((each["model"] for each in sorted(closes, key=ms, reverse=True)), "")
    lost = {name: sorted({at for who, at, kind in outcomes if (who, kind) == (name, "churned")}) for name in of_account}
    rows = []
    for since, each in said:
        mine = lost[each["account_id"]]
        if since + asked.horizon_ms > now or each["model"] != present or (mine and mine[0] < since):
            continue
        came = any(since <= at < since + asked.horizon_ms for at in mine)
        rows.append((since > now - asked.horizon_ms - asked.recent_ms, each, came))
    before = {}
    for days in (30, 60, 90):
        for account, at, kind in sorted(set(outcomes)):
            known = [pair for pair in of_account[account] if at - (days + 31) * DAY < pair[0] <= at - days * DAY]
            if known and now - asked.recent_ms < at <= now:
                latest = max(known, key=lambda pair: pair[0])[1]
                before.setdefault((days, kind), []).append((latest["risk"], latest["band"]))
    return {"rows": rows, "before": before}


def assert_same(report: dict[str, Any], closes: Sequence[Close], outcomes: Sequence[Outcome], asked: Asked) -> None:
    """Compare a report with the recount."""
    hand = recounted(closes, outcomes, asked)
    for name, is_recent in (("before", False), ("recent", True)):
        rows = [(each, came) for recent, each, came in hand["rows"] if recent == is_recent]
        kept = report["kept_promises"][name]
        assert kept["rows"] == len(rows)
        assert kept["outcomes"] == len({each["account_id"] for each, came in rows if came})
        if rows:
            within = [1 - (1 - each["risk"]) ** asked.ratio for each, _ in rows]
            assert kept["said"] == pytest.approx(np.mean(within), rel=1e-5)
            assert kept["came"] == pytest.approx(np.mean([came for _, came in rows]))
    for band in BANDS:
        rows = [came for recent, each, came in hand["rows"] if recent and each.get("band") == band]
        assert report["bands"][band]["rows"] == len(rows)
        assert report["bands"][band]["came"] == (pytest.approx(np.mean(rows)) if rows else None)
    told = report["said_before_outcomes"]
    assert {(int(days), kind) for days, kinds in told.items() for kind in kinds} == hand["before"].keys()
    for (days, kind), words in hand["before"].items():
        found = told[str(days)][kind]
        assert found["outcomes"] == len(words)
        assert found["mean_risk"] == pytest.approx(np.mean([risk for risk, _ in words]), rel=1e-5)
        assert {band: found["bands"][band] for band in BANDS} == {
            band: sum(each == band for _, each in words) for band in BANDS
        }


@st.composite
def books(draw: st.DrawFn) -> tuple[list[Close], list[Outcome]]:
    """Some accounts' closes, one a day at most, and what became of them."""
    closes, outcomes = [], []
    for account in ("a", "b", "c"):
        for day in draw(st.lists(st.integers(0, 400), unique=True, max_size=40)):
            model = "old" if day < 60 else "new"
            risk = draw(st.sampled_from((0.015625, 0.25, 0.75)))
            closes.append(close(account, day, risk, draw(st.sampled_from(BANDS)), model))
        kinds = st.sampled_from(("churned", "renewed"))
        ends = draw(st.lists(st.tuples(st.integers(0, 400 * 4), kinds), max_size=3))
        outcomes += [(account, START + at * DAY // 4, kind) for at, kind in ends]
    return closes, outcomes


@given(books(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_join_is_that_of_a_plain_recount(book: tuple[list[Close], list[Outcome]], chance: random.Random) -> None:
    """Rows, what came, bands, and what was said 30, 60 and 90 days before each outcome; in any order, some records twice."""
    closes, outcomes = book
    shuffled = closes + closes[:5]
    chance.shuffle(shuffled)
    report = judge(ledger_of(shuffled, outcomes + outcomes[:1]), ASKED, MODEL)
    assert_same(report, closes, outcomes, ASKED)


def test_nothing_said_later_than_thirty_days_before_an_outcome_is_counted_for_it() -> None:
    """A model that knows of each churn on its day, and a day too late for the join, has foreseen nothing."""
    churn = START + 200 * DAY
    closes = [close("a", day, 0.01) for day in range(169)]
    closes += [close("a", day, 0.99, "red") for day in range(170, 200)]  # told from 29 days before on
    closes.append(close("b", 201, 0.01))
    report = judge(ledger_of(closes, [("a", churn, "churned")]), ASKED, MODEL)
    for days in ("30", "60", "90"):
        assert report["said_before_outcomes"][days]["churned"]["mean_risk"] == pytest.approx(0.01)
        assert report["alarms"]["foreseen"][days] == 0.0


def test_a_word_of_the_day_itself_does_not_count_as_said_before() -> None:
    """A midnight's record may know of events until the next one, so it answers for outcomes from then on."""
    closes = [close("a", 7, 0.9), close("b", 60, 0.1)]
    early = judge(ledger_of(closes, [("a", START + 8 * DAY - 1, "churned")]), ASKED, MODEL)
    on_time = judge(ledger_of(closes, [("a", START + 8 * DAY, "churned")]), ASKED, MODEL)
    last = judge(ledger_of(closes, [("a", START + 36 * DAY - 1, "churned")]), ASKED, MODEL)
    late = judge(ledger_of(closes, [("a", START + 36 * DAY, "churned")]), ASKED, MODEL)
    found = [report["kept_promises"]["recent"] for report in (early, on_time, last, late)]
    assert [(each["rows"], each["came"]) for each in found] == [(0, None), (1, 1.0), (1, 1.0), (1, 0.0)]


def test_red_accounts_that_turn_green_are_counted_from_the_first_red() -> None:
    """Within 30 days or not; one that is still within its time is left out."""
    closes = [close("soon", 7, 0.5, "red"), close("soon", 28, 0.1, "green")]
    closes += [close("late", 7, 0.5, "red"), close("late", 42, 0.1, "green")]
    closes += [close("never", 7, 0.5, "red"), close("never", 14, 0.5, "yellow")]
    closes += [close("open", 42, 0.5, "red"), close("fine", 50, 0.1, "green")]
    report = judge(ledger_of(closes, []), ASKED, MODEL)
    assert report["red_to_green"]["30"] == {"count": 1, "of": 3}
    assert report["red_to_green"]["60"] == {"count": 0, "of": 0}


def crowd(said: float, came: float, seed: int = 1, accounts: int = 1500) -> tuple[list[Close], list[Outcome]]:
    """Accounts of which so many were said to churn within four weeks of any week, and so many do."""
    chance = np.random.default_rng(seed)
    closes, outcomes = [], []
    for number in range(accounts):
        weight = 0.4 + 1.2 * chance.random()
        risk, ends = said * weight, START + int(chance.exponential(28 / (came * weight)) * DAY)
        outcomes.append((f"a{number}", ends, "churned"))
        for week in range(36):
            if START + week * 7 * DAY > ends:
                break
            points = {"logins": float(chance.normal()), "seats": 0.0}
            closes.append(close(f"a{number}", week * 7, risk, contributions=points))
    return closes, outcomes


def test_a_model_that_keeps_its_word_is_left_alone() -> None:
    """As many churn as were said to: no warning, and a ratio near one."""
    closes, outcomes = crowd(0.05, 0.05)
    report = judge(ledger_of(closes, outcomes), ASKED, MODEL)
    recent = report["kept_promises"]["recent"]
    assert recent["came"] / recent["said"] == pytest.approx(1.0, abs=0.2)
    assert report["needs_refresh"] == {"calibration": False, "ranking": False, "inputs": False}
    assert report["warnings"] == []


def test_a_model_that_says_a_third_of_what_comes_needs_calibrating() -> None:
    """The sentence says both shares."""
    closes, outcomes = crowd(0.02, 0.06)
    report = judge(ledger_of(closes, outcomes), ASKED, MODEL)
    assert report["needs_refresh"] == {"calibration": True, "ranking": False, "inputs": False}
    (sentence,) = report["warnings"]
    recent = report["kept_promises"]["recent"]
    assert sentence == (
        f"{recent['said']:.2%} were said to be churned and {recent['came']:.2%} were: calibrate the model again"
    )


def test_few_outcomes_conclude_nothing() -> None:
    """Twenty accounts of which a third more go than were said to are chance."""
    closes, outcomes = crowd(0.02, 0.06, accounts=20)
    assert judge(ledger_of(closes, outcomes), ASKED, MODEL)["needs_refresh"]["calibration"] is False


def test_a_ranking_that_falls_is_told_of() -> None:
    """Risk that ranked in the quarters before, and is chance in the last one."""
    chance = np.random.default_rng(4)
    closes, outcomes = [], []
    for number in range(4000):
        week = int(chance.integers(12, 36))
        is_lost = chance.random() < 0.1
        risk = 0.1 if week >= 22 else 0.18 if is_lost else 0.08
        risk *= 0.9 + 0.2 * chance.random()
        closes.append(close(f"a{number}", week * 7, risk))
        if is_lost:
            outcomes.append((f"a{number}", START + (week * 7 + 15) * DAY, "churned"))
    report = judge(ledger_of(closes, outcomes), ASKED, MODEL)
    assert report["kept_promises"]["before"]["auc"] > 0.85
    assert report["kept_promises"]["recent"]["auc"] < 0.6
    assert report["needs_refresh"]["ranking"] is True


def test_an_input_that_moves_is_named() -> None:
    """Against the present model's first weeks; an input that stays is steady."""
    closes, outcomes = crowd(0.05, 0.05, accounts=300)
    for each in closes:
        if ms(each) >= START + 28 * 7 * DAY:
            each["contributions"]["logins"] -= 3.0
    report = judge(ledger_of(closes, outcomes), ASKED, MODEL)
    assert report["inputs"]["logins"]["verdict"] == "moved"
    assert report["inputs"]["seats"] == {"psi": pytest.approx(0.0), "verdict": "steady"}
    assert report["needs_refresh"]["inputs"] is True
    (sentence,) = report["warnings"]
    assert sentence.startswith("logins has moved (PSI ")


def test_a_new_model_is_not_blamed_for_the_old_one() -> None:
    """What the former model said wrongly is history from its successor's first word on, and shown by month."""
    closes, outcomes = crowd(0.02, 0.06)
    last = max(map(ms, closes))
    closes += [each | {"at": rfc3339(last + 7 * DAY), "model": "new"} for each in closes[-200:]]
    report = judge(ledger_of(closes, outcomes), ASKED, MODEL)
    assert report["kept_promises"]["recent"]["rows"] == 0
    assert report["warnings"] == []
    assert sum(month["rows"] for month in report["by_month"].values()) > 1000


def test_a_ledger_forgets_what_no_report_needs() -> None:
    """Outcomes from before its weeks; of a model's spreads all between the first and the last weeks."""
    closes, outcomes = crowd(0.05, 0.05, accounts=100)
    ledger = ledger_of(closes, outcomes)
    before = judge(ledger, ASKED, MODEL)
    cut = START + 5 * 7 * DAY
    ledger.forget(cut, ASKED.recent_ms // (7 * DAY) + 1)
    assert all(at >= cut for _, at, _ in ledger.outcomes())
    assert len(ledger.spreads("m")) == 18
    assert judge(ledger, ASKED, MODEL)["inputs"] == before["inputs"]
    old = ledger_of([close("a", 0, 0.5), close("a", 7 * ASKED.weeks, 0.25)], [])
    assert old.said["risk"].max() == 0.25
