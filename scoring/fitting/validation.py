"""How far to leave the belief: fitted on the past of some accounts, judged on the future of others.

    accounts  A |  train  | gap |        |
              B |         |     |  test  |      three cuts in time, five groups of accounts: 15 folds

The gap is the horizon: what was still undecided at the cut was not known then. A fit that does not beat the belief
on the folds goes back to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats, Ints
from scoring.backtest.ranking import auc, rank
from scoring.fitting.calibration import STRAIGHT, Bend, Unseen, choose_bend, to_chance, to_log_odds
from scoring.fitting.logistic import Belief, Fitted, log_loss
from scoring.fitting.reach import BASE_RATE, Evidence, Reach, fit_within, reaches

CUTS = 3
GROUPS = 5
RANKING_SLACK = 0.005
"""Fall of the AUC that is taken for noise."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Choice:
    """The reach that did best, and what was said of rows that were not seen.

    Parameters
    ----------
    reach
        How far the fit goes.
    is_better
        Whether it foretells those rows better than the belief with its own base rate, and than a new base rate alone.
    losses
        Reach → mean log-loss over all test rows.
    rows
        int64, the test rows.
    believed, fitted
        float64 [test row], chance by the belief (with its own base rate) and by the best reach.
    rankings
        `ranking_within` of both.
    bend
        What the fit's log-odds are bent by; `fitted` is said with it.
    bend_losses
        Form of a bend → mean log-loss on rows that it was not fitted to.
    """

    reach: Reach
    is_better: bool
    losses: dict[Reach, float]
    rows: Ints
    believed: Floats
    fitted: Floats
    rankings: tuple[float, float] = (0.0, 0.0)
    bend: Bend = STRAIGHT
    bend_losses: dict[str, float] = field(default_factory=dict)


def cuts_of(evidence: Evidence) -> list[int]:
    """Return the instants, ms, between which equally many outcomes lie; none without outcomes."""
    happened_at = np.sort(evidence.at_ms[evidence.happened > 0])
    if not happened_at.size:
        return []
    return [int(np.quantile(happened_at, (k + 1) / (CUTS + 1), method="lower")) for k in range(CUTS)]


def folds(evidence: Evidence) -> Iterator[tuple[Mask, Mask]]:
    """Yield masks of training and test rows."""
    cuts = cuts_of(evidence)
    _, numbers = np.unique(evidence.accounts, return_inverse=True)
    group = (numbers * 2_654_435_761 >> 8) % GROUPS  # Knuth's multiplicative hash: neighbours go to different groups
    for k, cut in enumerate(cuts):
        end = cuts[k + 1] if k + 1 < len(cuts) else np.iinfo(np.int64).max
        later = (evidence.at_ms >= cut) & (evidence.at_ms < end)
        known = evidence.at_ms + evidence.horizon_ms <= cut
        for number in range(GROUPS):
            yield known & (group != number), later & (group == number)


def choose(evidence: Evidence, belief: Belief) -> Choice:
    """Return the reach with the least loss on the folds, among those that rank no worse than the belief.

    With few outcomes a fit can state better probabilities and yet put the accounts in a worse order; people call in order.
    """
    ways = reaches(evidence, belief)
    said: dict[Reach, list[Floats]] = {reach: [] for reach in ways}
    believed: list[Floats] = []
    rows: list[Ints] = []
    own = Fitted(belief.intercept, belief.coefficients)
    old = Bend(points=belief.calibration)
    for train, test in folds(evidence):
        if not evidence.happened[train].any() or not test.any():
            continue
        rows.append(np.flatnonzero(test))
        log_odds = to_log_odds(own.probabilities(evidence.terms[test], evidence.ratio), evidence.ratio)
        believed.append(to_chance(old.apply(log_odds), evidence.ratio))
        known = evidence.terms[train]
        for reach in ways:
            found = fit_within(reach, known, evidence.happened[train], belief, evidence.ratio)
            said[reach].append(found.probabilities(evidence.terms[test], evidence.ratio))
    if not rows:
        return Choice(BASE_RATE, False, {}, np.empty(0, np.int64), np.empty(0), np.empty(0))
    chosen = np.concatenate(rows)
    happened = [evidence.happened[each] for each in rows]
    losses = {reach: log_loss(np.concatenate(each), np.concatenate(happened)) for reach, each in said.items()}
    least = ranking_within(believed, happened) - RANKING_SLACK
    ranking = [reach for reach in ways if ranking_within(said[reach], happened) >= least]
    best = min(ranking or [BASE_RATE], key=lambda reach: losses[reach])
    before, after = np.concatenate(believed), np.concatenate(said[best])
    # A base rate learned from the past may be worse than the belief's own: what is written is both, so both are to be beaten.
    to_beat = log_loss(before, np.concatenate(happened))
    if best != BASE_RATE:
        to_beat = min(to_beat, losses[BASE_RATE])
    rankings = (ranking_within(believed, happened), ranking_within(said[best], happened))
    bend, bent, bend_losses = choose_bend(_unseen(evidence, chosen, after), GROUPS)
    is_better = losses[best] < to_beat
    if bend != STRAIGHT:  # a fit that does not beat the belief by itself may do so when it is bent
        is_better = log_loss(bent, evidence.happened[chosen]) < min(to_beat, losses[best])
    return Choice(best, is_better, losses, chosen, before, bent, rankings, bend, bend_losses)


def _unseen(evidence: Evidence, rows: Ints, said: Floats) -> Unseen:
    """Return what a fit said of the test rows."""
    at_ms = evidence.at_ms[rows]
    cuts = np.array(cuts_of(evidence), np.int64)
    opened = cuts[np.searchsorted(cuts, at_ms, side="right") - 1]
    log_odds = to_log_odds(said, evidence.ratio)
    rest = (evidence.happened[rows], evidence.accounts[rows], at_ms, opened, evidence.horizon_ms, evidence.ratio)
    return Unseen(log_odds, *rest)


def ranking_within(said: Sequence[Floats], happened: Sequence[Floats]) -> float:
    """Return the area under the curve, 0-1, over pairs of rows of the same fold: each fold has a base rate of its own."""
    right = pairs = 0.0
    for own, came in zip(said, happened, strict=True):
        count = float(came.sum() * (came.size - came.sum()))
        right += count * (auc(rank(own), came, np.ones(came.size)) or 0.0)
        pairs += count
    return right / pairs if pairs else 0.0


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
