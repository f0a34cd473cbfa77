"""A simulated book of business: seeded, deterministic, with planted stories and exactly known faults.

The same parameters give the same bytes in the same order on every run; a digest in the tests pins them. The book was
frozen before any model was tuned on it, so that the stories cannot be bent towards the model.
"""

from collections.abc import Iterator
from operator import attrgetter

from streams.demo.accounts import profiles
from streams.demo.event import Event
from streams.demo.faults import bad_events
from streams.demo.routine import routine
from streams.demo.stories import MINIMUM_ACCOUNTS, MINIMUM_DAYS, Calendar, lives
from streams.demo.traffic import Usage
from streams.demo.truth import DAY_MS, Truth

# Monday, 3 November 2025, 00:00 UTC. Sixteen weeks from here contain the turn of the year, when everybody's usage dips.
DEFAULT_START_MS = 1_762_128_000_000
MAXIMUM_DAYS = 730

__all__ = ["DEFAULT_START_MS", "Book", "Event"]


class Book:
    """The events of many accounts over some months, in the order in which they arrive.

    Parameters
    ----------
    seed
        Any integer ≥ 0; chooses the book.
    accounts
        Number of accounts, ≥ 20.
    days
        Number of days, 110 to 730.
    start_ms
        First instant, a UTC midnight, milliseconds UTC.

    Attributes
    ----------
    truth
        What was planted.
    names
        Account id → company name, in account order.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> book = Book(seed=1, accounts=20, days=110)
    >>> first = next(book.events())
    >>> first.topic, first.account_id
    ('accounts', 'acct-00001')
    """

    def __init__(self, seed: int, accounts: int = 2_000, days: int = 120, start_ms: int = DEFAULT_START_MS) -> None:
        _check(seed, accounts, days, start_ms)
        self._calendar = Calendar(start_ms, days)
        customers = list(profiles(seed, accounts))
        fates = lives(customers, seed, self._calendar)
        broken = bad_events(customers, seed, self._calendar)
        self._usage = Usage.of(seed, self._calendar, fates)
        self._slow: list[list[Event]] = [[] for _ in range(days)]  # by day of arrival
        for found in (*(one for life in fates for one in routine(life, seed, self._calendar)), *broken):
            self._slow[self._day_of(found.arrives_at_ms)].append(found)
        self.names = {customer.account_id: customer.name for customer in customers}
        kinds = [found.fault.removeprefix("bad: ") for found in broken]
        self.truth = Truth(
            seed=seed,
            accounts=accounts,
            days=days,
            start_ms=start_ms,
            stories=tuple(life.story for life in fates if life.story is not None),
            healthy={life.profile.account_id: life.noise for life in fates if life.story is None},
            bad_events={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        )

    def by_day(self) -> Iterator[list[Event]]:
        """Yield the events of each day of arrival, sorted by arrival."""
        waiting: dict[int, list[Event]] = {}  # day of arrival → late events and copies from earlier days
        for day, slow in enumerate(self._slow):
            today = slow + waiting.pop(day, [])
            tomorrow_ms = self._calendar.at(day + 1)
            for found in self._usage.of_day(day):
                if found.arrives_at_ms < tomorrow_ms:
                    today.append(found)
                else:
                    waiting.setdefault(self._day_of(found.arrives_at_ms), []).append(found)
            today.sort(key=attrgetter("arrives_at_ms"))
            yield today

    def events(self) -> Iterator[Event]:
        """Yield all events in the order of arrival."""
        for today in self.by_day():
            yield from today

    def _day_of(self, at_ms: int) -> int:
        return (at_ms - self._calendar.start_ms) // DAY_MS


def _check(seed: int, accounts: int, days: int, start_ms: int) -> None:
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed} — choose another number")
    if accounts < MINIMUM_ACCOUNTS:
        raise ValueError(
            f"accounts: expected {MINIMUM_ACCOUNTS} or more, got {accounts} — every story needs an account"
        )
    if not MINIMUM_DAYS <= days <= MAXIMUM_DAYS:
        raise ValueError(
            f"days: expected {MINIMUM_DAYS} to {MAXIMUM_DAYS}, got {days} — the longest story takes 70 days after 35 calm ones"
        )
    if start_ms % DAY_MS:
        raise ValueError(f"start_ms: expected a UTC midnight, got {start_ms} — round it down to a whole day")
