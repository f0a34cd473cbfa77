"""Folds keep past from future and accounts apart; the choice beats neither chance nor the belief by accident."""

import numpy as np

from scoring.backtest.ranking import auc, rank
from scoring.fitting.logistic import Belief, fit
from scoring.fitting.validation import Evidence, choose, folds, useless

DAY = 86_400_000


def evidence(truth: float, accounts: int = 800, seed: int = 1) -> Evidence:
    """Return weekly rows over 30 weeks whose first term has that true coefficient and whose second has none."""
    chance = np.random.default_rng(seed)
    weeks = 30
    terms = chance.normal(0, 1, (accounts * weeks, 2))
    p = 1 / (1 + np.exp(-(-4 + truth * terms[:, 0])))
    return Evidence(
        terms=terms,
        happened=(chance.random(p.size) < p).astype(float),
        accounts=np.repeat(np.arange(accounts), weeks),
        at_ms=np.tile(np.arange(weeks) * 7 * DAY, accounts),
        horizon_ms=7 * DAY,
        ratio=1.0,
    )


def believed(*coefficients: float) -> Belief:
    """Return an unbounded belief around the true base rate."""
    found = np.array(coefficients)
    return Belief(-4.0, found, np.full(found.size, -np.inf), np.full(found.size, np.inf))


def test_no_fold_trains_on_what_it_is_judged_by() -> None:
    """Accounts differ, and every training row's outcome was known when the first test row was asked."""
    rows = evidence(-1.0)
    found = list(folds(rows))
    assert len(found) == 15
    for train, test in found:
        assert train.any()
        assert test.any()
        assert not set(rows.accounts[train]) & set(rows.accounts[test])
        assert rows.at_ms[train].max() + rows.horizon_ms <= rows.at_ms[test].min()


def test_a_row_is_judged_at_most_once() -> None:
    """The figures on unseen rows count each row once."""
    choice = choose(evidence(-1.0), believed(0.0, 0.0))
    assert np.unique(choice.rows).size == choice.rows.size


def test_a_wrong_belief_is_left_and_a_right_one_kept() -> None:
    """Where the truth is far from the belief the fit goes to it; where it is the belief, a weak penalty does not win."""
    wrong = choose(evidence(-1.0), believed(0.5, 0.0))
    right = choose(evidence(-1.0), believed(-1.0, 0.0))
    assert wrong.penalty < 300
    assert wrong.losses[wrong.penalty] < wrong.losses[np.inf]
    assert right.penalty >= 100


def test_a_fit_that_ranks_worse_is_not_chosen() -> None:
    """What is chosen ranks unseen rows no worse than the belief, but for noise."""
    for seed in range(4):
        rows = evidence(-1.0, accounts=150, seed=seed)
        choice = choose(rows, believed(-1.0, 0.0))
        happened, ones = rows.happened[choice.rows], np.ones(choice.rows.size)
        before, after = (auc(rank(said), happened, ones) for said in (choice.believed, choice.fitted))
        # Where none ranks as well the belief's own order is kept, fitted to the base rate fold by fold.
        assert after >= before - 0.005 or choice.penalty == np.inf


def test_noise_is_named() -> None:
    """A term without any truth adds nothing; one that ranks does."""
    rows = evidence(-1.0)
    found = fit(rows.terms, rows.happened, believed(0.0, 0.0), 10.0)
    assert useless(rows, found, ["truth", "noise"]) == ["noise"]


def test_without_outcomes_there_are_no_folds() -> None:
    """Nothing to cut by, nothing chosen but the belief."""
    rows = evidence(-1.0)
    empty = Evidence(rows.terms, np.zeros(rows.happened.size), rows.accounts, rows.at_ms, rows.horizon_ms, 1.0)
    assert list(folds(empty)) == []
    assert (choose(empty, believed(0.0, 0.0)).penalty, choose(empty, believed(0.0, 0.0)).rows.size) == (np.inf, 0)
