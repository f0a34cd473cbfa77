"""How well a score ranks: area under the curve, average precision, lift, capture."""

from dataclasses import dataclass

import numpy as np

from scoring.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in the order of a score, the highest first; equal scores are one step.

    Parameters
    ----------
    order
        Row numbers, the highest score first.
    starts
        Where in `order` each step begins.
    """

    order: Ints
    starts: Ints

    def totals(self, per_row: Floats) -> Floats:
        """Return the sum of a number over the rows of each step."""
        return np.add.reduceat(per_row[self.order], self.starts) if self.order.size else np.empty(0)


def rank(scores: Floats) -> Ranking:
    """Return the ranking of scores without NaN, the highest first. O(n log n), once for any number of weightings."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if order.size else np.empty(0, int)
    return Ranking(order, starts.astype(np.int64))


def auc(ranking: Ranking, happened: Floats, weights: Floats) -> float | None:
    """Return the chance that a random positive stands above a random negative, ties counting half.

    Parameters
    ----------
    ranking : of the rows
    happened : float64 [row], 1 where the outcome came, else 0
    weights : float64 [row], >= 0

    Returns
    -------
    float or None
        0-1, 0.5 = chance; None without a positive or without a negative.
    """
    positives = ranking.totals(happened * weights)
    negatives = ranking.totals((1.0 - happened) * weights)
    pairs = positives.sum() * negatives.sum()
    if pairs <= 0.0:
        return None
    below = negatives.sum() - np.cumsum(negatives)
    return float((positives * (below + negatives / 2.0)).sum() / pairs)


def average_precision(ranking: Ranking, happened: Floats, weights: Floats) -> float | None:
    """Return the mean precision over the positives, each step taken whole; None without a positive.

    A version that walks through tied rows one by one depends on the file's order and can be ten times too high.

    References
    ----------
    scikit-learn, `average_precision_score`: sum of (recall step) * precision.
    """
    positives = ranking.totals(happened * weights)
    reached = np.cumsum(positives)
    if not reached.size or reached[-1] <= 0.0:
        return None
    all_rows = np.cumsum(ranking.totals(weights))
    precision = np.divide(reached, all_rows, out=np.zeros_like(reached), where=all_rows > 0.0)
    return float((positives * precision).sum() / reached[-1])


def capture(ranking: Ranking, happened: Floats, weights: Floats, share: float) -> float | None:
    """Return the share of the positives among the top `share` of the rows; a step cut by the limit counts in part.

    Parameters
    ----------
    share : float, 0-1

    Returns
    -------
    float or None
        0-1; None without a positive.
    """
    positives = np.cumsum(ranking.totals(happened * weights))
    if not positives.size or positives[-1] <= 0.0:
        return None
    rows = np.cumsum(ranking.totals(weights))
    found = np.interp(share * rows[-1], np.concatenate(([0.0], rows)), np.concatenate(([0.0], positives)))
    return float(found / positives[-1])


def lift(ranking: Ranking, happened: Floats, weights: Floats, share: float) -> float | None:
    """Return how many times more positives the top `share` (0 < share <= 1) of the rows holds than a random choice."""
    found = capture(ranking, happened, weights, share)
    return None if found is None else found / share
