"""The slow traffic of one account: its record, invoices, tickets, meetings and outcome, as its life has them."""

import math
import random
from collections.abc import Iterator
from typing import Any

from streams.demo.accounts import account_source
from streams.demo.event import Event, event, instant
from streams.demo.stories import INVOICE_DAYS, PAYMENT_TERM_DAYS, Calendar, Life
from streams.demo.truth import DAY_MS, Story

TICKETS_PER_DAY = {"enterprise": 0.06, "mid-market": 0.02, "small-business": 0.008}
SEVERITIES = (("low", 0.45), ("normal", 0.38), ("high", 0.14), ("critical", 0.03))
RESOLVE_HOURS = {"low": 30.0, "normal": 20.0, "high": 10.0, "critical": 5.0}  # medians
FAILED_PAYMENT_DAYS = (0.3, 3.3, 7.3, 12.3)  # a card is tried again this many days after the due date
SMALL_FACTOR = 0.15  # of ordinary tickets and meetings, in accounts with very few events

Step = tuple[str, float, dict[str, Any]]  # event name, day, fields


def routine(life: Life, seed: int, calendar: Calendar) -> list[Event]:
    """Return the slow events of one account inside the book, in no particular order.

    Parameters
    ----------
    life
        What happens to the account.
    seed
        The book's seed.
    calendar
        The days of the book.
    """
    account_id = life.profile.account_id
    closing_day = calendar.days if life.closing_day is None else min(life.closing_day, calendar.days)
    end_ms = calendar.at(closing_day)
    parts = (
        _relationship(life, account_source(seed, account_id, "relationship"), calendar),
        _invoices(life, account_source(seed, account_id, "invoices"), calendar),
        _tickets(life, account_source(seed, account_id, "tickets"), calendar),
        _meetings(life, account_source(seed, account_id, "meetings"), calendar),
    )
    during = [found for part in parts for found in part if found.occurred_at_ms < end_ms]
    return [_record(life, calendar), *during, *_outcome(life, calendar)]


# --- the account record


def _record(life: Life, calendar: Calendar) -> Event:
    profile = life.profile
    fields = {
        "name": profile.name,
        "owner": profile.owner,
        "segment": profile.segment.name,
        "plan": profile.segment.plan,
        "industry": profile.industry,
        "region": profile.region,
        "arr": profile.arr,
        "currency": profile.currency,
        "seats": profile.seats,
        "contract_start": instant(calendar.at(profile.contract_day)),
        "renewal_at": instant(calendar.at(life.renewal_day)),
        "contacts": profile.contacts,
    }
    # One millisecond apart: a nightly export from the customer database.
    return event("accounts", profile.account_id, calendar.start_ms + profile.index, fields)


def _relationship(life: Life, source: random.Random, calendar: Calendar) -> Iterator[Event]:
    """Yield what the owner notes about the people: on the first day, then again before it grows stale, mostly."""
    champion, executive, outcome = "active", "active", "defensible"
    if life.story is None:
        champion = source.choices(("active", "at_risk"), (0.92, 0.08))[0]
        executive = source.choices(("active", "lapsed", "none"), (0.75, 0.2, 0.05))[0]
        outcome = source.choices(("defensible", "developing"), (0.6, 0.4))[0]
    day = source.uniform(0.3, 0.8)
    while day < calendar.days:
        lost = life.champion_lost_day
        if lost is None or day < lost:
            yield _note(life, calendar.at(day), {"champion": champion, "executive": executive, "outcome": outcome})
        day += source.uniform(40.0, 80.0) if source.random() < 0.8 else source.uniform(80.0, 140.0)
    if life.champion_lost_day is not None:
        yield _note(life, calendar.at(life.champion_lost_day + 0.4), {"champion": "missing"})


def _note(life: Life, at_ms: int, overlay: dict[str, str]) -> Event:
    relationship = {**overlay, "by": life.profile.owner, "at": instant(at_ms)}
    return event("accounts", life.profile.account_id, at_ms, {"relationship": relationship})


def _outcome(life: Life, calendar: Calendar) -> list[Event]:
    """Return what the renewal day brings: the end, or another year (and more seats after a healthy growth)."""
    at_ms = calendar.day_or_none(life.renewal_day)
    if at_ms is None:
        return []
    account_id = life.profile.account_id
    amount = f"{life.profile.arr}.00"
    noon_ms = at_ms + DAY_MS // 2
    if life.churns:
        return [event("outcomes", account_id, at_ms, {"id": f"o-{account_id}", "outcome": "churned", "amount": amount})]
    grown = life.story is not None and life.story.story is Story.GROWTH
    outcome = {"id": f"o-{account_id}", "outcome": "expanded" if grown else "renewed", "amount": amount}
    return [
        event("outcomes", account_id, noon_ms, outcome),
        event("accounts", account_id, noon_ms, {"renewal_at": instant(calendar.at(life.renewal_day + 365))}),
    ]


# --- billing


def _invoices(life: Life, source: random.Random, calendar: Calendar) -> Iterator[Event]:
    account_id = life.profile.account_id
    amount = f"{life.profile.arr / 12:.2f}"
    for number, day in enumerate(range(life.billing_day, calendar.days, INVOICE_DAYS)):
        shared = {"invoice_id": f"i-{account_id}-{number}", "amount": amount, "currency": life.profile.currency}
        due = day + PAYMENT_TERM_DAYS
        issued = {"id": f"b-{account_id}-{number}-issued", "event": "invoice_issued", **shared}
        yield event("billing", account_id, calendar.at(day + 0.1), {**issued, "due_at": instant(calendar.at(due))})
        if life.unpaid_from_day is not None and due >= life.unpaid_from_day:
            for attempt, after in enumerate(FAILED_PAYMENT_DAYS):
                failed = {"id": f"b-{account_id}-{number}-failed-{attempt}", "event": "payment_failed", **shared}
                yield event("billing", account_id, calendar.at(due + after), failed)
            continue
        days_late = _days_late(life, number, source)
        paid_day = due + days_late if days_late else due - source.uniform(0.5, PAYMENT_TERM_DAYS - 1.0)
        paid = {"id": f"b-{account_id}-{number}-paid", "event": "invoice_paid", **shared}
        yield event("billing", account_id, calendar.at(paid_day), paid)


def _days_late(life: Life, number: int, source: random.Random) -> float:
    if number == life.late_invoice:
        return source.uniform(3.0, 9.0)
    return source.uniform(0.2, 3.0) if source.random() < 0.03 else 0.0


# --- support


def _tickets(life: Life, source: random.Random, calendar: Calendar) -> Iterator[Event]:
    rate = TICKETS_PER_DAY[life.profile.segment.name] * (SMALL_FACTOR if life.profile.is_small else 1.0)
    number = 0
    day = source.expovariate(rate)
    while day < calendar.days:
        if source.random() < life.usage[int(day)]:
            severity = source.choices([name for name, _ in SEVERITIES], [share for _, share in SEVERITIES])[0]
            hours = RESOLVE_HOURS[severity] * math.exp(0.7 * source.gauss(0.0, 1.0))
            yield from _ticket(life, calendar, source, number, severity, day, hours / 24.0)
            number += 1
        day += source.expovariate(rate)
    if life.burst_day is not None:
        for position in range(3):
            opened = life.burst_day + source.uniform(0.3, 2.0)
            severity = source.choice(("low", "normal"))
            yield from _ticket(life, calendar, source, number + position, severity, opened, source.uniform(0.3, 1.2))
    if life.storm_day is not None:
        yield from _storm(life, calendar, source, number)


def _ticket(
    life: Life, calendar: Calendar, source: random.Random, number: int, severity: str, opened: float, days: float
) -> Iterator[Event]:
    """Yield the course of one ordinary ticket."""
    account_id = life.profile.account_id
    ticket_id = f"t-{account_id}-{number}"
    shared = {"ticket_id": ticket_id, "severity": severity}
    steps: list[Step] = [("ticket_opened", opened, shared), ("ticket_resolved", opened + days, shared)]
    if source.random() < 0.4:
        steps.append(("ticket_updated", opened + days * source.uniform(0.2, 0.8), shared))
    if source.random() < 0.35:
        score = source.choices((5, 4, 3, 2), (0.5, 0.32, 0.12, 0.06))[0]
        steps.append(("csat", opened + days + source.uniform(0.05, 1.0), {"score": score, "ticket_id": ticket_id}))
    for name, day, fields in steps:
        body = {"id": f"s-{account_id}-{number}-{name}", "event": name, **fields}
        yield event("support", account_id, calendar.at(day), body)


def _storm(life: Life, calendar: Calendar, source: random.Random, first_number: int) -> Iterator[Event]:
    """Yield five to seven grave tickets within four days that stay open for about twelve, with escalations."""
    assert life.storm_day is not None, "called for accounts with a storm only"
    account_id = life.profile.account_id
    for number in range(first_number, first_number + source.randint(5, 7)):
        severity = source.choices(("critical", "high"), (0.7, 0.3))[0]
        ticket_id = f"t-{account_id}-{number}"
        opened = life.storm_day + source.uniform(0.3, 4.0)
        resolved = life.storm_day + source.uniform(11.0, 13.0)
        steps: list[Step] = [
            ("ticket_opened", opened, {"severity": severity}),
            ("ticket_escalated", opened + source.uniform(0.5, 2.0), {"severity": severity}),
            ("ticket_updated", opened + source.uniform(2.0, 5.0), {"severity": severity}),
            ("ticket_resolved", resolved, {"severity": severity}),
            ("csat", resolved + source.uniform(0.1, 1.0), {"score": source.choice((1, 1, 2))}),
        ]
        for name, day, fields in steps:
            body = {"id": f"s-{account_id}-{number}-{name}", "event": name, "ticket_id": ticket_id, **fields}
            yield event("support", account_id, calendar.at(day), body)


# --- engagement


def _meetings(life: Life, source: random.Random, calendar: Calendar) -> Iterator[Event]:
    slower = 1.0 / SMALL_FACTOR if life.profile.is_small else 1.0
    kinds = [
        ("meeting_held", life.profile.segment.meeting_days),
        ("review_attended", 90.0),
        ("email_replied", 14.0),
        ("email_clicked", 25.0),
        ("webinar", 90.0),
    ]
    if life.story is not None and life.story.story is Story.GROWTH:
        kinds.append(("pricing_page", 20.0))
    for name, mean_days in kinds:
        day = source.expovariate(1.0 / (mean_days * slower))
        while day < calendar.days:
            yield from _touch(life, source, calendar, name, day)
            day += source.expovariate(1.0 / (mean_days * slower))


def _touch(life: Life, source: random.Random, calendar: Calendar, name: str, day: float) -> Iterator[Event]:
    """Yield one touch; a meeting that does not take place is a missed one, another touch is just absent."""
    factor = float(life.engagement[int(day)])
    takes_place = source.random() < factor
    if not takes_place and name != "meeting_held":
        return
    account_id = life.profile.account_id
    at_ms = calendar.at(day)
    fields: dict[str, Any] = {
        "id": f"e-{account_id}-{at_ms}-{name}",
        "event": name if takes_place else "meeting_missed",
        "contact_id": f"{account_id}-c1",
    }
    if name == "email_replied":
        fields["response_hours"] = round(8.0 * math.exp(0.8 * source.gauss(0.0, 1.0)) / max(factor, 0.2), 1)
    yield event("engagement", account_id, at_ms, fields)
