"""The oracle's cohorts: references as they arrived, cohort days counted one by one, and what a partition says of a day."""

import math
from collections.abc import Mapping
from typing import Any

from scoring.model import Signal
from tests.oracle_marks import DAY, Account, Facts, day_of

Totals = Mapping[str, Mapping[str, tuple[int, int]]]


class References:
    """The references of a partition: day → (first day they count from, totals)."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, Totals]] = {}
        self._reported: dict[tuple[str, str, int], float] = {}
        self._busy: dict[tuple[str, str, int, int], float] = {}

    def take(self, day: int, totals: Totals, clock: int | None) -> None:
        """Take a reference; one of a day that is not newer than the newest changes nothing."""
        if day > max(self.known, default=day - 1):
            self._busy.clear()
            self.known = {known: found for known, found in self.known.items() if known > day - 192}
            self.known[day] = (day + 2 if clock is None else max(day + 2, day_of(clock) + 1), totals)

    def reported(self, signal: Signal, segment: str, day: int, as_of: int) -> float | None:
        """Return how busy a day was for a segment, None where that is not known yet."""
        if day not in self.known or self.known[day][0] > as_of or signal.fingerprint not in self.known[day][1]:
            return None
        key = (signal.fingerprint, segment, day)
        if key not in self._reported:
            self._reported[key] = self._compute(self.known[day][1][signal.fingerprint], segment)
        return self._reported[key]

    def _compute(self, found: Mapping[str, tuple[int, int]], segment: str) -> float:
        accounts, paces = (sum(pair[k] for pair in found.values()) for k in (0, 1))
        everybody = (paces * 1_000 + 10 * 1_000_000) // (accounts + 10)
        if not segment:
            return everybody / 1e6
        accounts, paces = found.get(segment, (0, 0))
        return (paces * 1_000 + 10 * everybody) // (accounts + 10) / 1e6

    def busy(self, signal: Signal, segment: str, day: int, as_of: int) -> float:
        """Return how busy a day was, forecast by the same weekdays before where it is not known."""
        key = (signal.fingerprint, segment, day, as_of)
        if key not in self._busy:
            own = self.reported(signal, segment, day, as_of)
            before = [self.reported(signal, segment, day - 7 * k, as_of) for k in (1, 2, 3)]
            forecast = 1.0 if None in before else sorted(before)[1]  # type: ignore[type-var]
            self._busy[key] = forecast if own is None else own  # type: ignore[assignment]
        return self._busy[key]


class CohortReader:
    """Reads one signal of one account in cohort days.

    Parameters
    ----------
    references, account, signal, facts
        What is known.
    at_ms
        The instant.
    """

    def __init__(self, references: References, account: Account, signal: Signal, facts: Facts, at_ms: int) -> None:
        self.account, self.signal, self.facts, self.at = account, signal, facts, at_ms
        self.day = account.day
        assert account.first_at is not None
        self.first = account.first_at
        last_at = account.marks[signal.name].last_at
        assert last_at is not None
        self.last = last_at
        self.quiet = max(self.day - day_of(last_at), 0)
        self.elapsed = (at_ms - self.day * DAY) / DAY
        self.sealed = min(self.day - day_of(self.first), 90)
        self._references = references

    def busy(self, age: int) -> float:
        """Return how busy the day so many days ago was."""
        return self._references.busy(self.signal, self.account.cohort, self.day - age, self.day)

    def unseen(self) -> float:
        """Return the part of the first day before the first event."""
        return self.first % DAY / DAY if self.day - day_of(self.first) <= 90 else 0.0

    def days(self, window: int) -> float:
        """Return the cohort days of a window within the history."""
        ages = min(self.sealed, window - 1)
        found = sum(self.busy(age) for age in range(1, ages + 1)) + self.elapsed * self.busy(0)
        return found - self.unseen() * self.busy(self.sealed) if ages == self.sealed else found

    def habit(self, unit: float) -> float:
        """Return the usual rate per cohort day, as of the signal's last day."""

        def weight(age: int) -> float:
            return math.exp(-(age - self.quiet) / 90.0)

        exposure = sum(self.busy(age) * weight(age) for age in range(max(self.quiet, 1), self.sealed + 1))
        amount = self.facts.slow / math.exp(-self.quiet / 90.0)
        if self.quiet == 0:
            amount += self.facts.today
            exposure += self.elapsed * self.busy(0)
        exposure -= self.unseen() * self.busy(self.sealed) * weight(self.sealed)
        return amount / unit / max(exposure, 7.0)

    def fast_days(self) -> tuple[float, float]:
        """Return the cohort days and the calendar days of the recent rate, before the first day's unseen part."""
        weights = [math.exp(-age / 7.0) for age in range(self.sealed + 1)]
        cohort = sum(weights[age] * self.busy(age) for age in range(1, self.sealed + 1)) + self.elapsed * self.busy(0)
        return cohort, sum(weights[1:]) + self.elapsed

    def recent(self, unit: float, habit: float) -> float:
        """Return the recent rate per cohort day."""
        cohort, calendar = self.fast_days()
        unseen = self.unseen() * math.exp(-self.sealed / 7.0)
        cohort, calendar = cohort - unseen * self.busy(self.sealed), calendar - unseen
        missing = max(min(3.0, calendar) - cohort, 0.0)
        return ((self.facts.fast + self.facts.today) / unit + habit * missing) / max(cohort + missing, 1.0)

    def silent(self) -> float:
        """Return the cohort days since the signal's last event."""
        if self.quiet == 0:
            return max(self.at - self.last, 0) / DAY * self.busy(0)
        rest = (1.0 - self.last % DAY / DAY) * self.busy(self.quiet)
        return rest + sum(self.busy(age) for age in range(1, self.quiet)) + self.elapsed * self.busy(0)

    def dispersion(self, unit: float, habit: float) -> float:
        """Return how bursty the signal is."""
        return max(self.signal.dispersion, self.facts.burst / unit - habit)

    def pace(self, unit: float, amount: int) -> int | None:
        """Return what the account says of a day on which it did so much, in thousandths; None where it says nothing."""
        if self.quiet > 84:
            return None
        habit = self.habit(unit)
        if self.silent() > 7.0 and habit * self.silent() / self.dispersion(unit, habit) > 6.0:
            return None
        return math.floor(min(max(amount / unit / max(habit, 0.05), 0.0), 4.0) * 1000 + 0.5)


def relative_value(  # noqa: PLR0911 - one line per kind of value
    reader: CohortReader, kind: str, unit: float, windows: tuple[int, int]
) -> float:
    """Return one value counted in cohort days."""
    sums = reader.facts.sums
    if kind in ("rate", "ratio"):
        short, long = windows
        days = reader.days(short)
        if days < 1.0:
            return math.nan
        rate = sums[short] / unit / days
        if kind == "rate":
            return rate
        return math.nan if sums[long] == 0 else rate / (sums[long] / unit) * reader.days(long)
    if reader.quiet > 84:
        silence = (reader.at - reader.last) / DAY / reader.signal.dispersion
        return {"level": 0.0, "silence": silence, "momentum": -2.0, "surprise": -10.0}[kind]
    if kind in ("momentum", "surprise") and reader.day - day_of(reader.first) < 7:
        return 0.0
    habit = reader.habit(unit)
    dispersion = reader.dispersion(unit, habit)
    if kind == "silence":
        return habit * reader.silent() / dispersion
    recent = reader.recent(unit, habit)
    if kind == "level":
        return recent
    if kind == "momentum":
        return min(max(math.log((recent + 0.05) / (habit + 0.05)), -2.0), 2.0)
    noise = max(7.0 / max(reader.fast_days()[0], 1.0), 1.0)
    spread = 1.0 / (2.0 * 7.0) + 1.0 / (2.0 * 90.0) - 2.0 / (7.0 + 90.0)
    return min(max((recent - habit) / math.sqrt(dispersion * noise * max(habit, 0.05) * spread), -10.0), 10.0)


def spoken(account: Account, signal: Signal, day: int) -> bool:
    """Return whether an account has its say about a signal's day: it has a history, and the signal has spoken."""
    if account.is_closed or account.first_at is None or day_of(account.first_at) > day - 7 or account.day - day > 90:
        return False
    return signal.topic in account.topics and account.marks[signal.name].last_at is not None


def totals_of(found: dict[str, list[Any]]) -> dict[str, tuple[int, int]]:
    """Return segment → accounts and the sum of their paces."""
    return {segment: (len(paces), sum(paces)) for segment, paces in found.items()}
