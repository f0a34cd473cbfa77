"""Probabilities from scores: the logistic function and what follows from a hazard that stays the same."""

import math

from numba import njit


@njit(cache=True)
def logistic(log_odds: float) -> float:
    """Return the probability, 0-1, of given log-odds; safe for large ones."""
    if log_odds >= 0.0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


def at_horizon(probability: float, horizon_ms: int, other_ms: int) -> float:
    """Return a probability for another horizon under a constant hazard: ``1 - (1 - p)^(other / horizon)``.

    Parameters
    ----------
    probability : float, 0-1, within ``horizon_ms``
    horizon_ms, other_ms : int, > 0, milliseconds

    Returns
    -------
    float
        Probability within ``other_ms``, 0-1.
    """
    return -math.expm1(math.log1p(-min(probability, 1.0 - 1e-12)) * other_ms / horizon_ms)
