r"""How accounts fare over the days of a book: the planted stories and the harmless noise, as values traffic is drawn from.

    usage, as a factor of the account's normal rate

    ramp-down   ‾‾‾‾\                    silence  ‾‾‾‾|         recovered  ‾‾‾\      /‾‾‾   growth       /‾‾‾
                     \                                |                        \    /                   /
                      \____|renewal                   |____|renewal             \__/                ‾‾‾/

The first 35 days stay calm so that every account has a history to deviate from. Story accounts are never tiny:
a change must be visible in principle, or the truth would be unfair.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streams.demo.accounts import Profile, account_source
from streams.demo.truth import DAY_MS, Expectation, Noise, PlantedStory, Story

CALM_DAYS = 35
STORY_SHARE = 0.0175  # of the accounts, for each story: 35 of 2 000
STORY_EVENTS_PER_DAY = 0.4  # least usage rate of an account that may carry a story
INVOICE_DAYS = 30  # an invoice a month, near enough
PAYMENT_TERM_DAYS = 14
MINIMUM_DAYS = 110  # the longest story (60 days and its renewal) after the calm days
MINIMUM_ACCOUNTS = 20


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days a book covers.

    Parameters
    ----------
    start_ms
        First instant, a UTC midnight, milliseconds UTC.
    days
        How many, ≥ 110.
    """

    start_ms: int
    days: int

    def at(self, day: float) -> int:
        """Return the instant ``day`` days after the start, milliseconds UTC."""
        return self.start_ms + round(day * DAY_MS)

    def day_or_none(self, day: float) -> int | None:
        """Return the instant of a day, or ``None`` if it lies at or beyond the end of the book."""
        return self.at(day) if day < self.days else None


@dataclass(frozen=True, slots=True)
class Life:
    """What happens to one account.

    Parameters
    ----------
    profile
        The customer.
    usage
        Day of the book → factor of the normal usage rate, ≥ 0.
    engagement
        Day of the book → factor of the normal number of meetings and replies, ≥ 0.
    renewal_day
        Day on which the contract ends, counted from the start of the book.
    billing_day
        Day of the first invoice, 0 to 29; the others follow every 30 days.
    churns
        Whether the account leaves at ``renewal_day`` instead of renewing.
    noise
        Harmless noise of a healthy account.
    story
        The planted story, or ``None``.
    unpaid_from_day, storm_day, champion_lost_day, burst_day, late_invoice
        When payments stop, the ticket storm starts, the champion leaves, a short ticket burst starts; and which invoice
        (number, from 0) is paid some days late. ``None`` when it does not happen.
    """

    profile: Profile
    usage: NDArray[np.float64]
    engagement: NDArray[np.float64]
    renewal_day: int
    billing_day: int
    churns: bool = False
    noise: Noise = Noise.NONE
    story: PlantedStory | None = None
    unpaid_from_day: int | None = None
    storm_day: int | None = None
    champion_lost_day: int | None = None
    burst_day: int | None = None
    late_invoice: int | None = None

    @property
    def closing_day(self) -> int | None:
        """The day from which nothing happens any more, or ``None``."""
        return self.renewal_day if self.churns else None


Planner = Callable[[Life, random.Random, Calendar], Life]


def lives(profiles: list[Profile], seed: int, calendar: Calendar) -> list[Life]:
    """Return what happens to each customer, in account order.

    Parameters
    ----------
    profiles
        The customers.
    seed
        The book's seed.
    calendar
        The days of the book.
    """
    planned = _choose_stories(profiles, seed)
    result = []
    for profile in profiles:
        source = account_source(seed, profile.account_id, "life")
        ordinary = Life(
            profile=profile,
            usage=np.ones(calendar.days),
            engagement=np.ones(calendar.days),
            renewal_day=profile.renewal_day,
            billing_day=source.randrange(INVOICE_DAYS),
        )
        story = planned.get(profile.index)
        life = PLANNERS[story](ordinary, source, calendar) if story else _healthy(ordinary, source, calendar)
        result.append(_closed(life, calendar))
    return result


def _choose_stories(profiles: list[Profile], seed: int) -> dict[int, Story]:
    eligible = [p.index for p in profiles if not p.is_small and p.events_per_day >= STORY_EVENTS_PER_DAY]
    count = max(1, round(len(profiles) * STORY_SHARE))
    random.Random(f"{seed}/stories").shuffle(eligible)
    wanted = [story for story in Story for _ in range(count)]
    assert len(eligible) >= len(wanted), "a book of 20 accounts or more has room for every story"
    return dict(zip(eligible, wanted, strict=False))


def _closed(life: Life, calendar: Calendar) -> Life:
    """Return the life with nothing happening after the contract has ended."""
    if life.closing_day is None or life.closing_day >= calendar.days:
        return life
    open_days = np.arange(calendar.days) < life.closing_day
    return replace(life, usage=life.usage * open_days, engagement=life.engagement * open_days)


def _line(calendar: Calendar, points: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Return the factor of each day, at its middle, from a broken line through (day, factor) points."""
    days, factors = zip(*points, strict=True)
    return np.interp(np.arange(calendar.days) + 0.5, days, factors)


# --- healthy accounts


def _healthy(life: Life, source: random.Random, calendar: Calendar) -> Life:
    if life.profile.is_small:
        return replace(life, noise=Noise.SMALL)
    draw = source.random()
    day = source.randrange(20, calendar.days - 15)
    if draw < 0.15:
        usage = life.usage.copy()
        usage[day : day + 7] = 0.1
        return replace(life, usage=usage, noise=Noise.HOLIDAY)
    if draw < 0.25:
        return replace(life, late_invoice=source.randrange(3), noise=Noise.LATE_PAYMENT)
    if draw < 0.31:
        return replace(life, burst_day=day, noise=Noise.TICKET_BURST)
    return life


def _growth(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS, calendar.days - 65)
    renewal = start + 60 + source.randrange(0, 120)
    story = PlantedStory(
        life.profile.account_id,
        Story.GROWTH,
        start_ms=calendar.at(start),
        end_ms=calendar.at(start + 60),
        direction="up",
        expects=Expectation.QUIET,
        outcome_at_ms=calendar.day_or_none(renewal),
    )
    usage = _line(calendar, [(start, 1.0), (start + 60, 2.2)])
    return replace(life, story=story, usage=usage, renewal_day=renewal)


# --- accounts in trouble


def _ramp_down(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS, calendar.days - 70)
    renewal = start + 60 + source.randrange(3, 11)
    story = PlantedStory(
        life.profile.account_id,
        Story.RAMP_DOWN,
        start_ms=calendar.at(start),
        end_ms=calendar.at(start + 60),
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=calendar.at(renewal - 14),
        outcome_at_ms=calendar.at(renewal),
    )
    usage = _line(calendar, [(start, 1.0), (start + 60, 0.05)])
    return replace(life, story=story, usage=usage, engagement=usage, renewal_day=renewal, churns=True)


def _silence(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS + 10, calendar.days - 40)
    renewal = start + source.randrange(25, 39)
    story = PlantedStory(
        life.profile.account_id,
        Story.SILENCE,
        start_ms=calendar.at(start),
        end_ms=calendar.at(renewal),
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=calendar.at(start + 21),
        outcome_at_ms=calendar.at(renewal),
    )
    usage = (np.arange(calendar.days) < start).astype(np.float64)
    return replace(life, story=story, usage=usage, engagement=usage, renewal_day=renewal, churns=True)


def _payment(life: Life, source: random.Random, calendar: Calendar) -> Life:
    first_due = life.billing_day + PAYMENT_TERM_DAYS
    dues = [day for day in range(first_due, calendar.days - 25, INVOICE_DAYS) if day >= CALM_DAYS + 5]
    start = source.choice(dues)
    renewal = start + source.randrange(45, 120)
    story = PlantedStory(
        life.profile.account_id,
        Story.PAYMENT,
        start_ms=calendar.at(start),
        end_ms=calendar.at(min(renewal, calendar.days)),
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=calendar.at(start + 21),
        outcome_at_ms=calendar.day_or_none(renewal),
    )
    return replace(life, story=story, unpaid_from_day=start, renewal_day=renewal, churns=True)


def _ticket_storm(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS + 5, calendar.days - 25)
    renewal = start + source.randrange(45, 120)
    story = PlantedStory(
        life.profile.account_id,
        Story.TICKET_STORM,
        start_ms=calendar.at(start),
        end_ms=calendar.at(start + 12),
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=calendar.at(start + 10),
        outcome_at_ms=calendar.day_or_none(renewal),
    )
    usage = _line(calendar, [(start, 1.0), (start + 3, 0.75), (start + 12, 0.75), (start + 16, 1.0)])
    return replace(life, story=story, usage=usage, storm_day=start, renewal_day=renewal)


def _recovered(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS, calendar.days - 68)
    renewal = start + source.randrange(60, 120)
    story = PlantedStory(
        life.profile.account_id,
        Story.RECOVERED,
        start_ms=calendar.at(start),
        end_ms=calendar.at(start + 40),
        direction="down, then up",
        expects=Expectation.ALERT_THEN_RESOLVE,
        alert_by_ms=calendar.at(start + 32),
        resolve_by_ms=calendar.at(start + 68),
        outcome_at_ms=calendar.day_or_none(renewal),
    )
    usage = _line(calendar, [(start, 1.0), (start + 14, 0.08), (start + 30, 0.08), (start + 40, 1.0)])
    return replace(life, story=story, usage=usage, engagement=usage, renewal_day=renewal)


def _champion(life: Life, source: random.Random, calendar: Calendar) -> Life:
    start = source.randrange(CALM_DAYS + 5, calendar.days - 28)
    renewal = start + source.randrange(45, 120)
    story = PlantedStory(
        life.profile.account_id,
        Story.CHAMPION,
        start_ms=calendar.at(start),
        end_ms=calendar.at(start + 14),
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=calendar.at(start + 21),
        outcome_at_ms=calendar.day_or_none(renewal),
    )
    usage = _line(calendar, [(start, 1.0), (start + 14, 0.7)])
    engagement = _line(calendar, [(start, 1.0), (start + 7, 0.3)])
    return replace(
        life, story=story, usage=usage, engagement=engagement, champion_lost_day=start, renewal_day=renewal, churns=True
    )


PLANNERS: dict[Story, Planner] = {
    Story.GROWTH: _growth,
    Story.RAMP_DOWN: _ramp_down,
    Story.SILENCE: _silence,
    Story.PAYMENT: _payment,
    Story.TICKET_STORM: _ticket_storm,
    Story.RECOVERED: _recovered,
    Story.CHAMPION: _champion,
}
