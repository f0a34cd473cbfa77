"""Ranking figures equal scikit-learn's, tied and weighted, and do not depend on the order of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from scoring.backtest.ranking import auc, average_precision, capture, lift, rank

ROWS = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 5), min_size=n, max_size=n),  # few values, many ties
        st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda flags: any(flags) and not all(flags)),
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
    )
)


def arrays(rows: tuple[list[int], list[bool], list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, outcomes and weights as float64."""
    scores, happened, weights = (np.array(column, np.float64) for column in rows)
    return scores, happened, weights


@given(ROWS)
def test_auc_equals_that_of_scikit_learn(rows) -> None:
    """Ties count half and weights count as often as they say."""
    scores, happened, weights = arrays(rows)
    expected = roc_auc_score(happened, scores, sample_weight=weights)
    assert auc(rank(scores), happened, weights) == pytest.approx(expected)


@given(ROWS)
def test_average_precision_equals_that_of_scikit_learn(rows) -> None:
    """Tied rows are one step of the curve."""
    scores, happened, weights = arrays(rows)
    expected = average_precision_score(happened, scores, sample_weight=weights)
    assert average_precision(rank(scores), happened, weights) == pytest.approx(expected)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(rows, chance) -> None:
    """Shuffled rows give the same figures, ties or not."""
    scores, happened, weights = arrays(rows)
    order = list(range(scores.size))
    chance.shuffle(order)
    for figure in (auc, average_precision, lambda r, y, w: lift(r, y, w, 0.1)):
        straight = figure(rank(scores), happened, weights)
        assert figure(rank(scores[order]), happened[order], weights[order]) == pytest.approx(straight)


@given(ROWS)
def test_a_weight_is_a_repeated_row(rows) -> None:
    """A row of weight three counts like three rows: what the bootstrap relies on."""
    scores, happened, weights = arrays(rows)
    times = weights.astype(int)
    many, outcome = np.repeat(scores, times), np.repeat(happened, times)
    ones = np.ones(many.size)
    assert average_precision(rank(scores), happened, weights) == pytest.approx(
        average_precision(rank(many), outcome, ones)
    )
    assert capture(rank(scores), happened, weights, 0.3) == pytest.approx(capture(rank(many), outcome, ones, 0.3))


def test_equal_scores_rank_like_chance() -> None:
    """A constant score has AUC 0.5, the base rate as average precision and lift 1, wherever the positives stand."""
    happened = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    ranking, ones = rank(np.zeros(8)), np.ones(8)
    assert auc(ranking, happened, ones) == 0.5
    assert average_precision(ranking, happened, ones) == 0.25
    assert lift(ranking, happened, ones, 0.1) == pytest.approx(1.0)


def test_lift_takes_its_share_of_a_tied_step() -> None:
    """The top tenth of ten rows, two of them tied at the top with one positive, holds half a positive."""
    scores = np.array([9.0, 9.0, *range(8)])
    happened = np.array([1.0, 0.0, 1.0, *[0.0] * 7])
    assert lift(rank(scores), happened, np.ones(10), 0.1) == pytest.approx(0.5 / 2 / 0.1)


def test_without_positives_or_negatives_there_is_no_figure() -> None:
    """Emptiness is None, not 0."""
    none, ones = np.zeros(3), np.ones(3)
    ranking = rank(np.arange(3.0))
    assert (auc(ranking, none, ones), average_precision(ranking, none, ones)) == (None, None)
    assert (auc(ranking, ones, ones), lift(ranking, none, ones, 0.1)) == (None, None)
    assert auc(rank(np.empty(0)), np.empty(0), np.empty(0)) is None
