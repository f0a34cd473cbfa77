"""A model's own terms fitted to a history: which terms there are, what they may do, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scoring.arrays import Floats
from scoring.backtest.figures import Predictions, figures_of
from scoring.compile import Compiled, compile_model
from scoring.fitting.calibration import centred
from scoring.fitting.logistic import Belief, Fitted
from scoring.fitting.reach import Evidence, fit_within
from scoring.fitting.thresholds import threshold_for
from scoring.fitting.validation import Choice, choose, useless
from scoring.model import MeasureKind, Model, Propensity, Term, TermKind
from state.work import PICTURE_HEALTH
from streams.backtest.collect import Collected
from streams.backtest.outcomes import Answers
from streams.backtest.report import outcomes_of
from streams.halt import Refusal

FEWEST_OUTCOMES = 30
"""Accounts with the outcome below which a fit says more about chance than about the accounts."""
FEWEST_WITHOUT = 30
ALWAYS = (TermKind.HEALTH, TermKind.SLOPE, TermKind.RENEWAL_NEAR)
FALLING = (TermKind.INPUT, TermKind.HEALTH, TermKind.SLOPE)
"""What is better when greater: it may only lower the risk, and raise the expansion."""
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A fit and how it did.

    Parameters
    ----------
    propensity
        As a model file says it.
    improved
        Whether rows it had not seen were foretold better than by the belief.
    pruned
        Terms that were tried and add nothing.
    useless
        Terms of the model itself that add nothing.
    without_data
        Terms that are the same for every row: nothing can be said of them, they stay as they are.
    before, after
        Figures on rows not fitted to, of the belief and of the fit.
    """

    propensity: Propensity
    improved: bool
    pruned: list[str]
    useless: list[str]
    without_data: list[str]
    choice: Choice
    before: dict[str, object]
    after: dict[str, object]


def candidates(model: Model, which: str) -> Compiled:
    """Return the model with every term that a fit may use, those that it lacks with coefficient 0."""
    stated = {term.text: term for term in propensity_of(model, which).terms}
    offered = [Term(TermKind.INPUT, entry.name, 0.0) for entry in model.inputs]
    offered += [Term(kind, "", 0.0) for kind in ALWAYS]
    offered += [Term(TermKind.DORMANT, name, 0.0) for name in _first_flow(model)]
    terms = {term.text: term for term in offered} | stated
    own = propensity_of(model, which)
    wide = Propensity(own.intercept, tuple(terms[text] for text in sorted(terms)), own.calibration)
    return compile_model(with_propensity(model, which, wide))


def _first_flow(model: Model) -> list[str]:
    """Return the name of the first signal that counts events: its silence stands for the account's."""
    flows = (MeasureKind.COUNT, MeasureKind.SUM, MeasureKind.ACTIVE_DAYS)
    return [signal.name for signal in model.signals if signal.measure.kind in flows][:1]


def propensity_of(model: Model, which: str) -> Propensity:
    """Return a model's `risk` or `expansion`."""
    return model.expansion if which == "expansion" else model.risk


def with_propensity(model: Model, which: str, propensity: Propensity) -> Model:
    """Return a model with another `risk` or `expansion`."""
    return replace(model, expansion=propensity) if which == "expansion" else replace(model, risk=propensity)


def calibrate(collected: Collected, answers: Answers, compiled: Compiled, which: str) -> Calibrated:
    """Fit one propensity of a candidate model.

    Raises
    ------
    Refusal
        With too few outcomes, or too few accounts without.
    """
    model = compiled.model
    evidence = _evidence(collected, answers, compiled, which)
    require_enough(evidence, answers)
    belief = belief_of(model, which)
    names = [term.text for term in propensity_of(model, which).terms]
    choice = choose(evidence, belief)
    fitted = fit_within(choice.reach, evidence.terms, evidence.happened, belief, evidence.ratio)
    has_data = evidence.terms.std(axis=0) > 0.0
    idle = useless(evidence, fitted, names)
    kept = np.array([belief.coefficients[k] != 0.0 or name not in idle for k, name in enumerate(names)], bool)
    narrow = replace(evidence, terms=evidence.terms[:, kept])
    fitted = fit_within(choice.reach.within(kept), narrow.terms, narrow.happened, _part(belief, kept), narrow.ratio)
    # A straight bend is another intercept and other coefficients; only a bent one needs a place in the model.
    bend = centred(choice.bend, fitted.intercept + narrow.terms @ fitted.coefficients, narrow.ratio)
    fitted = Fitted(bend.intercept + bend.slope * fitted.intercept, bend.slope * fitted.coefficients)
    terms = [term for term, keep in zip(propensity_of(model, which).terms, kept, strict=True) if keep]
    unseen = [
        figures_of(Predictions(said, evidence.happened[choice.rows], evidence.accounts[choice.rows])) | {"auc": ranking}
        for said, ranking in zip((choice.believed, choice.fitted), choice.rankings, strict=True)
    ]
    return Calibrated(
        propensity=_written(fitted, terms, bend.points),
        improved=choice.is_better,
        pruned=[name for k, name in enumerate(names) if has_data[k] and not kept[k]],
        useless=[name for name in idle if kept[names.index(name)] and has_data[names.index(name)]],
        without_data=[name for k, name in enumerate(names) if not has_data[k]],
        choice=choice,
        before=unseen[0],
        after=unseen[1],
    )


def require_enough(evidence: Evidence, answers: Answers) -> None:
    """Refuse a fit to too little."""
    lost = np.unique(evidence.accounts[evidence.happened > 0]).size
    kept = np.unique(evidence.accounts).size - lost
    if lost < FEWEST_OUTCOMES or kept < FEWEST_WITHOUT:
        raise Refusal(
            f"expected at least {FEWEST_OUTCOMES} accounts with '{answers.question.text}' and {FEWEST_WITHOUT} without, "
            f"got {lost} and {kept} - keep the model's own coefficients until more is known"
        )


def belief_of(model: Model, which: str) -> Belief:
    """Return the model's coefficients as what is believed, bounded by what each term may do."""
    propensity = propensity_of(model, which)
    sign = 1.0 if which == "expansion" else -1.0
    low = np.full(len(propensity.terms), -np.inf)
    high = np.full(len(propensity.terms), np.inf)
    for k, term in enumerate(propensity.terms):
        better = sign if term.kind in FALLING else -sign if term.kind is TermKind.RENEWAL_NEAR else 0.0
        # A coefficient the model's author set against the grain stays allowed to be what it is.
        if better < 0.0:
            high[k] = max(term.coefficient, 0.0)
        elif better > 0.0:
            low[k] = min(term.coefficient, 0.0)
    coefficients = np.array([term.coefficient for term in propensity.terms])
    return Belief(propensity.intercept, coefficients, low, high, propensity.calibration)


def _part(belief: Belief, kept: np.ndarray) -> Belief:
    return Belief(belief.intercept, belief.coefficients[kept], belief.low[kept], belief.high[kept])


def _evidence(collected: Collected, answers: Answers, compiled: Compiled, which: str) -> Evidence:
    first, last = compiled.plan.term_start[0 if which == "risk" else 1 : 3][:2]
    question = answers.question
    usable = collected.at_ms + question.horizon_ms <= collected.last_ms
    usable &= ~np.isnan(collected.scores[:, PICTURE_HEALTH])
    return Evidence(
        terms=collected.terms[usable, first:last].astype(np.float64),
        happened=outcomes_of(collected, answers)[usable],
        accounts=collected.account[usable],
        at_ms=collected.at_ms[usable],
        horizon_ms=question.horizon_ms,
        ratio=question.horizon_ms / compiled.model.horizon_ms,
    )


def _written(fitted: Fitted, terms: Sequence[Term], points: Sequence[tuple[float, float]]) -> Propensity:
    rounded = [
        replace(term, coefficient=round(float(value), DECIMALS) + 0.0)
        for term, value in zip(terms, fitted.coefficients, strict=True)
    ]
    calibration = tuple((round(x, DECIMALS), round(y, DECIMALS)) for x, y in points)
    return Propensity(
        round(fitted.intercept, DECIMALS), tuple(term for term in rounded if term.coefficient), calibration
    )


def band_proposals(
    collected: Collected, answers: Answers, model: Model, budget: float
) -> dict[str, dict[str, Any] | None]:
    """Return band → thresholds at which it is entered at most `budget` times from one as-of time to the next."""
    known = np.flatnonzero(~np.isnan(collected.scores[:, PICTURE_HEALTH]))
    health: Floats = collected.scores[known, PICTURE_HEALTH]
    happened = outcomes_of(collected, answers)[known]
    found: dict[str, dict[str, Any] | None] = {}
    for band in model.bands:
        gap = band.leave_above - band.enter_below
        proposal = threshold_for(health, collected.account[known], collected.at_ms[known], happened, gap, budget)
        found[band.name] = None if proposal is None else {
            "enter_below": proposal.enter_below,
            "leave_above": proposal.leave_above,
            "entries_per_step": round(proposal.entries_per_step, 2),
            "captured_ratio": proposal.captured_ratio,
        }  # fmt: skip
    return found
