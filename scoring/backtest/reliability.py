"""Whether probabilities mean what they say: Brier score and skill, calibration error, slope, reliability table."""

import math
from dataclasses import dataclass

import numpy as np

from scoring.arrays import Floats
from scoring.backtest.ranking import rank

BINS = 10
SMALLEST_PROBABILITY = 1e-6
"""Probabilities are kept to a millionth; log-odds of less are not told apart."""
NEWTON_STEPS = 50
Z_95 = 1.959963984540054


def brier(probabilities: Floats, happened: Floats, weights: Floats) -> float | None:
    """Return the mean squared distance of probability and outcome, 0-1, 0 = perfect; None without rows."""
    total = weights.sum()
    return float((weights * (probabilities - happened) ** 2).sum() / total) if total > 0.0 else None


def brier_skill(probabilities: Floats, happened: Floats, weights: Floats) -> float | None:
    """Return how much of the Brier score of "always the base rate" is saved: 1 = all, 0 = none, below 0 = harm.

    None where all rows ended alike.
    """
    score = brier(probabilities, happened, weights)
    if score is None:
        return None
    base = float((weights * happened).sum() / weights.sum())
    climate = base * (1.0 - base)
    return 1.0 - score / climate if climate > 0.0 else None


def calibration_error(probabilities: Floats, happened: Floats, weights: Floats, bins: int = BINS) -> float | None:
    """Return the expected calibration error over bins of equal width, 0-1; None without rows.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    total = weights.sum()
    if total <= 0.0:
        return None
    which = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(which, weights * (probabilities - happened), minlength=bins)
    return float(np.abs(gaps).sum() / total)


def calibration_slope(probabilities: Floats, happened: Floats, weights: Floats) -> tuple[float, float] | None:
    """Return slope and intercept of the logistic regression of the outcome on the predicted log-odds.

    Slope 1 and intercept 0 are perfect; a slope below 1 means the predictions are too extreme. None where the outcome
    does not vary, the predictions do not, or they separate the outcomes (the slope is then without bound).

    References
    ----------
    Cox: "Two further applications of a model for binary regression", Biometrika 45 (1958).
    """
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    log_odds = np.log(clipped / (1.0 - clipped))
    used = weights > 0.0
    if not used.any() or np.ptp(log_odds[used]) < 1e-9 or np.ptp(happened[used]) == 0.0:
        return None
    slope, intercept = 1.0, 0.0
    for _ in range(NEWTON_STEPS):
        mean = 1.0 / (1.0 + np.exp(-np.clip(intercept + slope * log_odds, -500, 500)))
        spread = weights * mean * (1.0 - mean)
        wrong = weights * (happened - mean)
        a, b, c = spread.sum(), (spread * log_odds).sum(), (spread * log_odds**2).sum()
        determinant = a * c - b * b
        if determinant <= 1e-12 * max(a * c, 1e-300):
            return None
        u, v = wrong.sum(), (wrong * log_odds).sum()
        move_intercept, move_slope = (c * u - b * v) / determinant, (a * v - b * u) / determinant
        # A full step can leap past the optimum where predictions are far off; halving it keeps the walk inside.
        scale = min(1.0, 2.0 / max(abs(move_slope), abs(move_intercept), 1e-300))
        intercept, slope = intercept + scale * move_intercept, slope + scale * move_slope
        if max(abs(move_slope), abs(move_intercept)) < 1e-9:
            return float(slope), float(intercept)
    return None


@dataclass(frozen=True, slots=True)
class Bin:
    """One step of a reliability table: rows of like probability, what was said of them and what came.

    Parameters
    ----------
    rows, positives
        How many rows, and outcomes among them.
    predicted, observed
        Mean probability and share of outcomes, 0-1.
    low, high
        95 % interval of `observed` (Wilson), 0-1.
    """

    rows: int
    positives: int
    predicted: float
    observed: float
    low: float
    high: float


def reliability(probabilities: Floats, happened: Floats, bins: int = BINS) -> list[Bin]:
    """Return bins of about equally many rows, the lowest probability first; rows of one probability stay together."""
    if not probabilities.size:
        return []
    ranking = rank(-probabilities)
    step_of = np.repeat(np.arange(ranking.starts.size), np.diff([*ranking.starts.tolist(), probabilities.size]))
    middles = (ranking.starts + np.append(ranking.starts[1:], probabilities.size)) / 2.0
    which = np.minimum((middles[step_of] / probabilities.size * bins).astype(np.int64), bins - 1)
    found = []
    for number in np.unique(which).tolist():
        chosen = ranking.order[which == number]
        positives = int(happened[chosen].sum())
        low, high = wilson(positives, chosen.size)
        predicted = float(probabilities[chosen].mean())
        found.append(Bin(int(chosen.size), positives, predicted, positives / chosen.size, low, high))
    return found


def quantile_error(table: list[Bin]) -> float | None:
    """Return the expected calibration error over a reliability table's own bins, 0-1; None for an empty one.

    With rare outcomes nearly all rows fall into the first of ten bins of equal width; this one still looks inside.
    """
    rows = sum(entry.rows for entry in table)
    return sum(entry.rows * abs(entry.predicted - entry.observed) for entry in table) / rows if rows else None


def wilson(positives: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0-1, for `positives` of `rows` (> 0).

    References
    ----------
    Wilson: "Probable inference", Journal of the American Statistical Association 22 (1927).
    """
    share, square = positives / rows, Z_95**2 / rows
    middle = (share + square / 2.0) / (1.0 + square)
    half = Z_95 / (1.0 + square) * math.sqrt(share * (1.0 - share) / rows + square / rows / 4.0)
    return max(middle - half, 0.0), min(middle + half, 1.0)
