"""What keeps the number of deliveries bearable, as frozen values: caps, quiet hours, silences, the portfolio guard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scoring.model import ALERT_SEVERITIES


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A stretch of the day, in the owner's time zone, that may reach over midnight: `[start, end)`."""

    start: time
    end: time

    def end_after(self, now_ms: int, zone: ZoneInfo) -> int | None:
        """Return when the quiet hours that hold at an instant end, milliseconds UTC; None outside them.

        Examples
        --------
        >>> night = QuietHours(time(20), time(8))
        >>> night.end_after(1_772_409_600_000, ZoneInfo("UTC"))  # 2026-03-02, midnight
        1772438400000
        >>> night.end_after(1_772_438_400_000, ZoneInfo("UTC")) is None
        True
        """
        now = datetime.fromtimestamp(now_ms / 1000, zone)
        for day in (now.date() - timedelta(days=1), now.date()):
            begins = datetime.combine(day, self.start, zone)
            last = day if self.end > self.start else day + timedelta(days=1)
            ends = datetime.combine(last, self.end, zone)
            if begins <= now < ends:
                return round(ends.astimezone(UTC).timestamp() * 1000)
        return None


@dataclass(frozen=True, slots=True)
class Silence:
    """A planned stretch of time in which some alerts are not delivered; what is open afterwards is.

    Parameters
    ----------
    matches
        Field of the alert ("rule", "account_id", "segment", "plan") → what it must be; all must match.
    from_ms, to_ms
        `[from, to)`, milliseconds UTC.
    """

    matches: Mapping[str, str]
    from_ms: int
    to_ms: int
    reason: str

    def holds(self, alert: Mapping[str, Any], now_ms: int) -> bool:
        """Return whether it silences an alert at an instant."""
        facts = {"rule": alert["rule"], "account_id": alert["account_id"], **alert.get("account", {})}
        return self.from_ms <= now_ms < self.to_ms and all(facts.get(k) == v for k, v in self.matches.items())


@dataclass(frozen=True, slots=True)
class PortfolioGuard:
    """When many accounts of a group move at once it is one matter, and told once.

    Parameters
    ----------
    by
        Attributes that make groups: "segment", "plan".
    share
        0 to 1, of a group's accounts with a new alert within `within_ms`.
    at_least
        So many accounts, ≥ 2: a group of three is no portfolio.
    """

    by: tuple[str, ...]
    share: float
    within_ms: int
    at_least: int


@dataclass(frozen=True, slots=True)
class Load:
    """The whole of it; the defaults hold nothing back.

    Parameters
    ----------
    per_owner, per_playbook
        Alerts a UTC day that begin to be delivered, 0 = no cap. The rest is told in one digest.
    urgent
        This severity and graver ones pass caps and quiet hours.
    digest_at
        When digests go out, in `zone`.
    zone, zones
        Time zone of owners without one of their own, and owner → time zone.
    """

    per_owner: int = 0
    per_playbook: int = 0
    urgent: str = "critical"
    digest_at: time = time(17)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    silences: tuple[Silence, ...] = ()
    portfolio: PortfolioGuard | None = None

    def is_urgent(self, alert: Mapping[str, Any]) -> bool:
        """Return whether an alert passes caps and quiet hours."""
        return ALERT_SEVERITIES.index(alert["severity"]) >= ALERT_SEVERITIES.index(self.urgent)

    def quiet_until(self, owner: str, now_ms: int) -> int | None:
        """Return when the owner's present quiet hours end, None outside them."""
        hours = self.quiet_hours
        return None if hours is None else hours.end_after(now_ms, self.zones.get(owner, self.zone))

    def silenced_until(self, alert: Mapping[str, Any], now_ms: int) -> int | None:
        """Return when the last silence that holds for an alert ends, None where none does."""
        return max((silence.to_ms for silence in self.silences if silence.holds(alert, now_ms)), default=None)

    def digest_after(self, now_ms: int) -> int:
        """Return when the next digest goes out, milliseconds UTC."""
        now = datetime.fromtimestamp(now_ms / 1000, self.zone)
        at = datetime.combine(now.date(), self.digest_at, self.zone)
        if at <= now:
            at = datetime.combine(now.date() + timedelta(days=1), self.digest_at, self.zone)
        return round(at.astimezone(UTC).timestamp() * 1000)
