"""What was planted into a simulated book: the values the judge compares alerts with.

The truth knows neither how traffic is made nor how alerts are read; it is written before either happens.
"""

from enum import StrEnum

import msgspec

DAY_MS = 86_400_000


class Story(StrEnum):
    """A course of events planted into one account."""

    GROWTH = "healthy growth"
    RAMP_DOWN = "slow ramp-down"
    SILENCE = "sudden silence"
    PAYMENT = "payment failures"
    TICKET_STORM = "ticket storm"
    RECOVERED = "fall and recovery"
    CHAMPION = "champion lost"


class Noise(StrEnum):
    """Something harmless that happens to a healthy account and should alarm nobody."""

    NONE = "none"
    HOLIDAY = "holiday week"
    LATE_PAYMENT = "late payment"
    TICKET_BURST = "short ticket burst"
    SMALL = "very few events"


class Expectation(StrEnum):
    """What a watchful system says about a story."""

    QUIET = "quiet"  # no warning, no critical alert
    ALERT = "alert"
    ALERT_THEN_RESOLVE = "alert, then resolve"


class PlantedStory(msgspec.Struct, frozen=True):
    """One planted story. The story counts as caught when an alert fires inside ``[start_ms, alert_by_ms]``.

    Parameters
    ----------
    account_id
        The account it happens to; an account carries at most one story.
    story
        Which course of events.
    start_ms, end_ms
        First and last instant of the planted change, milliseconds UTC.
    direction
        Where health is expected to go: ``up``, ``down`` or ``down, then up``.
    expects
        What a watchful system says.
    alert_by_ms
        Latest instant at which a warning or critical alert still counts as caught; ``None`` when quiet is expected.
    resolve_by_ms
        Latest instant at which the resolve counts as seen; ``None`` when none is expected.
    outcome_at_ms
        The renewal (or the end of the contract) that the alert has to come before; ``None`` when it lies outside the book.
    """

    account_id: str
    story: Story
    start_ms: int
    end_ms: int
    direction: str
    expects: Expectation
    alert_by_ms: int | None = None
    resolve_by_ms: int | None = None
    outcome_at_ms: int | None = None


class Truth(msgspec.Struct, frozen=True):
    """Everything the generator knows about a book.

    Parameters
    ----------
    seed, accounts, days, start_ms
        The parameters that make the same book again; the book covers ``[start_ms, start_ms + days · 86 400 000)``.
    stories
        The planted stories, in account order.
    healthy
        The other accounts: account id → the harmless noise planted into it.
    bad_events
        Kind of fault → how many events carry it. All of them belong into the dead letters.
    """

    seed: int
    accounts: int
    days: int
    start_ms: int
    stories: tuple[PlantedStory, ...]
    healthy: dict[str, Noise]
    bad_events: dict[str, int]

    @property
    def end_ms(self) -> int:
        """The instant at which the book ends (exclusive), milliseconds UTC."""
        return self.start_ms + self.days * DAY_MS
