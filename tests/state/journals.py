"""Journals for tests: records with offsets, random traffic, and the demo's book as one partition's log."""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from scoring.model import Model
from state.moments import rfc3339
from streams.demo.book import Book
from tests.oracle import alert_id

HOUR, DAY = 3_600_000, 86_400_000
START = 1_772_323_200_000 + 5 * HOUR + 17  # 2026-03-01, not on the grid

Run = tuple[str, list["Entry"]]


class Entry(NamedTuple):
    """One record of an input log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Log:
    """Input logs of one partition being written, and the journal in which they are applied."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.journal: list[Run] = []

    def add(
        self, topic: str, value: bytes | None, at: int, headers: tuple[tuple[str, bytes], ...] = (), gap: int = 0
    ) -> None:
        """Append a record to a topic's log and to the journal; `gap` offsets before it are lost to markers."""
        offset = self.ends.get(topic, 0) + gap
        self.ends[topic] = offset + 1
        if not self.journal or self.journal[-1][0] != topic:
            self.journal.append((topic, []))
        self.journal[-1][1].append(Entry(offset, at, None, value, headers))

    def event(self, topic: str, account: str, at: int, *, written_at: int | None = None, **fields: Any) -> None:
        """Append an event that occurred at `at` and was written then, or at `written_at`."""
        fields.setdefault("id", f"{topic}-{self.ends.get(topic, 0)}")
        if topic in ("usage", "billing", "support", "engagement"):
            fields.setdefault("event", "login")
        body = {"account_id": account, "occurred_at": rfc3339(at), **fields}
        self.add(topic, json.dumps(body).encode(), at if written_at is None else written_at)

    def tick(self, at: int, ends: dict[str, int] | None = None) -> None:
        """Append a tick; by default it waits for all that is written."""
        wanted = {topic: end for topic, end in self.ends.items() if topic != "ticks"} if ends is None else ends
        self.add("ticks", json.dumps({"as_of_ms": at, "ends": wanted}).encode(), at)


def book_journal(seed: int, accounts: int, days: int, tick_hours: int = 7) -> list[Run]:
    """Return the demo's book as a journal with a tick every few hours."""
    log = Log()
    due = 0
    for event in Book(seed, accounts=accounts, days=days).events():
        if event.arrives_at_ms >= due:
            if due:
                log.tick(due)
            due = event.arrives_at_ms // HOUR * HOUR + tick_hours * HOUR
        log.add(event.topic, event.value, event.arrives_at_ms)
    log.tick(due)
    return log.journal


class Traffic:
    """Random traffic of a few accounts: bursts and silences, late events, commands, outcomes, bad records, ticks.

    Parameters
    ----------
    random
        Where chance comes from.
    rules
        Rule names, for the commands' alert ids.
    accounts
        Account ids.
    signals
        Fingerprints that references speak of.
    """

    def __init__(
        self,
        random: Random,
        rules: Sequence[str],
        accounts: Sequence[str] = ("a", "b"),
        signals: Sequence[str] = (),
    ) -> None:
        self.random, self.rules, self.accounts, self.signals = random, rules, accounts, signals
        self.log, self.now = Log(), START

    def journal(self, steps: int) -> list[Run]:
        """Return a journal of so many steps."""
        random = self.random
        pace = random.choice((0.3, 2.0, 12.0, 30.0))  # mean hours between steps
        for _ in range(steps):
            if random.random() < 0.03:
                self.now += random.choice((3, 20, 65, 200)) * DAY
            elif random.random() < 0.1:
                pace = random.choice((0.3, 2.0, 12.0, 30.0))
            self.now += int(random.expovariate(1.0) * pace * HOUR)
            if random.random() < 0.1:
                self.now = (self.now // HOUR + 1) * HOUR  # exactly on the grid
            if random.random() < 0.03:
                self.now = (self.now // DAY + 1) * DAY
            self._step()
        self.log.tick(self.now + random.choice((0, 1, HOUR, 3 * DAY)))
        return self.log.journal

    def _step(self) -> None:  # noqa: C901 - one line per kind of record
        random, log = self.random, self.log
        if random.random() < 0.2:
            self._reference()
        account = random.choice(self.accounts)
        at = self.now
        if random.random() < 0.15:
            at -= int(random.choice((0.01, 1, 20, 60, 89, 90.5, 93)) * DAY * random.uniform(0.9, 1.0))
        elif random.random() < 0.05:
            at += random.choice((60_000, 500_000, 700_000))  # in the future; too far the last
        chance = random.random()
        if chance < 0.45:
            log.event("usage", account, at, written_at=self.now, **self._usage())
        elif chance < 0.60:
            log.event("billing", account, at, written_at=self.now, **self._billing())
        elif chance < 0.70:
            log.event("support", account, at, written_at=self.now, **self._support())
        elif chance < 0.76:
            name = random.choice(("meeting_held", "webinar", "complaint"))
            log.event("engagement", account, at, written_at=self.now, event=name, contact_id=random.choice("xyz"))
        elif chance < 0.82:
            log.event("accounts", account, at, written_at=self.now, **self._attributes())
        elif chance < 0.84:
            outcome = random.choice(("churned", "renewed", "expanded"))
            log.event("outcomes", account, at, written_at=self.now, outcome=outcome)
        elif chance < 0.90:
            log.event("commands", account, at, written_at=self.now, **self._command(account))
        elif chance < 0.91:
            log.add("usage", random.choice((b"{", None, b"[]")), self.now, gap=random.randrange(3))
        else:
            self._tick()

    def _tick(self) -> None:
        ends = None
        if self.random.random() < 0.3:  # it waits for records still to come
            ends = {topic: end + self.random.randrange(4) for topic, end in self.log.ends.items() if topic != "ticks"}
        self.log.tick(self.now - self.random.choice((0, 0, 1, HOUR, DAY)), ends)

    def _reference(self) -> None:
        """Write how busy one day was, or several: of yesterday, late, twice, or broken."""
        random = self.random
        last = self.now // DAY - random.choice((1, 1, 2, 2, 5, 40))
        for day in range(last - random.choice((0, 0, 2, 30, 100)), last + 1):
            totals = {
                signal: {
                    segment: (n := random.choice((0, 3, 40, 900)), int(n * random.choice((0, 100, 700, 1_000, 3_000))))
                    for segment in random.sample(("", "small", "large"), random.randrange(4))
                }
                for signal in self.signals
                if random.random() < 0.9
            }
            value = json.dumps({"kind": random.choice(("reference",) * 9 + ("sums",)), "day": day, "totals": totals})
            self.log.add("cohorts", b"{" if random.random() < 0.02 else value.encode(), self.now)

    def _usage(self) -> dict[str, Any]:
        random = self.random
        fields: dict[str, Any] = {
            "event": random.choice(("login", "export", "report")),
            "user_id": random.choice("uvwxyz"),
        }
        if random.random() < 0.2:
            fields["quantity"] = random.choice((0, 0.5, 3, "2.125", 100))
        if random.random() < 0.1:
            fields["id"] = f"again-{random.randrange(3)}"
        return fields

    def _billing(self) -> dict[str, Any]:
        random = self.random
        name = random.choice(("invoice_issued", "invoice_paid", "payment_failed", "purchase", "refund", "changed"))
        fields: dict[str, Any] = {"event": name, "invoice_id": f"i{random.randrange(4)}"}
        if random.random() < 0.7:
            fields["amount"] = f"{random.randrange(10_000)}.{random.randrange(100):02d}"
        if random.random() < 0.4:
            fields["due_at"] = rfc3339(self.now + random.randrange(-5, 30) * DAY)
        if random.random() < 0.2:
            fields |= {"seats": random.randrange(8), "mrr": random.randrange(5000)}
        return fields

    def _support(self) -> dict[str, Any]:
        random = self.random
        names = ("ticket_opened", "ticket_resolved", "ticket_reopened", "ticket_escalated", "nps")
        fields: dict[str, Any] = {"event": random.choice(names), "ticket_id": f"t{random.randrange(3)}"}
        if random.random() < 0.6:
            fields["severity"] = random.choice(("low", "normal", "high", "critical"))
        if fields["event"] == "nps":
            fields["score"] = random.choice((-3, 0, 9.5))
        return fields

    def _attributes(self) -> dict[str, Any]:
        random = self.random
        fields: dict[str, Any] = {
            "arr": random.choice((None, 1200, "99.5")),
            "expected_uplift": random.choice((None, 300)),
            "engagement_cost": random.choice((None, "12.25")),
            "seats": random.choice((None, 1, 5)),
            "contract_start": random.choice((None, rfc3339(self.now - 100 * DAY))),
            "renewal_at": rfc3339(self.now + random.randrange(-3, 200) * DAY),
            "contacts": random.randrange(4),
            "strategic_fit": random.choice((0.0, 0.3333333, 1.0)),
            "owner": random.choice(("ann", "bob")),
            "segment": random.choice((None, "small", "large", "other")),
            "relationship": random.choice(
                (
                    None,
                    {"champion": "missing", "executive": "active"},
                    {"champion": "active", "at": rfc3339(self.now - random.randrange(120) * DAY)},
                    {"champion": None, "outcome": "developing"},
                )
            ),
        }
        chosen = random.sample(sorted(fields), random.randrange(1, 5))
        return {name: fields[name] for name in chosen}

    def _command(self, account: str) -> dict[str, Any]:
        random = self.random
        command = random.choice(("acknowledge", "snooze", "resolve", "override", "note", "step_done", "outreach"))
        fields: dict[str, Any] = {"command": command, "by": "ann"}
        if command == "override":
            fields["health"] = random.choice((0, 35.5, 55, 90))
        if random.random() < 0.8:
            fields["until"] = rfc3339(self.now + random.choice((HOUR // 3, 5 * HOUR, 4 * DAY, 40 * DAY)))
        if command != "override" and self.rules:
            fields["alert_id"] = alert_id(account, random.choice(self.rules), random.randrange(1, 4))
        if command == "outreach" and random.random() < 0.5:
            fields.pop("alert_id", None)  # of the account as a whole
        if command == "step_done" and random.random() < 0.8:
            fields["step"] = "ring"
        return fields


def signals_of(model: Model) -> list[str]:
    """Return the fingerprints of a model's signals."""
    return [signal.fingerprint for signal in model.signals]


def cut(journal: Sequence[Run], random: Random, longest: int) -> Iterator[Run]:
    """Yield the same journal in runs of random lengths up to `longest`."""
    for topic, records in journal:
        start = 0
        while start < len(records):
            size = random.randint(1, longest)
            yield topic, list(records[start : start + size])
            start += size
