"""Folds keep past from future and accounts apart; the choice beats neither chance nor the belief by accident."""

from dataclasses import replace

import numpy as np
import pytest

from scoring.fitting.logistic import Belief, evenly, fit, log_loss
from scoring.fitting.reach import BASE_RATE, UNSET_TERM, Evidence, Reach, fit_within, reaches
from scoring.fitting.validation import choose, folds, ranking_within, useless

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
    assert wrong.reach.penalty < 300
    assert wrong.is_better
    assert wrong.losses[wrong.reach] < wrong.losses[BASE_RATE]
    assert right.reach.penalty >= 100


def test_a_fit_that_ranks_worse_is_not_chosen() -> None:
    """What is chosen ranks unseen rows no worse than the belief, but for noise."""
    for seed in range(4):
        rows = evidence(-1.0, accounts=150, seed=seed)
        choice = choose(rows, believed(-1.0, 0.0))
        ends = np.cumsum([each.size for each in _tested(rows)])[:-1]
        happened = np.split(rows.happened[choice.rows], ends)
        said = (np.split(each, ends) for each in (choice.believed, choice.fitted))
        before, after = (ranking_within(each, happened) for each in said)
        # Where none ranks as well the belief's own order is kept, fitted to the base rate fold by fold.
        assert after >= before - 0.005 or choice.reach == BASE_RATE


@pytest.mark.parametrize("seed", range(4))
def test_what_is_called_better_foretells_unseen_rows_better_than_the_belief(seed: int) -> None:
    """Outcomes grow rarer and the belief knows how rare: a term it lacks is real, but with the past's base rate it is no gain."""
    rows = evidence(-0.3, seed=seed)
    kept = np.random.default_rng(seed).random(rows.happened.size) < np.exp(-rows.at_ms / (70 * DAY))
    rarer = replace(rows, happened=rows.happened * kept)
    late = Belief(-6.0, np.zeros(2), np.full(2, -np.inf), np.full(2, np.inf))
    chosen, steady = choose(rarer, late), choose(rows, believed(0.0, 0.0))
    assert chosen.reach != BASE_RATE
    assert chosen.losses[chosen.reach] < chosen.losses[BASE_RATE]
    assert not chosen.is_better
    assert steady.is_better
    for choice, came in ((chosen, rarer.happened), (steady, rows.happened)):
        losses = [log_loss(said, came[choice.rows]) for said in (choice.believed, choice.fitted)]
        assert choice.is_better == (losses[1] < losses[0])


def _tested(rows: Evidence) -> list[np.ndarray]:
    """Return the test rows of each fold that counts."""
    found = [(rows.happened[train].any(), np.flatnonzero(test)) for train, test in folds(rows)]
    return [test for is_known, test in found if is_known and test.size]


def test_noise_is_named() -> None:
    """A term without any truth adds nothing; one that ranks does."""
    rows = evidence(-1.0)
    found = fit(rows.terms, rows.happened, believed(0.0, 0.0), evenly(rows.terms, 10.0))
    assert useless(rows, found, ["truth", "noise"]) == ["noise"]


def test_without_outcomes_there_are_no_folds() -> None:
    """Nothing to cut by, nothing chosen but the belief."""
    rows = evidence(-1.0)
    empty = Evidence(rows.terms, np.zeros(rows.happened.size), rows.accounts, rows.at_ms, rows.horizon_ms, 1.0)
    assert list(folds(empty)) == []
    assert (choose(empty, believed(0.0, 0.0)).reach, choose(empty, believed(0.0, 0.0)).rows.size) == (BASE_RATE, 0)


def test_few_outcomes_move_one_term_that_nobody_set() -> None:
    """With less than ten outcomes a term coefficients that people set stay; a term they left out is found all the same."""
    rows = evidence(-1.5, accounts=60, seed=3)
    few = rows.accounts < 18
    part = Evidence(rows.terms[few], rows.happened[few], rows.accounts[few], rows.at_ms[few], rows.horizon_ms, 1.0)
    belief = believed(0.0, 0.7)
    assert np.unique(part.accounts[part.happened > 0]).size < 20
    assert [reach.moved for reach in reaches(part, belief)] == [BASE_RATE.moved, UNSET_TERM]
    found = fit_within(Reach(UNSET_TERM, term=0), part.terms, part.happened, belief, 1.0)
    assert found.coefficients[1] == 0.7
    assert found.coefficients[0] < -0.5
