"""Is the model still right: the latest quarter of a history beside what came before.

|------------ before ------------|---- recent ----|
  inputs and scores              inputs and scores        spread alike?      (needs no outcomes)
  said and came                  said and came            still as promised? (rows whose horizon is over)
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats
from scoring.backtest.drift import stability, verdict
from scoring.backtest.ranking import auc, rank
from scoring.backtest.reliability import brier_skill, wilson
from scoring.compile import Compiled
from scoring.durations import format_duration
from state.layout import DAY_MS
from state.moments import rfc3339
from state.work import PICTURE_HEALTH, PICTURE_RISK
from streams.backtest.collect import Collected
from streams.backtest.outcomes import Answers
from streams.backtest.report import kind_of, outcomes_of, probabilities

AHEAD_DAYS = (30, 60, 90)
WORSE_AUC = 0.05
"""A fall of the ranking that is more than the noise of a quarter with some dozens of outcomes."""


def drift_of(collected: Collected, answers: Answers, compiled: Compiled, recent_ms: int) -> dict[str, Any]:
    """Return the drift report of the last `recent_ms` milliseconds against all before."""
    since = collected.last_ms - recent_ms
    risk = probabilities(collected, compiled, answers.question)
    happened = outcomes_of(collected, answers)
    is_recent = collected.at_ms >= since
    is_over = (collected.at_ms + answers.question.horizon_ms <= collected.last_ms) & ~np.isnan(risk)
    # What was asked lately has its outcome still ahead: the latest rows that can be judged stand a horizon earlier.
    judged_since = since - answers.question.horizon_ms
    periods = {
        "before": is_over & (collected.at_ms < judged_since),
        "recent": is_over & (collected.at_ms >= judged_since),
    }
    model = compiled.model
    report: dict[str, Any] = {
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
        "outcome": answers.question.text,
        "horizon": format_duration(answers.question.horizon_ms),
        "recent_from": rfc3339(since),
        "judged_from": rfc3339(judged_since),
        "to": rfc3339(collected.last_ms),
        "scores": {
            "health": _moved(collected.scores[:, PICTURE_HEALTH], is_recent),
            "risk": _moved(collected.scores[:, PICTURE_RISK], is_recent),
        },
        "inputs": {entry.name: _moved(collected.subscores[:, k], is_recent) for k, entry in enumerate(model.inputs)},
        "kept_promises": {name: _promise(risk[rows], happened[rows]) for name, rows in periods.items()},
        "by_month": _by_month(collected, risk, happened, is_over),
        "said_before_outcomes": _said_before(collected, answers, compiled),
    }
    report["warnings"] = _warnings(report)
    return report


def _moved(values: NDArray[np.floating], is_recent: NDArray[np.bool_]) -> dict[str, Any]:
    index = stability(values[~is_recent], values[is_recent])
    means = [_mean(values[rows]) for rows in (~is_recent, is_recent)]
    return {"psi": index, "verdict": verdict(index), "mean_before": means[0], "mean_recent": means[1]}


def _mean(values: NDArray[np.floating]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _promise(risk: Floats, happened: Floats) -> dict[str, Any]:
    """Return what was said and what came over some rows."""
    rows, positives = int(risk.size), int(happened.sum())
    ones = np.ones(rows)
    low, high = wilson(positives, rows) if rows else (None, None)
    return {
        "rows": rows,
        "positives": positives,
        "said": _mean(risk),
        "came": positives / rows if rows else None,
        "came_low": low,
        "came_high": high,
        "auc": auc(rank(risk), happened, ones),
        "brier_skill": brier_skill(risk, happened, ones),
    }


def _by_month(
    collected: Collected, risk: Floats, happened: Floats, is_over: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    months = np.array([f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m}" for at in collected.at_ms.tolist()], str)
    found = {}
    for month in np.unique(months[is_over]).tolist():
        rows = is_over & (months == month)
        promise = _promise(risk[rows], happened[rows])
        found[month] = {key: promise[key] for key in ("rows", "positives", "said", "came")}
    return found


def _said_before(collected: Collected, answers: Answers, compiled: Compiled) -> dict[str, dict[str, Any]]:
    """Join each outcome with the last score at least 30, 60 and 90 days before it: days → kind → risk and bands."""
    rows_of: dict[str, list[int]] = {}
    for k in np.argsort(collected.at_ms, kind="stable").tolist():
        rows_of.setdefault(collected.accounts[collected.account[k]].name, []).append(k)
    names = (*compiled.model.band_names, "insufficient_data")
    found: dict[str, dict[str, Any]] = {}
    for days in AHEAD_DAYS:
        joined: dict[str, list[int]] = {}
        for moment in answers.moments:
            until = moment.at_ms - days * DAY_MS
            before = [k for k in rows_of.get(moment.account, ()) if until - 31 * DAY_MS < collected.at_ms[k] <= until]
            if before:
                joined.setdefault(moment.kind, []).append(before[-1])
        found[str(days)] = {
            kind: {
                "outcomes": len(rows),
                "mean_risk": _mean(collected.scores[rows, PICTURE_RISK]),
                "bands": {name: int((collected.band[rows] == _number(k, names)).sum()) for k, name in enumerate(names)},
            }
            for kind, rows in sorted(joined.items())
        }
    found["asked_for"] = {"kind": kind_of(answers.question)}
    return found


def _number(k: int, names: tuple[str, ...]) -> int:
    return -1 if k == len(names) - 1 else k


def _warnings(report: dict[str, Any]) -> list[str]:
    found = []
    for group in ("scores", "inputs"):
        for name, moved in report[group].items():
            if moved["verdict"] == "moved":
                found.append(
                    f"{name} has moved (PSI {moved['psi']:.2f}): look at what sends it before you believe the score"
                )
    before, recent = report["kept_promises"]["before"], report["kept_promises"]["recent"]
    said, low, high = recent["said"], recent["came_low"], recent["came_high"]
    if said is not None and not low <= said <= high:
        found.append(
            f"{said:.2%} were said to meet '{report['outcome']}' and {recent['came']:.2%} did: calibrate the model again"
        )
    if before["auc"] is not None and recent["auc"] is not None and recent["auc"] < before["auc"] - WORSE_AUC:
        found.append(f"the ranking fell from an AUC of {before['auc']:.3f} to {recent['auc']:.3f}: review the inputs")
    return found
