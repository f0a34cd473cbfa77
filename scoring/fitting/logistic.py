"""A logistic regression that starts from what is believed and leaves it only as far as the outcomes demand.

For a probability stated for a horizon H and outcomes watched over h, with r = h / H and a constant hazard between:

    log-odds at H:   eta = intercept + sum of coefficient * term
    hazard over h:   r * log(1 + exp(eta))             chance over h: 1 - exp(-that)

and the fit minimises   -log-likelihood + sum of pull / 2 * (coefficient - prior)^2 , each coefficient within its bounds.
With r = 1 this is the ordinary logistic regression.

References
----------
Iteratively reweighted least squares with coordinate descent: Friedman, Hastie, Tibshirani, Journal of Statistical
Software 33 (2010).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats

ROUNDS = 60
SWEEPS = 200
TOLERANCE = 1e-8
INTERCEPT_PENALTY = 1e-6
"""The base rate is what outcomes tell best: its prior only keeps it finite."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a propensity before outcomes are seen.

    Parameters
    ----------
    intercept
        Log-odds of a healthy account.
    coefficients
        float64 [term].
    low, high
        float64 [term], bounds of each coefficient: what declared directions allow.
    calibration
        Points (log-odds, log-odds) that bend what the coefficients say; empty for none. A fit begins without.
    """

    intercept: float
    coefficients: Floats
    low: Floats
    high: Floats
    calibration: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """An intercept and coefficients, float64 [term]."""

    intercept: float
    coefficients: Floats

    def probabilities(self, terms: NDArray[np.floating], ratio: float) -> Floats:
        """Return the chance, 0-1, of each row of `terms` [row, term] over `ratio` of the model's horizon."""
        return -np.expm1(-ratio * softplus(self.intercept + terms @ self.coefficients))


def evenly(terms: Floats, penalty: float) -> Floats:
    """Return the pull, float64 [term], that holds each coefficient as strongly for what it does to the rows.

    Parameters
    ----------
    penalty
        >= 0; how many outcomes' worth of evidence the belief is. Infinite: only the intercept is fitted.
    """
    spread = np.maximum(terms.std(axis=0), 1e-3) if len(terms) else np.ones(terms.shape[1])
    return np.full(spread.size, np.inf) if np.isinf(penalty) else penalty * spread**2


def fit(terms: Floats, happened: Floats, belief: Belief, pull: Floats, ratio: float = 1.0) -> Fitted:
    """Return the coefficients that outcomes and belief settle on.

    Parameters
    ----------
    terms
        float64 [row, term], what each coefficient multiplies.
    happened
        float64 [row], 1 where the outcome came.
    pull
        float64 [term], >= 0, how strongly each coefficient is held to its belief; infinite = it is not fitted.
    ratio
        > 0, horizon of the outcomes over that of the model.
    """
    current = np.clip(belief.coefficients, belief.low, belief.high)
    intercept = belief.intercept
    for _ in range(ROUNDS):
        eta = intercept + terms @ current
        slope, curve = _derivatives(eta, happened, ratio)
        new_intercept, new = _quadratic(terms, slope, curve, intercept, current, belief, pull)
        # A full step may overshoot far from the optimum, where the curve is no guide.
        scale = min(1.0, 3.0 / max(float(np.abs(terms @ (new - current) + new_intercept - intercept).max()), 1e-12))
        moved = max(abs(new_intercept - intercept), float(np.abs(new - current).max(initial=0.0)))
        intercept += scale * (new_intercept - intercept)
        current = current + scale * (new - current)
        if moved < TOLERANCE:
            break
    return Fitted(float(intercept), current)


def log_loss(probabilities: Floats, happened: Floats) -> float:
    """Return the mean negative log-likelihood, >= 0."""
    p = np.clip(probabilities, 1e-12, 1.0 - 1e-12)
    return float(-(happened * np.log(p) + (1.0 - happened) * np.log1p(-p)).mean())


def softplus(eta: Floats) -> Floats:
    """Return log(1 + exp(eta)): the hazard over the horizon that log-odds stand for."""
    return np.logaddexp(0.0, eta)


def _derivatives(eta: Floats, happened: Floats, ratio: float) -> tuple[Floats, Floats]:
    """Return slope of the negative log-likelihood per row, and its expected curve."""
    chance = 1.0 / (1.0 + np.exp(-np.clip(eta, -500, 500)))
    hazard = ratio * softplus(eta)
    survived = np.exp(-hazard)
    odds = survived / np.maximum(-np.expm1(-hazard), 1e-300)
    slope = ratio * chance * np.where(happened > 0.0, -odds, 1.0)
    return slope, np.maximum((ratio * chance) ** 2 * odds, 1e-12)


def _quadratic(
    terms: Floats, slope: Floats, curve: Floats, intercept: float, current: Floats, belief: Belief, weights: Floats
) -> tuple[float, Floats]:
    """Return the minimum of the quadratic around the present point, within bounds; what has no finite weight stays."""
    moved = np.flatnonzero(np.isfinite(weights))
    own, pull = terms[:, moved], weights[moved]
    bent = np.empty((moved.size + 1, moved.size + 1))
    bent[0, 0] = curve.sum() + INTERCEPT_PENALTY
    bent[0, 1:] = bent[1:, 0] = own.T @ curve
    bent[1:, 1:] = (own * curve[:, None]).T @ own + np.diag(pull + 1e-12)
    steep = np.append(slope.sum(), own.T @ slope)
    steep += np.append(INTERCEPT_PENALTY, pull) * (
        np.append(intercept, current[moved]) - np.append(belief.intercept, belief.coefficients[moved])
    )
    step = _bounded(
        bent,
        steep,
        np.append(-np.inf, (belief.low - current)[moved]),
        np.append(np.inf, (belief.high - current)[moved]),
    )
    new = current.copy()
    new[moved] += step[1:]
    return intercept + float(step[0]), new


def _bounded(bent: Floats, steep: Floats, low: Floats, high: Floats) -> Floats:
    """Return the step of least steep @ step + step @ bent @ step / 2 within bounds.

    By coordinates, until those that stand at their bounds are the right ones: then the others follow in one solution.
    Coordinates alone take hundreds of sweeps where terms go together.
    """
    step = np.zeros(steep.size)
    for _ in range(SWEEPS):
        before = step.copy()
        for k in range(step.size):
            rest = steep[k] + bent[k] @ step - bent[k, k] * step[k]
            step[k] = min(max(-rest / bent[k, k], low[k]), high[k])
        is_free = (step > low) & (step < high)
        exact = step.copy()
        exact[is_free] = np.linalg.solve(
            bent[np.ix_(is_free, is_free)], -(steep[is_free] + bent[np.ix_(is_free, ~is_free)] @ step[~is_free])
        )
        left = bent @ exact + steep
        wants_back = ((step <= low) & (left < -TOLERANCE)) | ((step >= high) & (left > TOLERANCE))
        if ((exact >= low) & (exact <= high) & ~wants_back).all():
            return exact
        if np.abs(step - before).max() < TOLERANCE:
            break
    return step
