"""Whether what a fit says of rows it has not seen is to be stretched or bent before it is believed.

    none        log-odds as they are
    Platt       slope * log-odds + intercept       two numbers, so few outcomes are enough
    isotonic    a rising line through a few points as bent as the outcomes say, from ISOTONIC_OUTCOMES accounts on

Each is fitted to what was said of rows not fitted to, and judged on later rows of other accounts; it is taken only where
those are foretold better with it. None of them changes who stands above whom, but for ties, and none how many outcomes
are said to come in all: that is the fit's, which has seen more rows and later ones than what is bent here (`centred`).

References
----------
Platt, "Probabilistic outputs for support vector machines" (1999). Niculescu-Mizil and Caruana, "Predicting good
probabilities with supervised learning", ICML 2005: isotonic calibration overfits below some hundred to a thousand rows.
Oron and Flournoy, "Centered isotonic regression", Statistics in Biopharmaceutical Research 9 (2017): the points.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from scoring.arrays import Floats, Ints
from scoring.fitting.logistic import Belief, fit, log_loss, softplus

ISOTONIC_OUTCOMES = 300
"""Accounts with the outcome that a bent line needs."""
OUTCOMES_PER_POINT = 20
MOST_POINTS = 16
SLOPE_PULL = 4.0
"""A slope is believed to be 1, give or take a half."""
HALVINGS = 60
FURTHEST_SHIFT = 32.0
NONE, PLATT, ISOTONIC = "none", "platt", "isotonic"


@dataclass(frozen=True, slots=True)
class Bend:
    """What becomes of log-odds.

    Parameters
    ----------
    form
        `NONE`, `PLATT` or `ISOTONIC`.
    slope, intercept
        Of a straight line, slope >= 0.
    points
        Of a bent one, (log-odds, log-odds), rising; flat beyond its ends. Empty: straight.
    """

    form: str = NONE
    slope: float = 1.0
    intercept: float = 0.0
    points: tuple[tuple[float, float], ...] = ()

    def apply(self, log_odds: Floats) -> Floats:
        """Return what becomes of each, float64 [row]."""
        if self.points:
            xs, ys = np.array(self.points).T
            return np.interp(log_odds, xs, ys)
        return self.slope * log_odds + self.intercept


STRAIGHT = Bend()


@dataclass(frozen=True, slots=True)
class Unseen:
    """What was said of rows not fitted to, and what came.

    Parameters
    ----------
    log_odds
        float64 [row], at the model's horizon.
    happened
        float64 [row], 1 where the outcome came.
    accounts, at_ms, opened_ms
        int64 [row]: whose row, as of when, and before when the outcomes lay that it was said by.
    horizon_ms, ratio
        Of the outcomes; that over the model's horizon.
    """

    log_odds: Floats
    happened: Floats
    accounts: Ints
    at_ms: Ints
    opened_ms: Ints
    horizon_ms: int
    ratio: float

    def where(self, chosen: np.ndarray) -> "Unseen":
        """Return some of the rows."""
        return replace(
            self,
            log_odds=self.log_odds[chosen],
            happened=self.happened[chosen],
            accounts=self.accounts[chosen],
            at_ms=self.at_ms[chosen],
            opened_ms=self.opened_ms[chosen],
        )


def to_log_odds(probabilities: Floats, ratio: float) -> Floats:
    """Return the log-odds at the model's horizon of chances within `ratio` of it."""
    hazard = -np.log1p(-np.clip(probabilities, 1e-12, 1.0 - 1e-12)) / ratio
    return np.log(np.expm1(hazard))


def to_chance(log_odds: Floats, ratio: float) -> Floats:
    """Return the chances, 0-1, within `ratio` of the model's horizon, of log-odds at it."""
    return -np.expm1(-ratio * softplus(log_odds))


def choose_bend(unseen: Unseen, groups: int) -> tuple[Bend, Floats, dict[str, float]]:
    """Return the bend that foretells best, what is said with it of each row (0-1), and each form's mean log-loss.

    The first rows have none before them to learn from, so of those is said what was. Accounts are in `groups` parts: a
    part is judged by what was learned from the others.
    """
    said = {form: to_chance(unseen.log_odds, unseen.ratio) for form in _forms(unseen)}
    judged = np.zeros(unseen.happened.size, bool)
    _, numbers = np.unique(unseen.accounts, return_inverse=True)
    for opened in np.unique(unseen.opened_ms)[1:].tolist():
        known = (unseen.opened_ms < opened) & (unseen.at_ms + unseen.horizon_ms <= opened)
        for group in range(groups):
            train = known & (numbers % groups != group)
            test = (unseen.opened_ms == opened) & (numbers % groups == group)
            if not unseen.happened[train].any() or not test.any():
                continue
            judged |= test
            for form, chances in said.items():
                past = unseen.where(train)
                bend = centred(bend_of(form, past), past.log_odds, unseen.ratio)
                chances[test] = to_chance(bend.apply(unseen.log_odds[test]), unseen.ratio)
    if not judged.any():
        return STRAIGHT, said[NONE], {}
    losses = {form: log_loss(chances[judged], unseen.happened[judged]) for form, chances in said.items()}
    best = min(losses, key=lambda form: losses[form])
    return bend_of(best, unseen), said[best], losses


def centred(bend: Bend, log_odds: Floats, ratio: float) -> Bend:
    """Return a bend moved up or down until it says as many outcomes of these rows as their log-odds do unbent.

    What was said of unseen rows was said by less than all of the past. Where outcomes grow more or fewer with time its mean
    is off, and a bend that mended it would mend it a second time in a fit to everything.
    """
    if bend == STRAIGHT or not log_odds.size:
        return bend
    bent, wanted = bend.apply(log_odds), to_chance(log_odds, ratio).mean()
    low, high = -FURTHEST_SHIFT, FURTHEST_SHIFT
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if to_chance(bent + middle, ratio).mean() < wanted else (low, middle)
    shift = (low + high) / 2.0
    return replace(bend, intercept=bend.intercept + shift, points=tuple((x, y + shift) for x, y in bend.points))


def _forms(unseen: Unseen) -> tuple[str, ...]:
    """Return the forms that so many outcomes allow, the plainest first; isotonic needs the extra `fit` besides."""
    if np.unique(unseen.accounts[unseen.happened > 0]).size < ISOTONIC_OUTCOMES:
        return NONE, PLATT
    try:
        import sklearn.isotonic  # noqa: F401, PLC0415
    except ImportError:
        return NONE, PLATT
    return NONE, PLATT, ISOTONIC


def bend_of(form: str, unseen: Unseen) -> Bend:
    """Return the bend of a form that fits what was said to what came; straight where there is too little to bend."""
    if form == PLATT:
        prior = Belief(0.0, np.ones(1), np.zeros(1), np.full(1, np.inf))
        line = fit(unseen.log_odds[:, None], unseen.happened, prior, np.full(1, SLOPE_PULL), unseen.ratio)
        return Bend(PLATT, float(line.coefficients[0]), line.intercept)
    points = _points(unseen) if form == ISOTONIC else ()
    return Bend(ISOTONIC, points=points) if len(points) > 1 else STRAIGHT


def _points(unseen: Unseen) -> tuple[tuple[float, float], ...]:
    """Return the centres of an isotonic regression's steps, small steps joined with the next."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - of the extra `fit`, and a second to import

    order = np.argsort(unseen.log_odds, kind="stable")
    said, happened = unseen.log_odds[order], unseen.happened[order]
    level = IsotonicRegression().fit(said, happened).predict(said)
    ends = [*(np.flatnonzero(np.diff(level) > 0.0) + 1).tolist(), happened.size]
    bounds = [0]
    for end in ends:
        positives = happened[bounds[-1] : end].sum()
        if min(positives, end - bounds[-1] - positives) >= OUTCOMES_PER_POINT:
            bounds.append(end)
    bounds[-1] = happened.size  # what is left over belongs to the last step
    steps = list(pairwise(bounds))
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_POINTS)).round().astype(int)).tolist()
    centres = np.array([said[slice(*steps[k])].mean() for k in chosen])
    came = to_log_odds(np.array([happened[slice(*steps[k])].mean() for k in chosen]), unseen.ratio)
    return tuple(zip(centres.tolist(), came.tolist(), strict=True))
