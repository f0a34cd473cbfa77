"""How far to leave the belief: fitted on the past of some accounts, judged on the future of others.

    accounts  A |  train  | gap |        |
              B |         |     |  test  |      three cuts in time, five groups of accounts: 15 folds

The gap is the horizon: what was still undecided at the cut was not known then. A fit that does not beat the belief
on the folds goes back to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats, Ints
from scoring.backtest.ranking import auc, rank
from scoring.fitting.logistic import Belief, Fitted, fit, log_loss

CUTS = 3
GROUPS = 5
PENALTIES = (np.inf, 300.0, 100.0, 30.0, 10.0, 3.0)
"""From "only the base rate" to nearly free."""

RANKING_SLACK = 0.005
"""Fall of the AUC that is taken for noise."""

Mask = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class Choice:
    """The penalty that did best, and what each said of rows it had not seen.

    Parameters
    ----------
    penalty
        One of `PENALTIES`.
    losses
        Penalty → mean log-loss over all test rows.
    rows
        int64, the test rows.
    believed, fitted
        float64 [test row], chance by the belief (with its own base rate) and by the best penalty.
    """

    penalty: float
    losses: dict[float, float]
    rows: Ints
    believed: Floats
    fitted: Floats


def folds(evidence: Evidence) -> Iterator[tuple[Mask, Mask]]:
    """Yield masks of training and test rows. Cuts stand where equally many outcomes lie between them."""
    happened_at = np.sort(evidence.at_ms[evidence.happened > 0])
    if not happened_at.size:
        return
    cuts = [int(np.quantile(happened_at, (k + 1) / (CUTS + 1), method="lower")) for k in range(CUTS)]
    _, numbers = np.unique(evidence.accounts, return_inverse=True)
    group = (numbers * 2_654_435_761 >> 8) % GROUPS  # Knuth's multiplicative hash: neighbours go to different groups
    for k, cut in enumerate(cuts):
        end = cuts[k + 1] if k + 1 < len(cuts) else np.iinfo(np.int64).max
        later = (evidence.at_ms >= cut) & (evidence.at_ms < end)
        known = evidence.at_ms + evidence.horizon_ms <= cut
        for number in range(GROUPS):
            yield known & (group != number), later & (group == number)


def choose(evidence: Evidence, belief: Belief) -> Choice:
    """Return the penalty with the least loss on the folds, among those that rank no worse than the belief.

    With few outcomes a fit can state better probabilities and yet put the accounts in a worse order; people call in order.
    """
    said: dict[float, list[Floats]] = {penalty: [] for penalty in PENALTIES}
    believed: list[Floats] = []
    rows: list[Ints] = []
    own = Fitted(belief.intercept, belief.coefficients)
    for train, test in folds(evidence):
        if not evidence.happened[train].any() or not test.any():
            continue
        rows.append(np.flatnonzero(test))
        believed.append(own.probabilities(evidence.terms[test], evidence.ratio))
        for penalty in PENALTIES:
            found = fit(evidence.terms[train], evidence.happened[train], belief, penalty, evidence.ratio)
            said[penalty].append(found.probabilities(evidence.terms[test], evidence.ratio))
    if not rows:
        return Choice(PENALTIES[0], {}, np.empty(0, np.int64), np.empty(0), np.empty(0))
    chosen = np.concatenate(rows)
    happened = evidence.happened[chosen]
    foretold = {penalty: np.concatenate(each) for penalty, each in said.items()}
    losses = {penalty: log_loss(each, happened) for penalty, each in foretold.items()}
    ones = np.ones(happened.size)
    least = (auc(rank(np.concatenate(believed)), happened, ones) or 0.0) - RANKING_SLACK
    ranking = [penalty for penalty in PENALTIES if (auc(rank(foretold[penalty]), happened, ones) or 0.0) >= least]
    best = min(ranking or PENALTIES[:1], key=lambda penalty: losses[penalty])
    return Choice(best, losses, chosen, np.concatenate(believed), foretold[best])


def useless(evidence: Evidence, fitted: Fitted, names: list[str]) -> list[str]:
    """Return the terms without which the fit says nearly the same: noise that can be pruned.

    A term is named where leaving it out costs less than half a unit of log-likelihood over all rows.
    """
    whole = log_loss(fitted.probabilities(evidence.terms, evidence.ratio), evidence.happened)
    found = []
    for k, name in enumerate(names):
        without = fitted.coefficients.copy()
        without[k] = 0.0
        lost = log_loss(
            Fitted(fitted.intercept, without).probabilities(evidence.terms, evidence.ratio), evidence.happened
        )
        if (lost - whole) * evidence.happened.size < 0.5:
            found.append(name)
    return found
