"""Bends of log-odds: taken where later rows of other accounts bear them out, and only as bent as there are outcomes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scoring.fitting.calibration import (
    ISOTONIC,
    NONE,
    PLATT,
    STRAIGHT,
    Bend,
    Unseen,
    bend_of,
    centred,
    choose_bend,
    to_chance,
    to_log_odds,
)

DAY = 86_400_000
CUTS = np.array([0, 90, 180]) * DAY


def unseen(accounts: int, true, seed: int = 1, ratio: float = 1.0) -> Unseen:
    """Return rows of three stretches of time whose true log-odds are a function of what was said."""
    chance = np.random.default_rng(seed)
    at = np.tile(np.arange(0, 270, 30) * DAY, accounts)
    said = chance.normal(-3, 1.2, at.size)
    happened = (chance.random(at.size) < to_chance(true(said), ratio)).astype(float)
    opened = CUTS[np.searchsorted(CUTS, at, side="right") - 1]
    return Unseen(said, happened, np.repeat(np.arange(accounts), 9), at, opened, 30 * DAY, ratio)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_chances_and_log_odds_are_each_others_inverse(ratio: float) -> None:
    """Over a part of the horizon too."""
    log_odds = np.linspace(-9, 6, 31)
    assert to_log_odds(to_chance(log_odds, ratio), ratio) == pytest.approx(log_odds, abs=1e-6)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_probabilities_that_are_too_mild_are_stretched(ratio: float) -> None:
    """Platt finds the slope and intercept that were planted; later rows of others are foretold better with it."""
    planted = centred(Bend(PLATT, 1.6), unseen(2000, lambda said: said, ratio=ratio).log_odds, ratio)
    rows = unseen(2000, planted.apply, ratio=ratio)
    line = bend_of(PLATT, rows)
    assert line.slope == pytest.approx(1.6, abs=0.25)
    assert line.intercept == pytest.approx(planted.intercept, abs=0.5)
    bend, said, losses = choose_bend(rows, 5)
    assert bend.form in (PLATT, ISOTONIC)
    assert losses[PLATT] < losses[NONE]
    later = rows.opened_ms > 0  # of the first stretch nothing could be learned before it
    assert said[later].mean() == pytest.approx(rows.happened[later].mean(), rel=0.15)


def test_few_outcomes_are_never_bent_by_more_than_a_line() -> None:
    """However bent the truth is."""
    rows = unseen(60, lambda said: np.where(said < -3, -5.0, -1.0))
    assert np.unique(rows.accounts[rows.happened > 0]).size < 300
    bend, _, losses = choose_bend(rows, 5)
    assert set(losses) == {NONE, PLATT}
    assert bend.points == ()


def test_many_outcomes_bend_as_the_truth_does() -> None:
    """A step that no line follows: isotonic is chosen, rises, and says what comes on both sides."""
    rows = unseen(3000, lambda said: np.where(said < -3, -5.0, -1.0))
    bend, _, losses = choose_bend(rows, 5)
    assert bend.form == ISOTONIC
    assert losses[ISOTONIC] < losses[PLATT] < losses[NONE]
    assert all(left[0] < right[0] and left[1] <= right[1] for left, right in pairwise(bend.points))
    low, high = to_chance(bend.apply(np.array([-5.0, -1.0])), 1.0)
    assert (low, high) == (pytest.approx(0.0067, abs=0.003), pytest.approx(0.27, abs=0.03))


def test_what_is_right_is_left_alone_or_hardly_touched() -> None:
    """Where the said is the truth a bend gains nothing that matters."""
    rows = unseen(1500, lambda said: said)
    bend, _, losses = choose_bend(rows, 5)
    assert losses[NONE] - min(losses.values()) < 2e-4
    assert bend.apply(np.array([-4.0, -2.0])) == pytest.approx([-4.0, -2.0], abs=0.35)


def test_no_row_is_judged_by_what_was_learned_from_it_or_after_it() -> None:
    """Outcomes turned around in the last stretch change nothing of what is said before it."""
    rows = unseen(400, lambda said: 1.5 * said)
    last = rows.opened_ms == CUTS[-1]
    turned = replace(rows, happened=np.where(last, 1 - rows.happened, rows.happened))
    one, other = (choose_bend(each, 5)[2][PLATT] for each in (rows, turned))
    assert one != other  # the last stretch is judged
    early = [bend_of(PLATT, each.where(~last)) for each in (rows, turned)]
    assert early[0] == early[1]


def test_nothing_to_judge_by_bends_nothing() -> None:
    """One stretch of time has none before it."""
    rows = unseen(100, lambda said: said)
    assert choose_bend(rows.where(rows.opened_ms == 0), 5)[0] == STRAIGHT


@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_a_bend_leaves_how_many_outcomes_are_said_to_the_fit(ratio: float) -> None:
    """Whatever it does to the spread, the mean chance of the rows it is centred on is that of the unbent log-odds."""
    log_odds = np.random.default_rng(2).normal(-3, 1.2, 5000)
    wanted = to_chance(log_odds, ratio).mean()
    for bend in (Bend(PLATT, 1.7, -2.0), Bend(ISOTONIC, points=((-5.0, -9.0), (-2.0, 1.0)))):
        moved = centred(bend, log_odds, ratio)
        assert to_chance(moved.apply(log_odds), ratio).mean() == pytest.approx(wanted, rel=1e-9)
        assert np.ptp(moved.apply(log_odds) - bend.apply(log_odds)) < 1e-9
    assert centred(STRAIGHT, log_odds, ratio) is STRAIGHT


def test_a_base_rate_that_falls_with_time_is_not_mended_twice() -> None:
    """Each stretch was said twice too high by what came before: a line says so, yet what is said with it is not lowered."""
    rows = unseen(2000, lambda said: said - np.log(2))
    assert bend_of(PLATT, rows).apply(np.array([-3.0])) == pytest.approx([-3.7], abs=0.15)
    _, said, losses = choose_bend(rows, 5)
    assert said.mean() == pytest.approx(to_chance(rows.log_odds, 1.0).mean(), rel=0.01)
    assert losses[NONE] - losses[PLATT] < 2e-3 < _gain_uncentred(rows)


def _gain_uncentred(rows: Unseen) -> float:
    """Return how much less loss a line has that may lower all of it."""
    said = (to_chance(each, 1.0) for each in (rows.log_odds, bend_of(PLATT, rows).apply(rows.log_odds)))
    losses = [float(-np.log(np.where(rows.happened > 0, each, 1 - each)).mean()) for each in said]
    return losses[0] - losses[1]
