"""From collected rows and answers to the report: one mapping, as `--json` prints it and the page draws it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats
from scoring.backtest.figures import Predictions, figures_of, signal_alone
from scoring.backtest.ranking import capture, rank
from scoring.backtest.reliability import reliability
from scoring.backtest.resampling import Draw
from scoring.backtest.warning import CONFUSION_DAYS, band_shares, confusion, lead_days, lead_time
from scoring.compile import Compiled
from scoring.durations import format_duration
from state.moments import rfc3339
from state.work import PICTURE_EXPANSION, PICTURE_HEALTH, PICTURE_RISK
from streams.backtest.alarms import alert_figures
from streams.backtest.collect import Collected
from streams.backtest.outcomes import Answers
from streams.backtest.question import Question
from streams.backtest.silence import SILENT, Silence

FEWEST_POSITIVES = 10
"""Segments with fewer are listed without figures: they would say nothing."""
MOST_SEGMENTS = 20
SUSPICIOUS_AUC = 0.97
"""One signal alone hardly ranks so well unless it was written after the fact."""


def judge(collected: Collected, answers: Answers, compiled: Compiled, as_of: str, draw: Draw) -> dict[str, Any]:
    """Return the report.

    Parameters
    ----------
    collected, answers
        Rows, and what came.
    as_of
        The grid as asked for.
    draw
        Source of chance for intervals.
    """
    question = answers.question
    is_whole = collected.at_ms + question.horizon_ms <= collected.last_ms
    risk = probabilities(collected, compiled, question)
    chosen = np.flatnonzero(is_whole & ~np.isnan(risk))
    happened = outcomes_of(collected, answers)
    predictions = Predictions(risk, happened, collected.account).where(chosen)
    unscored = is_whole & np.isnan(risk)
    model = compiled.model
    figures = figures_of(predictions, draw)
    report: dict[str, Any] = {
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
        "outcome": question.text,
        "horizon": format_duration(question.horizon_ms),
        "as_of": as_of,
        "as_of_times": int(np.unique(collected.at_ms[is_whole]).size),
        "from": rfc3339(collected.start_ms),
        "to": rfc3339(collected.last_ms),
        "accounts": len(collected.accounts),
        "events": collected.n_lines,
        "rejected": collected.n_rejected,
        **figures,
        "rows": int(is_whole.sum()),
        "positives": int(happened[is_whole].sum()),
        "unscored": {"rows": int(unscored.sum()), "positives": int(happened[unscored].sum())},
        "gains": _gains(predictions),
        "reliability": [asdict(entry) for entry in reliability(predictions.probabilities, predictions.happened)],
        "by_band": _by_band(collected, compiled, happened, np.flatnonzero(is_whole)),
    }
    report |= _before_outcomes(collected, answers, compiled)
    report["alerts"] = alert_figures(collected, answers, kind_of(question))
    report["comparison"] = comparison(collected, compiled, happened, chosen)
    report["segments"] = _segments(collected, predictions, chosen, draw)
    report["warnings"] = _warnings(report)
    return report


def probabilities(collected: Collected, compiled: Compiled, question: Question) -> Floats:
    """Return the probability that each row was given, brought to the horizon by a constant hazard; NaN = no score."""
    which = PICTURE_EXPANSION if question.outcome == "expanded" else PICTURE_RISK
    stated = np.minimum(collected.scores[:, which], 1.0 - 1e-12)
    return -np.expm1(np.log1p(-stated) * question.horizon_ms / compiled.model.horizon_ms)


def outcomes_of(collected: Collected, answers: Answers) -> Floats:
    """Return 1 for each row whose outcome came within the horizon, else 0."""
    names = [account.name for account in collected.accounts]
    return answers.happened([names[k] for k in collected.account.tolist()], collected.at_ms)


def comparison(
    collected: Collected, compiled: Compiled, happened: Floats, chosen: NDArray[np.int64]
) -> dict[str, object]:
    """Return how well single signals rank the same rows: each input, each signal's recency and level, health.

    `recency` is the time since any event the model reads, `level` the best of the signals' 30-day sums: what a simple
    rule would use.
    """
    y = happened[chosen]
    quiet, month = collected.quiet_days[chosen], collected.month[chosen]
    signals = compiled.model.signals
    levels = (
        {signal.name: signal_alone(month[:, k], y) for k, signal in enumerate(signals) if np.ptp(month[:, k]) > 0}
        if chosen.size
        else {}
    )
    recency = (
        {
            signal.name: signal_alone(quiet[:, k], y)
            for k, signal in enumerate(signals)
            if (~np.isnan(quiet[:, k])).any()
        }
        if chosen.size
        else {}
    )
    last = np.where(np.isnan(quiet), np.inf, quiet).min(axis=1, initial=np.inf)
    inputs = compiled.model.inputs
    subscores = collected.subscores[chosen]
    return {
        "recency": signal_alone(np.where(np.isinf(last), np.nan, last), y),
        "level": max(levels.values(), key=lambda found: found["auc"] or 0.0, default=None),
        "health": signal_alone(collected.scores[chosen, PICTURE_HEALTH], y),
        "inputs": {
            entry.name: signal_alone(subscores[:, k], y)
            for k, entry in enumerate(inputs)
            if (~np.isnan(subscores[:, k])).any()
        },
        "recency_of": recency,
        "level_of": levels,
    }


def _gains(predictions: Predictions) -> list[tuple[float, float | None]]:
    """Return share of the riskiest rows → share of the positives among them, in steps of a twentieth."""
    ranking, ones = rank(predictions.probabilities), np.ones(predictions.happened.size)
    shares = [k / 20 for k in range(1, 21)]
    return [(share, capture(ranking, predictions.happened, ones, share)) for share in shares]


def kind_of(question: Question) -> str:
    """Return the kind of the outcomes that a question asks for."""
    return SILENT if isinstance(question.outcome, Silence) else question.outcome


def _by_band(
    collected: Collected, compiled: Compiled, happened: Floats, chosen: NDArray[np.int64]
) -> dict[str, dict[str, float | int | None]]:
    bands = collected.band[chosen]
    found: dict[str, dict[str, float | int | None]] = {}
    for number, name in [*enumerate(compiled.model.band_names), (-1, "insufficient_data")]:
        own = chosen[bands == number]
        positives = int(happened[own].sum())
        found[name] = {"rows": own.size, "positives": positives, "rate": positives / own.size if own.size else None}
    return found


def _before_outcomes(collected: Collected, answers: Answers, compiled: Compiled) -> dict[str, Any]:
    names = compiled.model.band_names
    kinds = [moment.kind for moment in answers.moments]
    asked = np.array([kind == kind_of(answers.question) for kind in kinds], bool)
    before = {kind: collected.bands[[k for k, own in enumerate(kinds) if own == kind]] for kind in sorted(set(kinds))}
    return {
        "confusion": {str(days): confusion(collected.bands, kinds, names, days) for days in CONFUSION_DAYS},
        "lead_time": lead_time(lead_days(collected.bands[asked], len(names) - 1)),
        "bands_before": {kind: band_shares(bands, names) for kind, bands in before.items()},
    }


def _segments(
    collected: Collected, predictions: Predictions, chosen: NDArray[np.int64], draw: Draw
) -> dict[str, dict[str, object]]:
    """Return segment → figures, the largest first; one segment alone needs no table."""
    segment_of = np.array([account.segment for account in collected.accounts], object)
    of_rows = segment_of[collected.account[chosen]] if chosen.size else np.empty(0, object)
    names, rows = np.unique(of_rows.astype(str), return_counts=True)
    if names.size < 2:
        return {}
    found: dict[str, dict[str, object]] = {}
    for name in names[np.argsort(-rows, kind="stable")][:MOST_SEGMENTS].tolist():
        own = predictions.where(of_rows == name)
        if own.happened.sum() >= FEWEST_POSITIVES:
            found[name or "none"] = figures_of(own, draw)
        else:
            found[name or "none"] = {"rows": int(own.happened.size), "positives": int(own.happened.sum())}
    return found


def _warnings(report: dict[str, Any]) -> list[str]:
    found = []
    if report["positives"] < 2 * FEWEST_POSITIVES:
        found.append(f"{report['positives']} positives only: every figure here may be chance, look at the intervals")
    if report["unscored"]["positives"] > 0.1 * max(report["positives"], 1):
        found.append(f"{report['unscored']['positives']} outcomes came where data was insufficient for a score")
    alone: dict[str, Sequence[str]] = {"inputs": (), "recency_of": (), "level_of": ()}
    for group in alone:
        for name, figures in report["comparison"][group].items():
            if (figures["auc"] or 0.0) >= SUSPICIOUS_AUC:
                found.append(
                    f"{name} alone ranks with an AUC of {figures['auc']:.3f}: is it dated when it was known, "
                    "or written after the outcome?"
                )
    return found
