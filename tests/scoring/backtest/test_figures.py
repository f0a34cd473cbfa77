"""All figures together, their intervals over accounts, and signals alone."""

import numpy as np
import pytest

from scoring.backtest.figures import Predictions, figures_of, signal_alone
from scoring.backtest.resampling import intervals


def drawing(seed: int):
    """Return a source of chance as the bootstrap takes it."""
    chance = np.random.default_rng(seed)
    return lambda n: chance.integers(0, n, n)


def some(accounts: int = 300, rows_each: int = 10) -> Predictions:
    """Return predictions whose rows of one account are alike, as those of real accounts are."""
    chance = np.random.default_rng(3)
    level = np.repeat(chance.normal(-2, 1, accounts), rows_each)
    happened = np.repeat((chance.random(accounts) < 1 / (1 + np.exp(2))).astype(float), rows_each)
    return Predictions(1 / (1 + np.exp(-level)), happened, np.repeat(np.arange(accounts), rows_each))


def test_the_same_chance_gives_the_same_intervals_around_the_figure() -> None:
    """Intervals repeat, and hold the figure of all rows."""
    first, second = (figures_of(some(), drawing(1), rounds=60) for _ in range(2))
    assert first["intervals"] == second["intervals"]
    low, high = first["intervals"]["auc"]
    assert low < first["auc"] < high


def test_rows_of_one_account_come_and_go_together() -> None:
    """Ten equal rows an account give the interval of one row an account, not one three times as narrow."""
    many, one = figures_of(some(rows_each=10), drawing(1)), figures_of(some(rows_each=1), drawing(1))
    assert many["intervals"]["auc"] == pytest.approx(one["intervals"]["auc"])
    alone = some(rows_each=10)
    pretending = Predictions(alone.probabilities, alone.happened, np.arange(3_000))
    narrow = figures_of(pretending, drawing(1))["intervals"]["auc"]
    wide = many["intervals"]["auc"]
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])


def test_a_figure_that_most_resamples_lack_gets_no_interval() -> None:
    """Rather none than one made of a few lucky draws."""
    found = intervals(lambda weights: {"rare": None, "sum": float(weights.sum())}, np.arange(5), drawing(2), 30)
    assert set(found) == {"sum"}
    assert intervals(lambda _: {"any": 1.0}, np.empty(0, np.int64), drawing(2)) == {}


def test_no_rows_give_no_figures() -> None:
    """Emptiness is None everywhere, and no error."""
    empty = Predictions(np.empty(0), np.empty(0), np.empty(0, np.int64))
    found = figures_of(empty, drawing(1))
    assert (found["rows"], found["auc"], found["brier"], found["ece"], found["base_rate"]) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert found["intervals"] == {}


def test_a_signal_alone_ranks_in_its_better_direction() -> None:
    """A signal that falls before the outcome is as good as one that rises; a missing value stands in the middle."""
    happened = np.array([1.0, 1.0, 0.0, 0.0])
    rising, falling = np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert signal_alone(rising, happened) == signal_alone(falling, happened)
    assert signal_alone(rising, happened)["auc"] == 1.0
    found = signal_alone(np.array([np.nan, 3.0, np.nan, 1.0]), happened)
    assert (found["auc"], found["coverage"]) == (0.875, 0.5)
