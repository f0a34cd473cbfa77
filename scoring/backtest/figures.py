"""All figures of one set of predictions, with intervals; and what a single signal alone would have reached."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scoring.arrays import Floats, Ints, Singles
from scoring.backtest.ranking import auc, average_precision, capture, lift, rank
from scoring.backtest.reliability import (
    brier,
    brier_skill,
    calibration_error,
    calibration_slope,
    quantile_error,
    reliability,
)
from scoring.backtest.resampling import ROUNDS, Draw, intervals

TOP_SHARE = 0.1
CAPTURE_SHARES = (0.05, 0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was said of accounts at instants, and what came.

    Parameters
    ----------
    probabilities
        float64 [row], 0-1, without NaN.
    happened
        float64 [row], 1 where the outcome came within the horizon, else 0.
    accounts
        int64 [row], number of the row's account.
    """

    probabilities: Floats
    happened: Floats
    accounts: Ints

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Return the rows of a mask or an index."""
        return Predictions(self.probabilities[chosen], self.happened[chosen], self.accounts[chosen])


def figures_of(predictions: Predictions, draw: Draw | None = None, rounds: int = ROUNDS) -> dict[str, object]:
    """Return name → figure, and under `intervals` name → [low, high] where `draw` is given.

    Figures that the rows cannot give (no positive among them, say) are None.
    """
    p, y = predictions.probabilities, predictions.happened
    ranking = rank(p)

    def weighted(weights: Floats) -> dict[str, float | None]:
        slope = calibration_slope(p, y, weights)
        return {
            "base_rate": float((y * weights).sum() / weights.sum()) if weights.sum() > 0.0 else None,
            "auc": auc(ranking, y, weights),
            "average_precision": average_precision(ranking, y, weights),
            "lift_at_10": lift(ranking, y, weights, TOP_SHARE),
            "brier": brier(p, y, weights),
            "brier_skill": brier_skill(p, y, weights),
            "ece": calibration_error(p, y, weights),
            "calibration_slope": slope[0] if slope else None,
            "calibration_intercept": slope[1] if slope else None,
        }

    ones = np.ones(y.size)
    table = reliability(p, y)
    found: dict[str, object] = {"rows": int(y.size), "positives": int(y.sum()), **weighted(ones)}
    found["mean_risk"] = float(p.mean()) if p.size else None
    found["ece_quantile"] = quantile_error(table)
    found["capture"] = {f"{share:g}": capture(ranking, y, ones, share) for share in CAPTURE_SHARES}
    if draw is not None:
        found["intervals"] = _intervals(weighted, predictions.accounts, draw, rounds)
    return found


def _intervals(
    weighted: Callable[[Floats], dict[str, float | None]], accounts: Ints, draw: Draw, rounds: int
) -> dict[str, list[float]]:
    _, numbers = np.unique(accounts, return_inverse=True)
    return {name: list(pair) for name, pair in intervals(weighted, numbers, draw, rounds).items()}


def signal_alone(values: Floats | Singles, happened: Floats) -> dict[str, float | None]:
    """Return how well one number ranks by itself, in whichever direction ranks better.

    Parameters
    ----------
    values : float [row], NaN = no data, which ranks in the middle
    happened : float64 [row], 1 where the outcome came
    """
    known = ~np.isnan(values)
    middle = float(np.median(values[known])) if known.any() else 0.0
    filled = np.where(known, values, middle).astype(np.float64)
    ones = np.ones(happened.size)
    best = auc(rank(filled), happened, ones)
    if best is not None and best < 0.5:
        filled = -filled
    ranking = rank(filled)
    return {
        "auc": auc(ranking, happened, ones),
        "average_precision": average_precision(ranking, happened, ones),
        "lift_at_10": lift(ranking, happened, ones, TOP_SHARE),
        "coverage": float(known.mean()) if known.size else None,
    }
