"""How far a fit goes: what people set keeps its proportions, and counts as much as the outcomes say."""

from dataclasses import replace

import numpy as np
import pytest

from scoring.fitting.logistic import Belief, Fitted
from scoring.fitting.reach import (
    ALL_TERMS,
    BASE_RATE,
    NO_TERM,
    STRETCHED,
    UNSET_TERM,
    Evidence,
    Reach,
    fit_within,
    reaches,
)
from scoring.fitting.validation import choose

DAY = 86_400_000
SET = np.array([-0.8, -0.4, 0.0])


def evidence(truth: np.ndarray, accounts: int, seed: int = 1) -> Evidence:
    """Return weekly rows over 30 weeks; who leaves has no rows afterwards."""
    chance = np.random.default_rng(seed)
    weeks = 30
    shape = (accounts, weeks)
    # Accounts differ for good, and a little from week to week.
    terms = chance.normal(0, 1, (accounts, 1, 3)) + chance.normal(0, 0.5, (*shape, 3))
    chances = 1 / (1 + np.exp(4.5 - terms @ truth))
    left = chance.random(shape) < chances
    is_there = np.cumsum(left, axis=1) - left == 0
    at, account = (np.broadcast_to(each, shape) for each in (np.arange(weeks) * 7 * DAY, np.arange(accounts)[:, None]))
    kept = (terms, left.astype(float), account, at)
    return Evidence(*(each[is_there] for each in kept), horizon_ms=7 * DAY, ratio=1.0)


def believed(coefficients: np.ndarray = SET) -> Belief:
    """Return a belief whose coefficients may only lower the chance."""
    return Belief(-4.5, coefficients, np.full(3, -np.inf), np.zeros(3))


def test_what_people_set_is_stretched_in_its_proportions() -> None:
    """The truth is twice what they set: the factor is found, both coefficients keep their ratio, the unset one stays 0."""
    rows = evidence(2 * SET, 900)
    found = fit_within(BASE_RATE._replace(is_stretched=True), rows.terms, rows.happened, believed(), 1.0)
    assert found.coefficients / SET[:1] == pytest.approx([2.0, 1.0, 0.0], abs=0.25)
    assert found.coefficients[0] / found.coefficients[1] == pytest.approx(SET[0] / SET[1])
    assert found.coefficients[2] == 0.0


def test_a_factor_never_turns_what_people_set_around() -> None:
    """Outcomes that contradict all of it make it count nothing, not the other way round."""
    rows = evidence(-SET, 600)
    found = fit_within(BASE_RATE._replace(is_stretched=True), rows.terms, rows.happened, believed(), 1.0)
    assert found.coefficients.tolist() == [0.0, 0.0, 0.0]


def test_a_factor_is_fitted_in_one_with_the_term_beside_it() -> None:
    """A missing term hides how much the others say: with it they are seen to say more than without."""
    chance = np.random.default_rng(4)
    hidden = chance.normal(0, 1, 40_000)
    # Who is bad by the set terms is good by the unset one, like accounts that are silent for months and never leave.
    terms = np.column_stack([0.8 * hidden + 0.6 * chance.normal(0, 1, hidden.size), np.zeros(hidden.size), -hidden])
    happened = (chance.random(hidden.size) < 1 / (1 + np.exp(4.5 - terms @ np.array([-1.6, 0.0, -1.0])))).astype(float)
    alone, beside = (
        fit_within(Reach(*way, is_stretched=True), terms, happened, believed(), 1.0).coefficients
        for way in ((NO_TERM, np.inf, -1), (UNSET_TERM, np.inf, 2))
    )
    assert beside[[0, 2]] == pytest.approx([-1.6, -1.0], abs=0.2)
    assert alone[0] > -1.0


def test_all_terms_are_held_to_the_stretched_proportions() -> None:
    """With a strong pull nothing is left but the factor; with a weak one each coefficient goes its own way."""
    rows = evidence(np.array([-1.6, -0.8, -0.6]), 900)
    factor = fit_within(BASE_RATE._replace(is_stretched=True), rows.terms, rows.happened, believed(), 1.0)
    held, free = (
        fit_within(Reach(ALL_TERMS, penalty, is_stretched=True), rows.terms, rows.happened, believed(), 1.0)
        for penalty in (1e6, 3.0)
    )
    assert held.coefficients == pytest.approx(factor.coefficients, abs=0.01)
    assert free.coefficients[2] == pytest.approx(-0.6, abs=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_of_few_outcomes_are_as_bold_as_they_may_be(seed: int) -> None:
    """Set at half of what is true, with a term left out: others are foretold better than by that term alone."""
    truth = np.array([-1.6, -0.8, -1.0])
    rows, others = evidence(truth, 130, seed), evidence(truth, 3000, seed + 100)
    assert 30 <= np.unique(rows.accounts[rows.happened > 0]).size < 100
    best = choose(rows, believed()).reach
    assert best.is_stretched
    plain, stretched = (
        fit_within(reach, rows.terms, rows.happened, believed(), 1.0)
        for reach in (Reach(UNSET_TERM, term=2), Reach(UNSET_TERM, term=2, is_stretched=True))
    )
    assert _loss(stretched, others) < _loss(plain, others)


def _loss(found: Fitted, rows: Evidence) -> float:
    said = found.probabilities(rows.terms, 1.0)
    return float(-np.log(np.where(rows.happened > 0, said, 1 - said)).mean())


def test_a_factor_needs_outcomes_and_something_to_multiply() -> None:
    """Twenty accounts with the outcome, for it and a term beside it; and a coefficient that somebody set."""
    rows = evidence(2 * SET, 300)
    lost = np.unique(rows.accounts[rows.happened > 0])
    few = replace(rows, happened=rows.happened * np.isin(rows.accounts, lost[:19]))
    enough = replace(rows, happened=rows.happened * np.isin(rows.accounts, lost[:20]))
    assert [any(reach.is_stretched for reach in reaches(each, believed())) for each in (few, enough)] == [False, True]
    assert not any(reach.is_stretched for reach in reaches(rows, believed(np.zeros(3))))


def test_a_reach_finds_its_term_among_those_that_are_kept() -> None:
    """Its number moves up when terms before it are dropped; without its term nothing but the factor is left."""
    reach = Reach(UNSET_TERM, term=2, is_stretched=True)
    assert reach.within(np.array([False, True, True])) == reach._replace(term=1)
    assert reach.within(np.array([True, True, False])) == BASE_RATE._replace(is_stretched=True)
    assert reach.text == UNSET_TERM + STRETCHED
    assert Reach(ALL_TERMS, 10.0).within(np.array([True, False, True])) == Reach(ALL_TERMS, 10.0)
