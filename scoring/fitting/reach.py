"""How far a fit leaves the belief, by how much there is to go by.

    no term               the base rate alone
    one unset term        what people set stays as it is; one term that they left out is fitted beside it
    all terms             each is moved, against a pull, from ten outcomes a term on

Each also *stretched*: what people set keeps its proportions, and one factor says how much it counts. Weights set by hand
are better known in proportion than in size, and their size is only right together with the terms beside them: with a term
for who has long gone silent and does not leave, the others turn out to say more than they dared. A factor fitted afterwards
to the sum, as Platt's is, cannot see that. It is fitted in one with the intercept and the term.

References
----------
Steyerberg and others, "Validation and updating of predictive logistic regression models: a study on sample size and
shrinkage", Statistics in Medicine 23 (2004): a new intercept, a common factor, one more predictor, all anew, in this order.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scoring.arrays import Floats, Ints
from scoring.fitting.calibration import SLOPE_PULL
from scoring.fitting.logistic import Belief, Fitted, evenly, fit

PENALTIES = (300.0, 100.0, 30.0, 10.0, 3.0)
"""From nearly held to nearly free."""
OUTCOMES_PER_TERM = 10
"""Accounts with the outcome that each fitted coefficient needs (Peduzzi and others, Journal of Clinical Epidemiology 49,
1996): with fewer, a regression makes confident mistakes."""
UNSET_WIDTH = 2.5
"""Standard deviation of what is believed of a coefficient nobody set: the usual weak prior for terms of about unit size
(Gelman and others, Annals of Applied Statistics 2, 2008). Those that people set lie between 0.5 and 4."""
NO_TERM, UNSET_TERM, ALL_TERMS = "no term, only the base rate", "one term that nobody had set", "all terms"
STRETCHED = "; what people set, by one factor"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rows to fit to.

    Parameters
    ----------
    terms
        float64 [row, term].
    happened
        float64 [row], 1 where the outcome came within the horizon.
    accounts
        int64 [row], number of the row's account.
    at_ms
        int64 [row], as-of time, milliseconds UTC.
    horizon_ms
        Of the outcomes, > 0, milliseconds.
    ratio
        That over the model's horizon.
    """

    terms: Floats
    happened: Floats
    accounts: Ints
    at_ms: Ints
    horizon_ms: int
    ratio: float


class Reach(NamedTuple):
    """How far a fit goes from the belief.

    Parameters
    ----------
    moved
        `NO_TERM`, `UNSET_TERM` or `ALL_TERMS`.
    penalty
        Of `ALL_TERMS`, >= 0.
    term
        Number of an unset term, else -1.
    is_stretched
        Whether what people set is multiplied by a factor.
    """

    moved: str
    penalty: float = np.inf
    term: int = -1
    is_stretched: bool = False

    @property
    def text(self) -> str:
        """The reach in words."""
        return self.moved + (STRETCHED if self.is_stretched else "")

    def within(self, kept: np.ndarray) -> "Reach":
        """Return the same among some of the terms: bool [term]."""
        if self.term < 0:
            return self
        if not kept[self.term]:
            return self._replace(moved=NO_TERM, term=-1)
        return self._replace(term=int(kept[: self.term].sum()))


BASE_RATE = Reach(NO_TERM)


def reaches(evidence: Evidence, belief: Belief) -> list[Reach]:
    """Return how far fits to this much evidence may go, the nearest first."""
    found = [BASE_RATE]
    outcomes = np.unique(evidence.accounts[evidence.happened > 0]).size
    varies = evidence.terms.std(axis=0) > 0.0 if len(evidence.terms) else np.zeros(belief.coefficients.size, bool)
    found += [Reach(UNSET_TERM, term=k) for k in np.flatnonzero(varies & (belief.coefficients == 0.0)).tolist()]
    if outcomes >= OUTCOMES_PER_TERM * varies.sum():
        found += [Reach(ALL_TERMS, penalty) for penalty in PENALTIES]
    if outcomes >= 2 * OUTCOMES_PER_TERM and (varies & (belief.coefficients != 0.0)).any():
        found += [reach._replace(is_stretched=True) for reach in found]
    return found


def fit_within(reach: Reach, terms: Floats, happened: Floats, belief: Belief, ratio: float) -> Fitted:
    """Return the coefficients that outcomes and belief settle on, as far as the reach goes.

    Parameters
    ----------
    terms
        float64 [row, term].
    happened
        float64 [row], 1 where the outcome came.
    ratio
        Horizon of the outcomes over the model's.
    """
    if reach.is_stretched:
        stretched = _stretched(reach, terms, happened, belief, ratio)
        if reach.moved != ALL_TERMS:
            return stretched
        # Each term is held to its place in the proportions, at their new size.
        belief = Belief(stretched.intercept, stretched.coefficients, belief.low, belief.high)
    if reach.term < 0:
        pull = evenly(terms, reach.penalty)
    else:
        pull = np.where(np.arange(terms.shape[1]) == reach.term, UNSET_WIDTH**-2, np.inf)
    return fit(terms, happened, belief, pull, ratio)


def _stretched(reach: Reach, terms: Floats, happened: Floats, belief: Belief, ratio: float) -> Fitted:
    """Return what people set times a factor >= 0, and the unset term if there is one."""
    own = belief.coefficients
    unset = [reach.term] if reach.term >= 0 else []
    columns = np.column_stack([terms @ own, terms[:, unset]])
    low, high = (np.append(end, bounds[unset]) for end, bounds in ((0.0, belief.low), (np.inf, belief.high)))
    start = Belief(belief.intercept, np.append(1.0, own[unset]), low, high)
    pull = np.append(SLOPE_PULL, np.full(len(unset), UNSET_WIDTH**-2))
    found = fit(columns, happened, start, pull, ratio)
    coefficients = own * found.coefficients[0]
    coefficients[unset] = found.coefficients[1:]
    return Fitted(found.intercept, coefficients)
