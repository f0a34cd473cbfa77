"""A fit equals scikit-learn's where they ask the same, keeps to its belief and its bounds, and finds planted truths."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scoring.fitting.logistic import Belief, Fitted, evenly, fit, log_loss


def sample(rows: int, ratio: float = 1.0, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return terms and outcomes of a planted truth: intercept -2, coefficients -1.5, 0.8, 0 at the model's horizon."""
    chance = np.random.default_rng(seed)
    terms = chance.normal(0, 1, (rows, 3))
    eta = -2 + terms @ np.array([-1.5, 0.8, 0.0])
    at_horizon = 1 / (1 + np.exp(-eta))
    return terms, (chance.random(rows) < 1 - (1 - at_horizon) ** ratio).astype(float)


def belief(*coefficients: float, intercept: float = 0.0, low: float = -np.inf, high: float = np.inf) -> Belief:
    """Return a belief with the same bounds for every coefficient."""
    found = np.array(coefficients)
    return Belief(intercept, found, np.full(found.size, low), np.full(found.size, high))


def test_without_a_penalty_it_is_the_ordinary_regression() -> None:
    """Coefficients equal those of an unpenalised fit by scikit-learn."""
    terms, happened = sample(3_000)
    expected = LogisticRegression(C=1e12, tol=1e-10, max_iter=2_000).fit(terms, happened)
    found = fit(terms, happened, belief(0, 0, 0), evenly(terms, 0.0))
    assert found.coefficients == pytest.approx(expected.coef_[0], abs=1e-4)
    assert found.intercept == pytest.approx(expected.intercept_[0], abs=1e-4)


def test_a_penalty_around_nothing_is_ridge_regression() -> None:
    """With a belief of 0 and terms of unit spread it is scikit-learn's L2 penalty."""
    terms, happened = sample(2_000)
    terms = terms / terms.std(axis=0)
    expected = LogisticRegression(C=1 / 50, tol=1e-10, max_iter=2_000).fit(terms, happened)
    found = fit(terms, happened, belief(0, 0, 0), evenly(terms, 50.0))
    assert found.coefficients == pytest.approx(expected.coef_[0], abs=1e-4)


def test_an_infinite_penalty_moves_the_base_rate_only() -> None:
    """Coefficients stay as believed; the mean of the predictions is the share of outcomes."""
    terms, happened = sample(2_000)
    found = fit(terms, happened, belief(-1, 0.5, 0.2, intercept=-5), evenly(terms, np.inf))
    assert found.coefficients.tolist() == [-1, 0.5, 0.2]
    assert found.probabilities(terms, 1.0).mean() == pytest.approx(happened.mean(), abs=1e-6)


def test_a_stronger_belief_is_left_less() -> None:
    """The distance from the belief falls as the penalty rises."""
    terms, happened = sample(500)
    believed = belief(0, 0, 2)
    distances = [
        np.abs(fit(terms, happened, believed, evenly(terms, p)).coefficients - [0, 0, 2]).sum()
        for p in (0, 10, 100, 1e4)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.2 < distances[0]


def test_bounds_hold_whatever_the_outcomes_say() -> None:
    """The term that raises the chance may not, so it stays at 0; the others fit as if it were not there."""
    terms, happened = sample(2_000)
    found = fit(terms, happened, belief(0, 0, 0, high=0.0), evenly(terms, 0.0))
    alone = fit(terms[:, [0, 2]], happened, belief(0, 0, high=0.0), evenly(terms[:, [0, 2]], 0.0))
    assert found.coefficients[1] == 0.0
    assert found.coefficients[[0, 2]] == pytest.approx(alone.coefficients, abs=1e-5)


def test_a_short_horizon_finds_the_same_coefficients() -> None:
    """Outcomes of 7 days give the coefficients of the 90-day risk they were drawn from."""
    terms, happened = sample(120_000, ratio=7 / 90)
    found = fit(terms, happened, belief(0, 0, 0), evenly(terms, 0.0), 7 / 90)
    assert found.intercept == pytest.approx(-2, abs=0.1)
    assert found.coefficients == pytest.approx([-1.5, 0.8, 0.0], abs=0.1)
    assert found.probabilities(terms, 7 / 90).mean() == pytest.approx(happened.mean(), rel=0.01)


def test_a_separating_term_ends_at_a_finite_coefficient() -> None:
    """Even where a term tells every outcome, the belief keeps the fit finite."""
    terms = np.concatenate((np.full((50, 1), -1.0), np.full((50, 1), 1.0)))
    happened = np.repeat([1.0, 0.0], 50)
    found = fit(terms, happened, belief(-1.0), evenly(terms, 3.0))
    assert np.isfinite(found.coefficients).all()
    assert log_loss(found.probabilities(terms, 1.0), happened) < 0.2


@pytest.mark.parametrize("seed", range(6))
def test_terms_that_go_together_are_fitted_within_their_bounds(seed: int) -> None:
    """Nothing better lies near: no small step of any coefficient, alone or with its double, that the bounds allow."""
    chance = np.random.default_rng(seed)
    one = chance.normal(0, 1, (3_000, 3))
    terms = np.column_stack([one, one + 0.01 * chance.normal(0, 1, one.shape)])
    happened = (chance.random(3_000) < 1 / (1 + np.exp(2 - one @ np.array([-1.0, 0.5, 0.0])))).astype(float)
    prior, pull = belief(-0.5, -0.5, -0.5, 0, 0, 0, high=0.0), evenly(terms, 0.1)
    found = fit(terms, happened, prior, pull)

    def loss(intercept: float, coefficients: np.ndarray) -> float:
        said = Fitted(intercept, coefficients).probabilities(terms, 1.0)
        held = (pull * (coefficients - prior.coefficients) ** 2).sum() / 2
        return log_loss(said, happened) * happened.size + held

    least = loss(found.intercept, found.coefficients)
    assert (found.coefficients <= 0).all()
    for step in np.vstack([np.eye(6), np.eye(6) - np.roll(np.eye(6), 3, axis=1)]):
        for size in (-1e-3, 1e-3):
            tried = found.coefficients + size * step
            if (tried <= 0).all():
                assert loss(found.intercept, tried) >= least - 1e-9
    for size in (-1e-3, 1e-3):
        assert loss(found.intercept + size, found.coefficients) >= least - 1e-9
