"""Calibration figures equal scikit-learn's where it has them, and known values elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from scoring.backtest.reliability import (
    brier,
    brier_skill,
    calibration_error,
    calibration_slope,
    quantile_error,
    reliability,
    wilson,
)

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(1, 3)), min_size=2, max_size=50)


@given(PAIRS)
def test_brier_equals_that_of_scikit_learn(pairs) -> None:
    """The weighted mean of squared distances."""
    p, y, w = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    assert brier(p, y, w) == pytest.approx(brier_score_loss(y, p, sample_weight=w, pos_label=1))


def test_the_base_rate_has_no_skill_and_the_truth_has_all() -> None:
    """Skill is measured against always saying the base rate."""
    y, ones = np.array([1.0, 0.0, 0.0, 0.0]), np.ones(4)
    assert brier_skill(np.full(4, 0.25), y, ones) == pytest.approx(0.0)
    assert brier_skill(y, y, ones) == 1.0
    assert brier_skill(np.full(4, 0.9), y, ones) < 0
    assert brier_skill(y, np.zeros(4), ones) is None


def test_the_error_of_a_known_example() -> None:
    """Two bins: 0.15 said where 0 came (3 rows), 0.85 said where all came (1 row)."""
    p, y = np.array([0.15, 0.15, 0.15, 0.85]), np.array([0.0, 0.0, 0.0, 1.0])
    assert calibration_error(p, y, np.ones(4)) == pytest.approx(0.15)


def test_slope_and_intercept_equal_an_unpenalised_regression() -> None:
    """Newton's method ends where scikit-learn's logistic regression on the log-odds does."""
    chance = np.random.default_rng(5)
    log_odds = chance.normal(-2, 1.5, 4_000)
    y = (chance.random(4_000) < 1 / (1 + np.exp(-(0.4 + 0.6 * log_odds)))).astype(float)
    p = 1 / (1 + np.exp(-log_odds))
    slope, intercept = calibration_slope(p, y, np.ones(4_000))
    expected = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(log_odds[:, None], y)
    assert slope == pytest.approx(expected.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(expected.intercept_[0], abs=1e-4)


def test_right_probabilities_have_slope_one() -> None:
    """Outcomes drawn from the stated probabilities give slope 1 and intercept 0 within chance, and halved log-odds 2."""
    chance = np.random.default_rng(6)
    log_odds = chance.normal(-1, 1, 50_000)
    y = (chance.random(50_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    slope, intercept = calibration_slope(1 / (1 + np.exp(-log_odds)), y, np.ones(50_000))
    assert (slope, intercept) == (pytest.approx(1, abs=0.05), pytest.approx(0, abs=0.05))
    assert calibration_slope(1 / (1 + np.exp(-log_odds / 2)), y, np.ones(50_000))[0] == pytest.approx(2, abs=0.1)


def test_no_slope_where_nothing_varies_or_all_is_separated() -> None:
    """A constant prediction, a constant outcome and a perfect separation have none."""
    p, y, ones = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4)
    assert calibration_slope(np.full(4, 0.3), y, ones) is None
    assert calibration_slope(p, np.zeros(4), ones) is None
    assert calibration_slope(p, y, ones) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=80))
def test_a_reliability_table_holds_every_row_once(pairs) -> None:
    """Bins rise, their rows and positives add up, rows of one probability share a bin, intervals hold what was seen."""
    p = np.array([score / 20 for score, _ in pairs])
    y = np.array([float(flag) for _, flag in pairs])
    table = reliability(p, y)
    assert sum(entry.rows for entry in table) == p.size
    assert sum(entry.positives for entry in table) == y.sum()
    predicted = [entry.predicted for entry in table]
    assert predicted == sorted(predicted)
    assert len(table) <= len(set(p.tolist()))
    assert all(entry.low <= entry.observed + 1e-12 and entry.observed <= entry.high + 1e-12 for entry in table)
    assert (quantile_error(table) is None) == (p.size == 0)


def test_the_interval_of_a_share_is_wilsons() -> None:
    """5 of 10 lies within 23.7 % to 76.3 %; none of 10 reaches up to 27.8 %."""
    assert wilson(5, 10) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    assert wilson(0, 10) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.2775, abs=1e-4))
