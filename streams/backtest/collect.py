"""Rows of a backtest, taken while a history is replayed: what the score said at each as-of time, before knowing more.

events   x x  x    x |   x  x x          a row at T is made of what stands left of T, and of nothing else:
as of                T                   time has passed up to T, the events of T itself are still to come
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats, Ints
from scoring.backtest.warning import INSUFFICIENT, LOOKBACK_DAYS, UNSEEN
from scoring.compile import Compiled
from state.history import Fired
from state.layout import AMOUNT_UNIT, ARR, BAND, DAY_MS, ENGAGEMENT_COST, NEVER, NO_VALUE
from state.observing import observe, predictable
from state.work import PICTURE_FIXED
from streams.backtest.outcomes import Answers
from streams.backtest.question import AsOf
from streams.halt import Refusal
from streams.replay import Replay, Sinks


@dataclass(frozen=True, slots=True)
class Account:
    """What figures are grouped and priced by; money in the account's currency, None = not stated."""

    name: str
    segment: str
    owner: str
    yearly: float | None
    engagement_cost: float | None


@dataclass(slots=True)
class Collected:
    """What a replay left behind: accounts by name, rows by as-of time and account, alerts by time and account.

    Axes: `scores`, `subscores`, `terms`, `quiet_days` and `month` are those of `state.observing.Observed`, the rows of
    all as-of times below each other; `bands` has the outcomes of the answers and the days before them.
    """

    accounts: list[Account]
    account: Ints
    at_ms: Ints
    band: NDArray[np.int8]
    scores: Floats
    subscores: NDArray[np.float32]
    terms: NDArray[np.float32]
    quiet_days: NDArray[np.float32]
    month: NDArray[np.float32]
    bands: NDArray[np.int8]
    alerts: list[Fired]
    start_ms: int
    last_ms: int
    n_lines: int
    n_rejected: int


class Collector:
    """Takes rows from a replay at each as-of time, bands at each midnight before an outcome, and alerts as they fire.

    Parameters
    ----------
    answers
        Which outcomes bands are looked at before, and where rows end. Whether a row is positive is not asked here.
    is_as_of
        Tells whether a midnight is an as-of time.
    """

    def __init__(self, answers: Answers, is_as_of: AsOf) -> None:
        self.answers = answers
        self._is_as_of = is_as_of
        self._pieces: list[tuple[NDArray, ...]] = []
        self._alerts: list[Fired] = []
        self._closed_at = np.empty(0, np.int64)
        moments = answers.moments
        self._bands = np.full((len(moments), LOOKBACK_DAYS + 1), UNSEEN, np.int8)
        self._outcome_day = np.array([moment.at_ms // DAY_MS for moment in moments], np.int64)
        self._outcome_row = np.full(len(moments), -1, np.int64)
        self._replay: Replay | None = None

    def sinks(self, sinks: Sinks) -> Sinks:
        """Let a replay tell this collector what it needs besides what `sinks` already takes."""
        sinks.fired, sinks.midnight = self._alerts.append, self._midnight
        return sinks

    def watch(self, replay: Replay) -> None:
        """Say which replay the sinks belong to."""
        self._replay = replay

    def _midnight(self, at_ms: int) -> None:
        assert self._replay is not None
        state = self._replay.state
        self._look_at_bands(at_ms // DAY_MS)
        if not self._is_as_of(at_ms):
            return
        names = state.store.names
        first = self._closed_at.size
        new = [self.answers.closed_at.get(name, NEVER) for name in names[first:]]
        self._closed_at = np.concatenate((self._closed_at, np.array(new, np.int64)))
        rows = predictable(state, at_ms)
        rows = rows[self._closed_at[rows] >= at_ms]
        if rows.size:
            seen = observe(state, rows, at_ms)
            band = state.store.rows.ints[rows, BAND].astype(np.int8)
            at = np.full(rows.size, at_ms)
            self._pieces.append((rows, at, band, seen.scores, seen.subscores, seen.terms, seen.quiet_days, seen.month))

    def _look_at_bands(self, day: int) -> None:
        assert self._replay is not None
        store = self._replay.state.store
        ahead = self._outcome_day - day
        near = np.flatnonzero((ahead >= 0) & (ahead <= LOOKBACK_DAYS))
        for k in near[self._outcome_row[near] < 0].tolist():
            self._outcome_row[k] = store.numbers.get(self.answers.moments[k].account, -1)
        near = near[self._outcome_row[near] >= 0]
        bands = store.rows.ints[self._outcome_row[near], BAND]
        self._bands[near, ahead[near]] = np.maximum(bands, INSUFFICIENT)

    def finish(self) -> Collected:
        """Return everything, once the replay has ended."""
        replay = self._replay
        assert replay is not None
        pieces = self._pieces or [_nothing(replay.compiled)]
        account, at_ms, band, scores, subscores, terms, quiet_days, month = (
            np.concatenate(column) for column in zip(*pieces, strict=True)
        )
        found = Collected(
            accounts=[_account(replay, row) for row in range(len(replay.state.store))],
            account=account,
            at_ms=at_ms,
            band=band,
            scores=scores,
            subscores=subscores,
            terms=terms,
            quiet_days=quiet_days,
            month=month,
            bands=self._bands,
            alerts=self._alerts,
            start_ms=replay.start_ms,
            last_ms=replay.last_ms,
            n_lines=replay.n_lines,
            n_rejected=replay.n_rejected,
        )
        return _in_order(found)


BY_ROW = ("at_ms", "band", "scores", "subscores", "terms", "quiet_days", "month")


def merged(parts: Sequence[Collected]) -> Collected:
    """Return what several collectors found, each for other accounts of one history."""
    first = parts[0]
    if len(parts) == 1:
        return first
    starts = np.cumsum([0, *(len(part.accounts) for part in parts[:-1])])
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in BY_ROW}
    whole = replace(
        first,
        accounts=[account for part in parts for account in part.accounts],
        account=np.concatenate([part.account + start for part, start in zip(parts, starts, strict=True)]),
        # Whoever does not know an account has seen nothing of it, which is the least that can be said.
        bands=np.max([part.bands for part in parts], axis=0),
        alerts=[alert for part in parts for alert in part.alerts],
        n_rejected=sum(part.n_rejected for part in parts),
        **columns,
    )
    return _in_order(whole)


def _in_order(found: Collected) -> Collected:
    """Return the same with accounts by name, so that nothing depends on who was met first."""
    order = sorted(range(len(found.accounts)), key=lambda k: found.accounts[k].name)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order))
    account = numbers[found.account]
    rows = np.lexsort((account, found.at_ms))
    return replace(
        found,
        accounts=[found.accounts[k] for k in order],
        account=account[rows],
        alerts=sorted(found.alerts, key=lambda alert: (alert.at_ms, alert.account)),
        **{name: getattr(found, name)[rows] for name in BY_ROW},
    )


def only_segment(collected: Collected, answers: Answers, segment: str) -> tuple[Collected, Answers]:
    """Return the rows, outcomes and alerts of one segment's accounts.

    Raises
    ------
    Refusal
        When no account is of that segment.
    """
    numbers = np.full(len(collected.accounts), -1, np.int64)
    chosen = [k for k, account in enumerate(collected.accounts) if account.segment == segment]
    numbers[chosen] = np.arange(len(chosen))
    if not chosen:
        known = sorted({account.segment for account in collected.accounts if account.segment})[:10]
        raise Refusal(f"--segment: expected one of {', '.join(known) or 'none'}, got '{segment}' — choose one")
    accounts = [collected.accounts[k] for k in chosen]
    names = {account.name for account in accounts}
    rows = numbers[collected.account] >= 0
    kept = [k for k, moment in enumerate(answers.moments) if moment.account in names]
    part = replace(
        collected,
        accounts=accounts,
        account=numbers[collected.account[rows]],
        bands=collected.bands[kept],
        alerts=[alert for alert in collected.alerts if alert.account in names],
        **{name: getattr(collected, name)[rows] for name in BY_ROW},
    )
    return part, replace(answers, moments=[answers.moments[k] for k in kept])


def _account(replay: Replay, row: int) -> Account:
    store = replay.state.store
    profile, ints = store.profile(row), store.rows.ints[row]
    yearly, cost = (None if ints[c] == NO_VALUE else int(ints[c]) / AMOUNT_UNIT for c in (ARR, ENGAGEMENT_COST))
    return Account(store.names[row], profile.get("segment", ""), profile.get("owner", ""), yearly, cost)


def _nothing(compiled: Compiled) -> tuple[NDArray, ...]:
    plan = compiled.plan
    inputs, signals = plan.inputs.shape[0], plan.signals.shape[0]
    wide = [np.empty((0, width), np.float32) for width in (inputs, plan.terms.shape[0], signals, signals)]
    return (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty((0, PICTURE_FIXED)), *wide)
