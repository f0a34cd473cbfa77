"""Who is told of alerts, as frozen values; `streams.notify.reading` makes them of a file and has checked them.

Secrets are values here, so a target is never logged, only its name; `repr` leaves them out.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from scoring.model import ALERT_SEVERITIES

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS

RETRY_MS = (
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
)
"""Waits between tries, about three days in all: the table that Standard Webhooks recommends."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of Standard Webhooks; `secrets` sign side by side while one replaces the other, newest first."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Slack:
    """An incoming webhook of Slack, or of what understands the same; its address is the secret."""

    url: str = field(repr=False)
    allow_private: bool


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """A service of PagerDuty, through its Events API v2."""

    url: str
    routing_key: str = field(repr=False)
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager; an operator's own, so private addresses are what is expected. `token` may be empty.

    It keeps what stands in memory only, so what fires is sent again every `resend_ms`, milliseconds.
    """

    url: str
    token: str = field(repr=False)
    resend_ms: int = MINUTE_MS


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail relay and who gets the mail.

    Parameters
    ----------
    to
        Addresses that always get it.
    to_owner
        Whether the next step's owner gets it too, where that is an address.
    tls
        "starttls", "tls" (from the first byte) or "none".
    """

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    to_owner: bool
    tls: str
    username: str
    password: str = field(repr=False)


Place = Webhook | Slack | PagerDuty | Alertmanager | Mail


@dataclass(frozen=True, slots=True)
class Target:
    """One receiver, and which alerts it gets.

    Parameters
    ----------
    name
        Part of its consumer group's name: renamed, it begins anew.
    place
        Where to and how.
    minimum_severity
        Milder alerts are left out.
    rules
        Names of rules; empty means all.
    retry_ms
        Waits between tries; after the last one an alert is a dead letter.
    from_beginning
        Whether a target that never read anything begins with the oldest alert kept; else with the next one.
    """

    name: str
    place: Place
    minimum_severity: str = "info"
    rules: tuple[str, ...] = ()
    retry_ms: tuple[int, ...] = RETRY_MS
    from_beginning: bool = False

    def takes(self, alert: dict[str, Any]) -> bool:
        """Return whether the target is to hear of an alert."""
        severe = ALERT_SEVERITIES.index
        return severe(alert["severity"]) >= severe(self.minimum_severity) and (
            not self.rules or alert["rule"] in self.rules
        )

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when the place does: a target that is gone comes back with a new one."""
        place = self.place
        address = f"{place.host}:{place.port}" if isinstance(place, Mail) else place.url
        return hashlib.sha256(f"{type(place).__name__}\0{address}".encode()).hexdigest()[:16]
