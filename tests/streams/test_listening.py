"""Silences of a running application: the same as in a history, whatever is read first, and nothing said of what was deleted."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.presets import load_model
from state.columns import Columns
from state.decode import LoneRecord, decode_chunk
from state.moments import rfc3339
from streams.backtest.outcomes import Answers
from streams.backtest.question import Question as Asking
from streams.backtest.silence import RETURNED, SILENT, Moment, Silence
from streams.feedback.joining import Feedback, Question
from streams.feedback.judging import Asked, judge
from streams.feedback.ledger import Ledger
from streams.feedback.listening import Hearing
from streams.halt import Refusal
from tests.streams.test_feedback import DAY, MODEL, START, close

SILENCE = Silence("billing", "purchase", 21 * DAY)
ASKED = Asked(SILENCE, 28 * DAY, 1.0, 56 * DAY)
HOUR = DAY // 24
Spoken = tuple[str, int, str]
"""Account, hours after the start, name of the event."""


def events(spoken: list[Spoken]) -> Columns:
    """Decode such events of `billing`."""
    lines = [
        b'{"id":"%d","account_id":"%s","event":"%s","amount":1,"occurred_at":"%s"}'
        % (k, account.encode(), name.encode(), rfc3339(START + hours * HOUR).encode())
        for k, (account, hours, name) in enumerate(spoken)
    ]
    chunk = decode_chunk("billing", [LoneRecord(line) for line in lines])
    assert not chunk.rejections
    return chunk


def heard(spoken: list[Spoken], silence: Silence = SILENCE) -> Hearing:
    """A hearing that took all of it."""
    hearing = Hearing(silence)
    hearing.take(events(spoken))
    return hearing


def books() -> st.SearchStrategy[list[Spoken]]:
    """Some accounts' events over a year."""
    names = st.sampled_from(("purchase", "purchase", "refund"))
    return st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400 * 24), names), max_size=40)


@given(books(), st.sampled_from(("purchase", "")), st.sampled_from((7, 21, 60)), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_silence_is_reached_where_a_history_says_so(
    spoken: list[Spoken], name: str, days: int, chance: random.Random
) -> None:
    """Of every day and three horizons, read in any order, in pieces, some of it twice."""
    silence = Silence("billing", name, days * DAY)
    shuffled = spoken + spoken[:5]
    chance.shuffle(shuffled)
    hearing = Hearing(silence)
    for first in range(0, len(shuffled), 7):
        hearing.take(events(shuffled[first : first + 7]))
    told = [(account, START + hours * HOUR) for account, hours, kind in spoken if name in ("", kind)]
    at_ms = np.arange(START - 30 * DAY, START + 450 * DAY, 3 * DAY)
    for horizon_ms in (10 * DAY, 21 * DAY, 90 * DAY):
        answers = Answers(Asking(silence, horizon_ms), [], {})
        answers.index([account for account, _ in told], np.array([at for _, at in told], np.int64))
        for row, account in enumerate("abcd"):
            expected = answers.happened([account] * at_ms.size, at_ms)
            rows = np.full(at_ms.size, row)
            assert np.array_equal(hearing.spoke("abcd", rows, at_ms, horizon_ms) == 0, expected > 0)


def test_an_account_is_silent_a_duration_after_its_last_event() -> None:
    """And has returned, when it last spoke, until then; what is no such event does not count, and later events do not yet."""
    hearing = heard(
        [("a", 10, "purchase"), ("a", 300, "refund"), ("b", 24 * 15, "purchase"), ("c", 24 * 50, "purchase")]
    )
    assert sorted(hearing.moments(START + 30 * DAY)) == [
        Moment("a", START + 10 * HOUR + 21 * DAY, SILENT),
        Moment("b", START + 15 * DAY, RETURNED),
    ]


@given(books(), st.integers(60, 300))
@settings(max_examples=60, deadline=None)
def test_what_is_forgotten_changes_no_later_answer(spoken: list[Spoken], day: int) -> None:
    """Spans from then on are decided alike; of those before, nothing is known any more."""
    hearing, kept = heard(spoken), heard(spoken)
    hearing.forget(START + day * DAY)
    at_ms = np.arange(START, START + 420 * DAY, DAY)
    known = hearing.knows(at_ms, 28 * DAY)
    first = START + (day - 7) * DAY  # the span of 21 days ends with the horizon of 28
    assert np.array_equal(known, at_ms >= first) or not spoken
    rows = np.zeros(known.sum(), np.int64)
    for account in "abc":
        found = [each.spoke([account], rows, at_ms[known], 28 * DAY) > 0 for each in (hearing, kept)]
        assert np.array_equal(*found)


def test_predictions_are_judged_by_silence() -> None:
    """Who buys every week kept its word, who stopped did not, and only from the weeks that decide it."""
    closes = [close(account, day, 0.25) for account in ("stays", "stops") for day in range(0, 141, 7)]
    ledger = Ledger(ASKED.weeks)
    spoken = [("stays", day * 24, "purchase") for day in range(0, 140, 7)]
    spoken += [("stops", day * 24, "purchase") for day in range(0, 60, 7)]
    ledger.hearings[SILENCE] = heard(spoken)
    for each in closes:
        ledger.take_close(each)
    report = judge(ledger, ASKED, MODEL)
    promises = report["kept_promises"].values()
    # Judged: Mondays 0 to 105, whose horizon of 28 days ends by day 140; silent: no purchase in [day + 8, day + 29).
    assert [kept["rows"] for kept in promises] == [2 * 8, 2 * 8]
    assert [round(kept["came"] * kept["rows"]) for kept in promises] == [1, 8]  # from day 49 on
    assert [kept["outcomes"] for kept in promises] == [1, 1]
    assert report["silence"] == {"silent": 1, "heard_from": None}
    # Who stopped last bought on day 56 and was silent on day 77, before the recent 56 days; who stays was back on day 133.
    words = report["said_before_outcomes"]["30"]
    assert {kind: each["outcomes"] for kind, each in words.items()} == {RETURNED: 1}


def test_what_was_deleted_decides_nothing() -> None:
    """Predictions whose span begins before the oldest event that is known are left out, whoever they are of."""
    closes = [close("a", day, 0.25) for day in range(0, 141, 7)]
    feedback = Feedback(Question("silence:billing:purchase:21d", 28 * DAY, 56 * DAY), [MODEL])
    for each in closes:
        feedback.ledger.take_close({**each, "model": MODEL.fingerprint})
    assert feedback.heard == ("billing",)
    rows = [feedback.report()["kept_promises"][name]["rows"] for name in ("before", "recent")]
    feedback.miss("billing", START + 50 * DAY)
    feedback.miss("usage", START + 90 * DAY)
    after = feedback.report()
    assert rows == [8, 8]
    assert [after["kept_promises"][name]["rows"] for name in ("before", "recent")] == [2, 8]
    assert after["silence"] == {"silent": 0, "heard_from": rfc3339(START + 50 * DAY)}


def test_a_stated_outcome_ends_what_is_asked_of_a_silence() -> None:
    """As in a history: who said goodbye is not foretold to fall silent."""
    ledger = Ledger(ASKED.weeks)
    ledger.hearings[SILENCE] = heard([("a", 0, "purchase")])
    ledger.take_outcome("a", START + 30 * DAY, "churned")
    for day in range(0, 141, 7):
        ledger.take_close(close("a", day, 0.25))
    kept = judge(ledger, ASKED, MODEL)["kept_promises"]
    assert (kept["before"]["rows"], kept["recent"]["rows"]) == (5, 0)


def test_a_model_that_foretells_a_silence_brings_its_topic() -> None:
    """The presets' own outcomes are listened for; another one that comes later, or one of hours, is refused."""
    shop, b2b = load_model("ecommerce-rfm"), load_model("b2b-lifecycle")
    own = Question(None, None, 90 * DAY)
    feedback = Feedback(own, [shop])
    assert feedback.heard == ("billing",)
    assert feedback.report()["outcome"] == "silence:billing:purchase:90d"
    assert Feedback(own, [MODEL]).heard == ()
    with pytest.raises(Refusal) as refused:
        feedback.learn([replace(b2b, horizon_ms=shop.horizon_ms)])
    assert (
        str(refused.value)
        == f"b2b-lifecycle {b2b.version}: foretells another silence than the former ones - start again"
    )
    with pytest.raises(Refusal) as refused:
        Feedback(Question("silence:usage:36h", None, 90 * DAY), [MODEL])
    assert str(refused.value) == (
        f"saas-renewal {MODEL.version}: expected a silence of whole days, got 'silence:usage:36h' - "
        "give --outcome, such as silence:billing:purchase:90d"
    )
