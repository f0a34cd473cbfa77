"""Broken events that a real source sends now and then; every one of them belongs into the dead letters."""

import random
from collections.abc import Callable

from streams.demo.accounts import Profile
from streams.demo.event import Event, event, instant
from streams.demo.stories import Calendar
from streams.demo.truth import DAY_MS

ACCOUNT_DAYS_PER_BAD_EVENT = 6_000  # 40 in a book of 2 000 accounts and 120 days: far below the poison limit

Break = Callable[[Event], Event]


def _wrong_type(found: Event) -> Event:
    return found._replace(value=found.value.replace(b'"quantity":1', b'"quantity":["many"]'))


def _missing_time(found: Event) -> Event:
    return found._replace(value=found.value.replace(b'"occurred_at"', b'"happened"'))


def _broken_json(found: Event) -> Event:
    return found._replace(value=found.value[: len(found.value) // 2])


def _not_a_number(found: Event) -> Event:
    return found._replace(value=found.value.replace(b'"quantity":1', b'"quantity":NaN'))


def _negative_quantity(found: Event) -> Event:
    return found._replace(value=found.value.replace(b'"quantity":1', b'"quantity":-3'))


def _invalid_text(found: Event) -> Event:
    return found._replace(value=found.value.replace(b"report_run", b"report\xff\xfe"))


def _unknown_outcome(found: Event) -> Event:
    body = {"id": f"bad-outcome-{found.arrives_at_ms}", "outcome": "maybe"}
    return event("outcomes", found.account_id, found.occurred_at_ms, body)


def _unknown_severity(found: Event) -> Event:
    body = {"id": f"bad-severity-{found.arrives_at_ms}", "event": "ticket_opened", "severity": "sev-9"}
    return event("support", found.account_id, found.occurred_at_ms, body)


def _bad_amount(found: Event) -> Event:
    body = {"id": f"bad-amount-{found.arrives_at_ms}", "event": "invoice_paid", "amount": "twelve", "invoice_id": "i-0"}
    return event("billing", found.account_id, found.occurred_at_ms, body)


def _moved(found: Event, days: int) -> Event:
    at_ms = found.occurred_at_ms + days * DAY_MS
    written = found.value.replace(instant(found.occurred_at_ms).encode(), instant(at_ms).encode())
    return found._replace(value=written, occurred_at_ms=at_ms)


def _future(found: Event) -> Event:
    return _moved(found, 2)


def _expired(found: Event) -> Event:
    return _moved(found, -120)


BREAKS: dict[str, Break] = {
    "wrong type": _wrong_type,
    "missing time": _missing_time,
    "broken json": _broken_json,
    "not a number": _not_a_number,
    "negative quantity": _negative_quantity,
    "invalid utf-8": _invalid_text,
    "unknown outcome": _unknown_outcome,
    "unknown severity": _unknown_severity,
    "bad amount": _bad_amount,
    "future": _future,
    "expired": _expired,
}


def bad_events(profiles: list[Profile], seed: int, calendar: Calendar) -> list[Event]:
    """Return the broken events of a book: every kind at least once, spread over accounts and days.

    Parameters
    ----------
    profiles
        The customers. The events carry the ids of random ones and leave them untouched, being rejected.
    seed
        The book's seed.
    calendar
        The days of the book.
    """
    source = random.Random(f"{seed}/faults")
    count = max(len(BREAKS), len(profiles) * calendar.days // ACCOUNT_DAYS_PER_BAD_EVENT)
    kinds = list(BREAKS)
    result = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        account_id = source.choice(profiles).account_id
        at_ms = calendar.at(source.uniform(1.0, calendar.days - 1.0))
        fields = {"id": f"bad-{number}", "event": "report_run", "quantity": 1, "source": "product"}
        result.append(BREAKS[kind](event("usage", account_id, at_ms, fields))._replace(fault=f"bad: {kind}"))
    return result
