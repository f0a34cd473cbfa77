"""Product usage: the bulk of a book's events, drawn a whole day at a time with array arithmetic.

An account's events on a day are Poisson with the mean

    rate * weekday * season * the day's factor from the account's life * log-normal day noise

People use the product unequally (Zipf), mostly during their own working hours. Some events arrive late and a few twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.demo.event import Event
from streams.demo.stories import Calendar, Life
from streams.demo.truth import DAY_MS

HOUR_MS = 3_600_000
WEEKDAY = 1.25  # with the weekend's factor the week's mean is 1.0
WEEKEND = 0.375
DAY_NOISE = 0.25  # sigma of the log-normal day noise: real accounts are burstier than Poisson
LATE_SHARE = 0.005
DUPLICATE_SHARE = 0.001
YEAR_END = 0.55  # 20 December to 4 January
HOLIDAYS = {(12, 24): 0.2, (12, 25): 0.1, (12, 26): 0.2, (12, 31): 0.25, (1, 1): 0.1}

# What people do: (share, JSON fragment). Every kind of use appears with several sizes or places.
ACTIONS: tuple[tuple[float, bytes], ...] = (
    (0.24, b'"event":"login"'),
    (0.10, b'"event":"feature_used","properties":{"feature":"board"}'),
    (0.08, b'"event":"feature_used","properties":{"feature":"forecast"}'),
    (0.07, b'"event":"feature_used","properties":{"feature":"inbox"}'),
    (0.05, b'"event":"feature_used","properties":{"feature":"search"}'),
    (0.12, b'"event":"report_run"'),
    (0.06, b'"event":"dashboard_viewed"'),
    (0.05, b'"event":"comment_added"'),
    (0.05, b'"event":"export","quantity":1'),
    (0.02, b'"event":"export","quantity":2'),
    (0.06, b'"event":"api_call","quantity":1'),
    (0.03, b'"event":"api_call","quantity":3'),
    (0.02, b'"event":"api_call","quantity":5'),
    (0.05, b'"event":"integration_sync"'),
)
_ACTION_EDGES = np.cumsum([share for share, _ in ACTIONS])
_ACTION_BYTES = [fragment for _, fragment in ACTIONS]
_USAGE = (
    b'{"id":"u%03d-%d","account_id":"%b","occurred_at":"%bZ","source":"product",%b,"user_id":"%b-u%d"}'  # day, number
)


def season(calendar: Calendar) -> NDArray[np.float64]:
    """Return the factor of each day that all accounts share: weekends and the turn of the year.

    Parameters
    ----------
    calendar
        The days of the book.
    """
    days = np.datetime64(calendar.start_ms, "ms").astype("datetime64[D]") + np.arange(calendar.days)
    factors = np.where(np.is_busday(days), WEEKDAY, WEEKEND)
    for position, day in enumerate(days.tolist()):
        if (day.month, day.day) >= (12, 20) or (day.month, day.day) <= (1, 4):
            factors[position] *= HOLIDAYS.get((day.month, day.day), YEAR_END)
    return factors


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage traffic of a book.

    Parameters
    ----------
    seed
        The book's seed.
    calendar
        The days of the book.
    account_ids
        Account → id, as text and as bytes.
    means
        (account, day) → mean number of events.
    users
        Account → people who use the product.
    hours_from_utc
        Account → where its working day lies.
    """

    seed: int
    calendar: Calendar
    account_ids: Sequence[str]
    account_bytes: Sequence[bytes]
    means: NDArray[np.float64]
    users: NDArray[np.float64]
    hours_from_utc: NDArray[np.int64]

    @classmethod
    def of(cls, seed: int, calendar: Calendar, lives: Sequence[Life]) -> "Usage":
        """Return the traffic of the given lives.

        Parameters
        ----------
        seed
            The book's seed.
        calendar
            The days of the book.
        lives
            What happens to each account, in account order.
        """
        ids = [life.profile.account_id for life in lives]
        rates = np.array([life.profile.events_per_day for life in lives])
        return cls(
            seed=seed,
            calendar=calendar,
            account_ids=ids,
            account_bytes=[name.encode() for name in ids],
            means=rates[:, None] * np.array([life.usage for life in lives]) * season(calendar)[None, :],
            users=np.array([life.profile.users for life in lives], np.float64),
            hours_from_utc=np.array([life.profile.hours_from_utc for life in lives]),
        )

    def of_day(self, day: int) -> list[Event]:
        """Return the usage events that *occur* on a day, in no particular order; late ones arrive on a later day.

        Parameters
        ----------
        day
            Day of the book, from 0. Days are independent: each has its own random source.
        """
        source = np.random.Generator(np.random.PCG64([self.seed, day]))
        noise = np.exp(DAY_NOISE * source.standard_normal(len(self.account_ids)) - DAY_NOISE**2 / 2)
        accounts = np.repeat(np.arange(len(self.account_ids)), source.poisson(self.means[:, day] * noise))
        occurred = self._times(day, accounts, source)
        values = self._values(day, accounts, occurred, source)
        arrives, late = self._arrivals(occurred, source)
        ids = self.account_ids
        columns = zip(accounts.tolist(), values, occurred.tolist(), arrives.tolist(), late.tolist(), strict=True)
        events = [
            Event("usage", ids[account], value, at, arrival, "late" if is_late else "")
            for account, value, at, arrival, is_late in columns
        ]
        return events + self._duplicates(events, source)

    def _times(self, day: int, accounts: NDArray[np.int64], source: np.random.Generator) -> NDArray[np.int64]:
        """Return instants inside the UTC day, most of them between 8 and 18 o'clock of the account's own time."""
        local_hours = 8.0 + 5.0 * (source.random(len(accounts)) + source.random(len(accounts)))
        utc_ms = ((local_hours - self.hours_from_utc[accounts]) * HOUR_MS).astype(np.int64) % DAY_MS
        return self.calendar.at(day) + utc_ms

    def _values(
        self, day: int, accounts: NDArray[np.int64], occurred: NDArray[np.int64], source: np.random.Generator
    ) -> list[bytes]:
        count = len(accounts)
        actions = np.searchsorted(_ACTION_EDGES, source.random(count), side="right").clip(max=len(ACTIONS) - 1)
        # floor((n + 1)^u) has P(k) = log((k + 1) / k) / log(n + 1), k = 1 to n: Zipf's law without a table per account.
        people = np.floor((self.users[accounts] + 1.0) ** source.random(count)).astype(np.int64)
        texts = np.datetime_as_string(occurred.astype("datetime64[ms]")).astype("S23")
        names = [self.account_bytes[account] for account in accounts.tolist()]
        return [
            _USAGE % (day, number, name, text, _ACTION_BYTES[action], name, person)
            for number, (name, text, action, person) in enumerate(
                zip(names, texts.tolist(), actions.tolist(), people.tolist(), strict=True)
            )
        ]

    def _arrivals(
        self, occurred: NDArray[np.int64], source: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return arrival times and which are late: half of those by hours, half by days, none beyond the book's end."""
        count = len(occurred)
        draw = source.random(count)
        hours = np.where(
            source.random(count) < 0.5, source.uniform(1.0, 12.0, count), source.uniform(24.0, 96.0, count)
        )
        delayed = occurred + (hours * HOUR_MS).astype(np.int64)
        late = (draw < LATE_SHARE) & (delayed < self.calendar.at(self.calendar.days))
        return np.where(late, delayed, occurred), late

    def _duplicates(self, events: list[Event], source: np.random.Generator) -> list[Event]:
        """Return exact second copies, within half an hour of the first, as a retrying producer would send them."""
        chosen = np.flatnonzero(source.random(len(events)) < DUPLICATE_SHARE).tolist()
        delays = source.integers(1_000, 1_800_000, len(chosen)).tolist()
        copies = [
            events[position]._replace(arrives_at_ms=events[position].arrives_at_ms + delay, fault="duplicate")
            for position, delay in zip(chosen, delays, strict=True)
        ]
        end_ms = self.calendar.at(self.calendar.days)
        return [copy for copy in copies if copy.arrives_at_ms < end_ms]
