"""What was said of every account, week by week, and what became of it: room for so many weeks, whatever is read first.

            week of a close →   … 2901  2902  2903 …        a ring of so many weeks
    account    acme              risk   risk   risk          the week's first close with a risk
               bolt               -     risk   risk
    outcomes   acme: churned at …                            kept as long as a week they may answer

Records may come in any order and more than once. Nothing is judged here.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from math import log
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Ints
from state.layout import DAY_MS
from streams.backtest.question import MONDAY
from streams.backtest.silence import Silence
from streams.feedback.listening import Hearing

FIRST_ROWS: Final = 1_024
MOST_MODELS: Final = 255
"""Numbers of a byte; what further models said is left out."""
STEPS: Final = 512
"""Steps of the scales on which spreads are counted."""
LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS = -12.0, 12.0
WIDEST_POINTS: Final = 64.0
"""Contributions beyond count as this."""
MOST_MIDNIGHTS: Final = 1_024
"""Texts of instants whose meaning is kept: all accounts share a day's."""
SCORE, INPUT = "score", "input"

Key = tuple[str, str]
"""`SCORE` or `INPUT`, and which."""


SAID: Final = np.dtype([("day", np.uint16), ("risk", np.float32), ("band", np.int8), ("model", np.uint8)])
"""What was said: ``day``, since 1970, of the midnight it speaks of, 0 = nothing; ``risk``, 0-1; ``band``, -1 = not known,
and ``model``, places in the ledger's lists."""


class Ledger:
    """Keeps what was said and what came.

    Parameters
    ----------
    weeks
        How many are kept, > 0. Memory is 8 bytes an account and week, and about 200 an account.
    """

    def __init__(self, weeks: int) -> None:
        self.weeks = weeks
        self.accounts: dict[str, int] = {}
        """Account → row."""
        self.models: list[str] = []
        """Fingerprints, by number."""
        self.bands: list[str] = []
        """Names, by number."""
        self.newest_ms = 0
        """Latest midnight that a close speaks of, ms; 0 before the first."""
        self.present = ""
        """Fingerprint of the model that spoke then."""
        self.hearings: dict[Silence, Hearing] = {}
        """What was heard, for each silence that is asked for."""
        self._said = np.zeros((FIRST_ROWS, weeks), SAID)
        self._spreads: dict[str, dict[int, dict[Key, Ints]]] = {}
        self._outcomes: dict[str, set[tuple[int, str]]] = {}

    @property
    def said(self) -> NDArray[np.void]:
        """What was said, `SAID` by row and slot of the ring: a view, not to be written."""
        return self._said[: len(self.accounts)]

    def take_close(self, close: Mapping[str, Any]) -> None:
        """Take a record of `score-history`."""
        at_ms = midnight(close["at"])
        model = close.get("model")
        if model is None:  # written by a version that did not say by which model
            return
        if at_ms >= self.newest_ms:
            self.newest_ms, self.present = at_ms, model
        day = at_ms // DAY_MS
        if "contributions" in close:
            self._spread(model, week_of(day), close)
        if "risk" in close and model in self._numbered(model):
            self._say(close, day, self.models.index(model))

    def take_outcome(self, account: str, at_ms: int, kind: str) -> None:
        """Take what became of an account; the same twice counts once."""
        self._outcomes.setdefault(account, set()).add((at_ms, kind))

    def outcomes(self) -> Iterator[tuple[str, int, str]]:
        """Yield account, instant (ms) and kind of every outcome that is kept, each account's in the order of time."""
        for account, known in self._outcomes.items():
            for at_ms, kind in sorted(known):
                yield account, at_ms, kind

    def spreads(self, model: str) -> Mapping[int, Mapping[Key, Ints]]:
        """Return week → what → how many accounts stood on each step of its scale, as that model told on Mondays."""
        return self._spreads.get(model, {})

    def drop_old(self) -> None:
        """Drop what was said of accounts that nothing was said of since, once its week is out of the ring."""
        days = self._said["day"]
        oldest = week_of(self.newest_ms // DAY_MS) - self.weeks + 1
        days[days < oldest * 7 + MONDAY] = 0

    def forget(self, outcomes_before_ms: int, spread_weeks: int) -> None:
        """Drop older outcomes and what was heard before they can matter, and what is between the first and the last weeks of a model's spreads."""
        for account in list(self._outcomes):
            kept = {each for each in self._outcomes[account] if each[0] >= outcomes_before_ms}
            if kept:
                self._outcomes[account] = kept
            else:
                del self._outcomes[account]
        for silence, hearing in self.hearings.items():
            hearing.forget(outcomes_before_ms - silence.duration_ms)
        for by_week in self._spreads.values():
            for week in sorted(by_week)[spread_weeks:-spread_weeks]:
                del by_week[week]

    def _numbered(self, model: str) -> list[str]:
        if model not in self.models and len(self.models) < MOST_MODELS:
            self.models.append(model)
        return self.models

    def _say(self, close: Mapping[str, Any], day: int, model: int) -> None:
        row = self._row(close["account_id"])
        slot = week_of(day) % self.weeks
        known = int(self._said[row, slot]["day"])
        # A week's first word stays; one that is older than what stands there is out of the ring.
        if known and (week_of(known) > week_of(day) or (week_of(known) == week_of(day) and known <= day)):
            return
        band = close.get("band")
        if band is not None and band not in self.bands:
            self.bands.append(band)
        self._said[row, slot] = (day, close["risk"], -1 if band is None else self.bands.index(band), model)

    def _row(self, account: str) -> int:
        row = self.accounts.setdefault(account, len(self.accounts))
        if row == len(self._said):
            self._said = np.concatenate([self._said, np.zeros_like(self._said)])
        return row

    def _spread(self, model: str, week: int, close: Mapping[str, Any]) -> None:
        counts = self._spreads.setdefault(model, {}).setdefault(week, {})
        _count(counts, (SCORE, "health"), close["health"] / 100)
        if "risk" in close:
            span = HIGHEST_LOG_ODDS - LOWEST_LOG_ODDS
            _count(counts, (SCORE, "risk"), (_log_odds(close["risk"]) - LOWEST_LOG_ODDS) / span)
        for name, points in close["contributions"].items():
            _count(counts, (INPUT, name), (points / WIDEST_POINTS + 1) / 2)


@lru_cache(MOST_MIDNIGHTS)
def midnight(text: str) -> int:
    """Return the instant that a close speaks of, ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def week_of(day: int) -> int:
    """Return the number of the week, Monday to Sunday, that a day since 1970 is in."""
    return (day - MONDAY) // 7


def _count(counts: dict[Key, Ints], key: Key, place: float) -> None:
    """Count a value at a place of its scale, 0-1, on its step."""
    if key not in counts:
        counts[key] = np.zeros(STEPS, np.int64)
    counts[key][min(max(int(place * STEPS), 0), STEPS - 1)] += 1


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return log(clipped / (1 - clipped))
