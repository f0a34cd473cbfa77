"""On which days accounts broke a silence: what a running application's outcomes are derived from where nobody states any.

    billing    acme  x  x     x            a bit for each UTC day with such an event: copies, order and late arrival
                                           change nothing
    heard from |                           what was deleted before nobody can tell from silence: nothing is
                                           concluded of spans that begin there

Whether a prediction came true, and what a silence is, `streams/backtest/silence.py` says, as it does for histories.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from scoring.arrays import Ints
from state.columns import Columns
from state.layout import DAY_MS
from streams.backtest.silence import TIME_BITS, Moment, Silence, counted

MOST_EARLY_DAYS: Final = 800
"""How much earlier than the first event read another one may lie and still be heard."""


class Hearing:
    """What was heard of accounts, as far as read.

    Parameters
    ----------
    silence
        Listened for; its duration is whole days.
    """

    def __init__(self, silence: Silence) -> None:
        assert silence.duration_ms % DAY_MS == 0, "bits are of days"
        self.silence = silence
        self.heard_from_ms = 0
        """From when on all events could be read, ms; 0 = nothing was ever missed."""
        self._kept_from_ms = 0
        self._first_day = -1
        self._days: dict[str, int] = {}
        """Account → bits, that of `_first_day` the lowest."""
        self._last_ms: dict[str, int] = {}

    def take(self, events: Columns) -> None:
        """Take events of the silence's topic."""
        times = events.occurred_at_ms.tolist()
        if times and self._first_day < 0:
            self._first_day = max(min(times) // DAY_MS - MOST_EARLY_DAYS, 0)
        names = events.event or [""] * len(times)
        for account, name, at_ms in zip(events.account, names, times, strict=True):
            place = at_ms // DAY_MS - self._first_day
            if place >= 0 and self.silence.is_broken_by(name):
                self._days[account] = self._days.get(account, 0) | 1 << place
                self._last_ms[account] = max(at_ms, self._last_ms.get(account, 0))

    def miss(self, before_ms: int) -> None:
        """Note that events before an instant may never have been read."""
        self.heard_from_ms = max(self.heard_from_ms, before_ms)

    def spoke(self, accounts: Sequence[str], rows: Ints, at_ms: Ints, horizon_ms: int) -> Ints:
        """Return how many days with such an event decide each prediction: 0 = the silence was reached.

        Parameters
        ----------
        accounts
            Those that the rows are of.
        rows
            int64 [prediction], index of its account.
        at_ms
            int64 [prediction], UTC midnight it speaks from.
        """
        days = [_bits(self._days.get(account, 0)) + self._first_day for account in accounts]
        numbers = np.repeat(np.arange(len(days), dtype=np.int64), [each.size for each in days])
        keys = (numbers << TIME_BITS) + np.concatenate([np.empty(0, np.int64), *days]) * DAY_MS
        return counted(keys, rows, *self.silence.span(at_ms, horizon_ms))

    def knows(self, at_ms: Ints, horizon_ms: int) -> np.ndarray:
        """Return whether all events were heard that decide a prediction: bool [prediction]."""
        since, _ = self.silence.span(at_ms, horizon_ms)
        return since >= max(self.heard_from_ms, self._kept_from_ms)

    def moments(self, now_ms: int) -> Iterator[Moment]:
        """Yield what became of every account that ever spoke before an instant."""
        for account, last_ms in self._last_ms.items():
            if last_ms < now_ms:
                yield self.silence.moment(account, last_ms, now_ms)

    def forget(self, before_ms: int) -> None:
        """Drop what was heard before an instant, and accounts not heard since."""
        dropped = before_ms // DAY_MS - self._first_day
        if self._first_day < 0 or dropped <= 0:
            return
        self._first_day += dropped
        self._days = {account: days >> dropped for account, days in self._days.items() if days >> dropped}
        self._last_ms = {account: self._last_ms[account] for account in self._days}
        self._kept_from_ms = self._first_day * DAY_MS


def _bits(number: int) -> Ints:
    """Return the places of the bits that are set, ascending."""
    array = np.frombuffer(number.to_bytes((number.bit_length() + 7) // 8, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(array, bitorder="little")).astype(np.int64)
