"""What a model made of the segments of a recorded book: their scores, how often bands changed, how often somebody was told.

Accounts that left are counted apart: an alarm before a loss is what a model is for. Segments are compared by the accounts
that stayed, so what differs between them is not that one of them loses more customers.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scoring.backtest.fairness import Difference, differences, spread
from scoring.bands import INSUFFICIENT
from scoring.model import Model
from scoring.segments import ATTRIBUTES, segment_of
from state.history import Fired
from state.layout import BAND, BAND_SINCE, CLOSED, MICRO, NO_VALUE, PUBLISHED_HEALTH
from streams.alert_contract import LOUD
from streams.cli.files import EventFile
from streams.compare import played
from streams.replay import Replay, Sinks

BY_MODEL: Final = "model"
"""Compare the model's own segments instead of an attribute's values."""
BY: Final = (*ATTRIBUTES, BY_MODEL)
NONE: Final = "(none)"
FEWEST_DAYS: Final = 28
"""An account that was scored on fewer days has no rates."""
DAYS_PER_MONTH: Final = 30.0


@dataclass(frozen=True, slots=True)
class SegmentFigures:
    """What came of one segment.

    Parameters
    ----------
    segment
        Its name.
    accounts, left, stayed
        All of them, those whose contract ended, and those compared: not ended and scored on `FEWEST_DAYS` days at least.
        All further figures are of the last.
    health
        Tenth, fiftieth and ninetieth percentile of the accounts' mean health, 0-100; empty without accounts.
    bands
        Band → share of the accounts' days in it, 0-1.
    changes_per_month, alerts_per_month
        Days on which the band changed, and loud alerts (warning or critical), for each account and 30 days.
    alarmed
        Share of accounts with a loud alert at all, 0-1.
    """

    segment: str
    accounts: int
    left: int
    stayed: int
    health: tuple[float, ...]
    bands: dict[str, float]
    changes_per_month: float
    alerts_per_month: float
    alarmed: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """The segments, the largest first, how they differ from the rest, and from when to when, milliseconds UTC."""

    segments: tuple[SegmentFigures, ...]
    differences: tuple[Difference, ...]
    start_ms: int
    end_ms: int


class Watch:
    """Notes at every midnight of a replay how the accounts stand.

    Parameters
    ----------
    replay
        Before its first event; it is given the sinks that tell of it.
    passed
        Told the event time reached, milliseconds UTC.
    """

    def __init__(self, replay: Replay, passed: Callable[[int], None] | None) -> None:
        replay.sinks = Sinks(fired=self._fired, midnight=self._midnight, passed=passed)
        self.replay = replay
        self.days = np.zeros((0, len(replay.compiled.model.band_names)), np.int64)
        """Account and band → midnights in it."""
        self.health = np.zeros(0)
        """Account → sum of its health at those midnights."""
        self.changes = np.zeros(0, np.int64)
        """Account → midnights before which the band had changed since the last; the first band is no change."""
        self.alerts: Counter[str] = Counter()
        """Account → loud alerts that began."""
        self._bands, self._since = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def _midnight(self, _: int) -> None:
        store = self.replay.state.store
        ints = store.rows.ints[: len(store)]
        self._grow(len(store))
        band, since = ints[:, BAND], ints[:, BAND_SINCE]
        is_scored = (band != INSUFFICIENT) & (ints[:, CLOSED] == 0) & (ints[:, PUBLISHED_HEALTH] != NO_VALUE)
        rows = np.flatnonzero(is_scored)
        self.days[rows, band[rows]] += 1
        self.health[rows] += ints[rows, PUBLISHED_HEALTH] / MICRO
        self.changes += is_scored & (self._bands != INSUFFICIENT) & (since != self._since)
        self._bands, self._since = np.where(is_scored, band, INSUFFICIENT), since.copy()

    def _fired(self, alert: Fired) -> None:
        if alert.severity in LOUD:
            self.alerts[alert.account] += 1

    def _grow(self, count: int) -> None:
        missing = count - self.health.size
        if missing:
            self.days = np.concatenate([self.days, np.zeros((missing, self.days.shape[1]), np.int64)])
            self.health = np.append(self.health, np.zeros(missing))
            self.changes = np.append(self.changes, np.zeros(missing, np.int64))
            self._bands = np.append(self._bands, np.full(missing, INSUFFICIENT))
            self._since = np.append(self._since, np.zeros(missing, np.int64))


def fairness(
    files: Sequence[EventFile],
    model: Model,
    by: str,
    note: Callable[[str], None],
    passed: Callable[[int], None] | None = None,
) -> Fairness:
    """Score a history and compare its segments.

    Parameters
    ----------
    by
        One of `BY`: an attribute of the accounts, as it stands at the end, or the model's own segments.
    note
        Told in a sentence what takes longer than expected.
    passed
        Told the event time reached, milliseconds UTC.
    """
    watches: list[Watch] = []
    replay = played(files, model, note, lambda replay: watches.append(Watch(replay, passed)))
    watch, store = watches[-1], replay.state.store
    names = _segments(replay, model, by)
    is_closed = store.rows.ints[: len(store), CLOSED] != 0
    days = watch.days.sum(axis=1) if watch.days.size else np.zeros(len(store), np.int64)
    is_known = np.zeros(len(store), np.bool_)
    is_known[: days.size] = (days >= FEWEST_DAYS) & ~is_closed[: days.size]
    found = _Accounts(watch, np.flatnonzero(is_known), store.names)
    told = [_figures(name, names == name, is_closed, found, model) for name, _ in Counter(names.tolist()).most_common()]
    unlike = differences(names[found.rows], {"health": found.health}, found.rates) if found.rows.size else []
    return Fairness(tuple(told), tuple(unlike), replay.start_ms, replay.end_ms)


class _Accounts:
    """The numbers of the accounts that are compared, each by the place of its row in `rows`."""

    def __init__(self, watch: Watch, rows: NDArray[np.int64], names: Sequence[str]) -> None:
        days = watch.days[rows].sum(axis=1)
        self.rows = rows
        self.health = watch.health[rows] / days
        self.bands = watch.days[rows] / days[:, None]
        alerts = np.array([watch.alerts[names[row]] for row in rows.tolist()], np.float64)
        self.rates = {
            "band changes": DAYS_PER_MONTH * watch.changes[rows] / days,
            "alerts": DAYS_PER_MONTH * alerts / days,
            "quiet": (alerts == 0).astype(np.float64),
        }


def _segments(replay: Replay, model: Model, by: str) -> NDArray[np.object_]:
    store = replay.state.store
    profiles = [store.profile(row) for row in range(len(store))]
    if by == BY_MODEL:
        known = (NONE, *(segment.name for segment in model.segments))
        return np.array([known[segment_of(model.segments, profile)] for profile in profiles], object)
    return np.array([profile.get(by, NONE) for profile in profiles], object)


def _figures(
    name: str, is_inside: NDArray[np.bool_], is_closed: NDArray[np.bool_], found: _Accounts, model: Model
) -> SegmentFigures:
    chosen = is_inside[found.rows]
    count = int(chosen.sum())

    def mean(numbers: NDArray[Any]) -> float:
        return float(numbers[chosen].mean()) if count else 0.0

    return SegmentFigures(
        segment=name,
        accounts=int(is_inside.sum()),
        left=int((is_inside & is_closed).sum()),
        stayed=count,
        health=spread(found.health[chosen]) if count else (),
        bands={band: mean(found.bands[:, k]) for k, band in enumerate(model.band_names)},
        changes_per_month=mean(found.rates["band changes"]),
        alerts_per_month=mean(found.rates["alerts"]),
        alarmed=1.0 - mean(found.rates["quiet"]) if count else 0.0,
    )
