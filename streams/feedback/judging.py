"""Whether the model in use keeps its word: what it said of accounts beside what came of them, from a ledger alone.

    said           horizon           now
     |--------------------------------|      a prediction is judged once its horizon is over
     |- a day -|                             and counts from a day later on: what is told of a midnight may, under
                                             backlog, know of events until the next one

The newest predictions that can be judged, as many days as `recent_ms`, stand beside the older ones of the same model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.backtest.drift import stability_of_counts, verdict
from scoring.backtest.ranking import auc, rank
from scoring.backtest.reliability import brier_skill, calibration_slope, quantile_error, reliability
from scoring.model import Model
from state.layout import DAY_MS
from state.moments import rfc3339
from streams.backtest.silence import SILENT, Silence
from streams.feedback.ledger import INPUT, SCORE, Ledger, week_of

KNOWN_AFTER_MS: Final = DAY_MS
AHEAD_DAYS: Final = (30, 60, 90)
STALE_MS: Final = 31 * DAY_MS
"""What was said longer than this before the asked-for instant says nothing of it."""
WEEK_MS: Final = 7 * DAY_MS
EPOCH: Final = date(1970, 1, 1).toordinal()
BLOCK: Final = 65_536
"""Accounts whose words are lined up at once."""
CERTAIN: Final = np.float32(1 - 1e-6)
"""What a probability of 1 counts as where its logarithm is asked for."""
FEWEST_OUTCOMES: Final = 10
"""Accounts with the outcome below which nothing is concluded from them."""
LARGEST_Z: Final = 3.0
"""Looked at every day for years, two standard errors would be passed by chance again and again."""
FURTHEST_RATIO: Final = 1.5
"""Said over came, or the other way round: less is not worth a new model."""
WORSE_AUC: Final = 0.05
REASONS: Final = ("calibration", "ranking", "inputs")
"""Why a model may need a refresh."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the ledger is asked.

    Parameters
    ----------
    outcome
        Which outcome the risk is of: one that is stated, or a silence.
    horizon_ms
        Within which time, ms.
    ratio
        That over the model's horizon, > 0.
    recent_ms
        How much of the past counts as recent, ms.
    """

    outcome: str | Silence
    horizon_ms: int
    ratio: float
    recent_ms: int

    @property
    def weeks(self) -> int:
        """Return how many weeks a ledger must hold to answer."""
        span_ms = max(self.horizon_ms, AHEAD_DAYS[-1] * DAY_MS + STALE_MS) + 2 * self.recent_ms + KNOWN_AFTER_MS
        return span_ms // WEEK_MS + 2

    @property
    def kind(self) -> str:
        """Return the kind that an outcome has."""
        return SILENT if isinstance(self.outcome, Silence) else self.outcome


class Rows(NamedTuple):
    """Predictions whose horizon is over, in a line, each with what came: arrays [prediction], as small as they can be.

    ``account`` int32, ``since`` uint16, the day since 1970 from which on it counts, ``risk`` float32, ``band`` int8,
    ``model`` uint8, ``happened`` bool.
    """

    account: NDArray[np.int32]
    since: NDArray[np.uint16]
    risk: NDArray[np.float32]
    band: NDArray[np.int8]
    model: NDArray[np.uint8]
    happened: NDArray[np.bool_]

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """Return some of them."""
        return Rows(
            self.account[mask],
            self.since[mask],
            self.risk[mask],
            self.band[mask],
            self.model[mask],
            self.happened[mask],
        )


def rows_of(ledger: Ledger, asked: Asked) -> Rows:
    """Return the predictions of accounts that had not met the outcome before, with what came within the horizon."""
    met: dict[int, list[int]] = {}
    for account, at_ms, kind in ledger.outcomes():
        # As in a history, what an account stated ends what is asked of its silence.
        if (kind == asked.outcome or isinstance(asked.outcome, Silence)) and account in ledger.accounts:
            met.setdefault(ledger.accounts[account], []).append(at_ms)
    names = list(ledger.accounts) if isinstance(asked.outcome, Silence) else []
    parts = [_block(ledger, asked, met, first, names) for first in range(0, max(len(ledger.accounts), 1), BLOCK)]
    joined = Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    if asked.ratio == 1.0:
        return joined
    # A constant hazard between the model's horizon and the asked-for one.
    return joined._replace(risk=-np.expm1(np.log1p(-np.minimum(joined.risk, CERTAIN)) * np.float32(asked.ratio)))


def _block(ledger: Ledger, asked: Asked, met: Mapping[int, list[int]], first: int, names: Sequence[str]) -> Rows:
    said = ledger.said[first : first + BLOCK]
    since_ms = said["day"].astype(np.int64) * DAY_MS + KNOWN_AFTER_MS
    is_asked, happened = said["day"] > 0, np.zeros(said.shape, bool)
    is_asked &= since_ms + asked.horizon_ms <= ledger.newest_ms
    for row in range(len(said)) if len(said) < len(met) else (row - first for row in met):
        if 0 <= row < len(said) and first + row in met:
            for at_ms in met[first + row]:
                happened[row] |= (since_ms[row] <= at_ms) & (at_ms < since_ms[row] + asked.horizon_ms)
            is_asked[row] &= since_ms[row] <= met[first + row][0]
    if isinstance(asked.outcome, Silence):
        hearing = ledger.hearings[asked.outcome]
        is_asked &= hearing.knows(since_ms, asked.horizon_ms)
        rows, slots = np.nonzero(is_asked)
        block = names[first : first + BLOCK]
        happened[rows, slots] = hearing.spoke(block, rows, since_ms[rows, slots], asked.horizon_ms) == 0
    rows, slots = np.nonzero(is_asked)
    chosen = said[rows, slots]
    since = (since_ms[rows, slots] // DAY_MS).astype(np.uint16)
    account = (first + rows).astype(np.int32)
    return Rows(account, since, chosen["risk"], chosen["band"], chosen["model"], happened[rows, slots])


def judge(ledger: Ledger, asked: Asked, model: Model) -> dict[str, Any]:
    """Return the report; `model` gives the order of the bands, the best one last."""
    ledger.drop_old()
    now_ms, rows = ledger.newest_ms, rows_of(ledger, asked)
    present = ledger.models.index(ledger.present) if ledger.present in ledger.models else -1
    judged_from = now_ms - asked.horizon_ms - asked.recent_ms
    own, is_recent = rows.model == present, rows.since > judged_from // DAY_MS
    recent = rows.where(own & is_recent)
    names = [*model.band_names, *(name for name in ledger.bands if name not in model.band_names)]
    report: dict[str, Any] = {
        "to": rfc3339(now_ms),
        "judged_from": rfc3339(judged_from),
        "accounts": len(ledger.accounts),
        "kept_promises": {"before": _promise(rows.where(own & ~is_recent)), "recent": _promise(recent)},
        "bands": {name: _kept(recent.where(recent.band == _number(ledger, name))) for name in names},
        "by_month": _by_month(rows),
        "said_before_outcomes": _said_before(ledger, asked, names),
        "red_to_green": _red_to_green(ledger, asked, model),
        "silence": _silence(ledger, asked),
        **_moved(ledger, asked),
    }
    best = model.band_names[-1]
    alarmed = recent.where((recent.band >= 0) & (recent.band != _number(ledger, best)))
    report["alarms"] = {"precision": _kept(alarmed)["came"], "foreseen": _foreseen(report, asked, best)}
    report["needs_refresh"], report["warnings"] = _verdicts(report, asked)
    return report


def _number(ledger: Ledger, band: str) -> int:
    """Return a band's number in the ledger; one that no record has as yet has no predictions either."""
    return ledger.bands.index(band) if band in ledger.bands else np.iinfo(np.int8).max


def _kept(rows: Rows) -> dict[str, Any]:
    count, outcomes = rows.account.size, int(np.unique(rows.account[rows.happened]).size)
    said, came = (float(each.mean(dtype=np.float64)) if count else None for each in (rows.risk, rows.happened))
    return {"rows": count, "outcomes": outcomes, "said": said, "came": came}


def _promise(rows: Rows) -> dict[str, Any]:
    """Return what was said and what came, how sure the difference is, and how well accounts were ranked."""
    risk, happened, ones = rows.risk.astype(np.float64), rows.happened.astype(np.float64), np.ones(rows.risk.size)
    # Rows of one account are not independent: the error is that of sums over accounts.
    surprise = np.bincount(rows.account, happened - risk) if risk.size else np.zeros(1)
    spread = sqrt(float((surprise**2).sum()))
    slope = calibration_slope(risk, happened, ones)
    return {
        **_kept(rows),
        "accounts": int(np.unique(rows.account).size),
        "z": float(surprise.sum()) / spread if spread else None,
        "auc": auc(rank(risk), happened, ones),
        "brier_skill": brier_skill(risk, happened, ones) if risk.size else None,
        "ece": quantile_error(reliability(risk, happened)),
        "calibration_slope": slope[0] if slope else None,
    }


def _by_month(rows: Rows) -> dict[str, dict[str, Any]]:
    months = [f"{date.fromordinal(EPOCH + day):%Y-%m}" for day in range(int(rows.since.max(initial=0)) + 1)]
    names, numbers = np.unique(np.array(months, str), return_inverse=True)
    month_of = numbers.astype(np.int16)[rows.since]
    return {str(names[k]): _kept(rows.where(month_of == k)) for k in np.unique(month_of).tolist()}


def _said_before(ledger: Ledger, asked: Asked, bands: list[str]) -> dict[str, dict[str, Any]]:
    """Join each recent outcome with the last word at least 30, 60 and 90 days before: days → kind → risk and bands."""
    said, now_ms = ledger.said, ledger.newest_ms
    since = said["day"].astype(np.int64) * DAY_MS + KNOWN_AFTER_MS
    found: dict[int, dict[str, list[tuple[int, int]]]] = {days: {} for days in AHEAD_DAYS}
    for account, at_ms, kind in _moments(ledger, asked):
        row = ledger.accounts.get(account)
        if row is None or not now_ms - asked.recent_ms < at_ms <= now_ms:
            continue
        for days in AHEAD_DAYS:
            until = at_ms - days * DAY_MS
            early = (said["day"][row] > 0) & (since[row] <= until) & (since[row] > until - STALE_MS)
            if early.any():
                slot = int(np.argmax(np.where(early, since[row], 0)))
                found[days].setdefault(kind, []).append((row, slot))
    return {
        str(days): {kind: _words(ledger, places, bands) for kind, places in sorted(kinds.items())}
        for days, kinds in found.items()
    }


def _moments(ledger: Ledger, asked: Asked) -> Iterable[tuple[str, int, str]]:
    """Return account, instant (ms) and kind of what came: what was stated, or the silences asked for."""
    if isinstance(asked.outcome, Silence):
        return ledger.hearings[asked.outcome].moments(ledger.newest_ms)
    return ledger.outcomes()


def _silence(ledger: Ledger, asked: Asked) -> dict[str, Any] | None:
    """Return how many accounts have reached the silence asked for, and from when on all that breaks it is known."""
    if not isinstance(asked.outcome, Silence):
        return None
    heard_from_ms = ledger.hearings[asked.outcome].heard_from_ms
    silent = sum(kind == SILENT for account, _, kind in _moments(ledger, asked) if account in ledger.accounts)
    return {"silent": silent, "heard_from": rfc3339(heard_from_ms) if heard_from_ms else None}


def _foreseen(report: dict[str, Any], asked: Asked, best: str) -> dict[str, float | None]:
    """Return days → share of the outcomes whose account stood in any band but the best then."""
    found: dict[str, float | None] = {}
    for days, kinds in report["said_before_outcomes"].items():
        bands = kinds.get(asked.kind, {"bands": {}})["bands"]
        known = sum(bands.values())
        found[days] = 1 - bands[best] / known if known else None
    return found


def _words(ledger: Ledger, places: list[tuple[int, int]], bands: list[str]) -> dict[str, Any]:
    rows, slots = np.array(places).T
    risk, band = ledger.said["risk"][rows, slots], ledger.said["band"][rows, slots]
    counts = {name: int((band == _number(ledger, name)).sum()) for name in bands}
    return {"outcomes": len(places), "mean_risk": float(risk.mean()), "bands": counts}


def _red_to_green(ledger: Ledger, asked: Asked, model: Model) -> dict[str, dict[str, Any]]:
    """Return how many accounts that stood in the worst band were in the best within so many days: days → count and of."""
    said, now_ms = ledger.said, ledger.newest_ms
    at = said["day"].astype(np.int64) * DAY_MS
    worst, best = _number(ledger, model.band_names[0]), _number(ledger, model.band_names[-1])
    is_red, is_green = ((said["day"] > 0) & (said["band"] == number) for number in (worst, best))
    found = {}
    for days in AHEAD_DAYS:
        end = now_ms - days * DAY_MS
        in_time = is_red & (at > end - asked.recent_ms) & (at <= end)
        rows = np.flatnonzero(in_time.any(axis=1))
        first = np.where(in_time[rows], at[rows], np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
        later = (at[rows] > first[:, None]) & (at[rows] <= first[:, None] + days * DAY_MS)
        found[str(days)] = {"count": int((is_green[rows] & later).any(axis=1).sum()), "of": int(rows.size)}
    return found


def _moved(ledger: Ledger, asked: Asked) -> dict[str, dict[str, Any]]:
    """Return how far scores and inputs have moved since the first weeks of the present model."""
    spreads, now = ledger.spreads(ledger.present), week_of(ledger.newest_ms // DAY_MS)
    span = max(asked.recent_ms // WEEK_MS, 1)
    recent = [week for week in spreads if week > now - span]
    first = sorted(week for week in spreads if week <= now - span)[:span]
    keys = sorted({key for week in (*first, *recent) for key in spreads[week]})
    report: dict[str, dict[str, Any]] = {"scores": {}, "inputs": {}}
    for group, name in keys:
        before, after = (
            sum((spreads[week][group, name] for week in weeks if (group, name) in spreads[week]), np.zeros(1, np.int64))
            for weeks in (first, recent)
        )
        index = stability_of_counts(before, after)
        report["scores" if group == SCORE else "inputs"][name] = {"psi": index, "verdict": verdict(index)}
    assert all(group in (SCORE, INPUT) for group, _ in keys)
    return report


def _verdicts(report: dict[str, Any], asked: Asked) -> tuple[dict[str, bool], list[str]]:
    """Return which reasons there are for a new model, and sentences for people."""
    warnings = []
    before, recent = report["kept_promises"]["before"], report["kept_promises"]["recent"]
    said, came, z = recent["said"], recent["came"], recent["z"]
    is_off = False
    if z is not None:  # as many outcomes as were to be expected, or came, are enough to conclude from
        outcomes = max(recent["outcomes"], recent["accounts"] * said)
        times = max(came, 1e-12) / max(said, 1e-12)
        is_off = outcomes >= FEWEST_OUTCOMES and abs(z) > LARGEST_Z
        is_off = is_off and not 1 / FURTHEST_RATIO <= times <= FURTHEST_RATIO
    if is_off:
        warnings.append(f"{said:.2%} were said to be {asked.kind} and {came:.2%} were: calibrate the model again")
    is_worse = _ranks_worse(before, recent)
    if is_worse:
        warnings.append(
            f"the ranking fell from an AUC of {before['auc']:.3f} to {recent['auc']:.3f}: review the inputs"
        )
    moved = [
        (name, index["psi"])
        for group in ("scores", "inputs")
        for name, index in report[group].items()
        if index["verdict"] == "moved"
    ]
    warnings += [
        f"{name} has moved (PSI {psi:.2f}): look at what sends it before you believe the score" for name, psi in moved
    ]
    return dict(zip(REASONS, (is_off, is_worse, bool(moved)), strict=True)), warnings


def _ranks_worse(before: dict[str, Any], recent: dict[str, Any]) -> bool:
    """Return whether the AUC fell by more than is worth a word, and by more than chance."""
    if min(before["outcomes"], recent["outcomes"]) < FEWEST_OUTCOMES or None in (before["auc"], recent["auc"]):
        return False
    error = sqrt(_auc_variance(before) + _auc_variance(recent))
    fall: float = before["auc"] - recent["auc"]
    return fall > max(WORSE_AUC, 2 * error)


def _auc_variance(promise: dict[str, Any]) -> float:
    """Return the variance of an AUC, each account counted once.

    References
    ----------
    Hanley and McNeil, Radiology 143 (1982), equation 1.
    """
    area, lost = promise["auc"], promise["outcomes"]
    kept = max(promise["accounts"] - lost, 1)
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (lost - 1) * (one - area**2) + (kept - 1) * (two - area**2)
    return float(spread / (lost * kept))
