"""What producers write: events in and out of order, repeated, broken, expired, ahead of time, in the wrong partition.

And now and then somebody publishes another model.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from state.moments import rfc3339
from state.murmur2 import partition_of
from tests.simulation.models import PUBLISHED

DAY_MS = 86_400_000
BROKEN = (b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"id":"x"}', b'{"id":1,"account_id":"a","occurred_at":"yesterday"}')
EVENTS = {
    "usage": ("login", "export", "report"),
    "billing": ("invoice_issued", "invoice_paid", "refund"),
    "support": ("ticket_opened", "ticket_resolved", "csat"),
    "engagement": ("meeting_held", "email_replied"),
}
OUTCOMES = ("renewed", "expanded", "churned")
PUBLISHING = 0.015
DECISIONS = ("acknowledge", "snooze", "resolve")


class Traffic:
    """Writes events until all are written.

    Parameters
    ----------
    brokers
        Where to: `append(topic, partition, message)`, and the `logs` of alerts to decide about.
    chance
        Decides everything.
    wall_ms
        Returns the present wall clock, milliseconds UTC.
    partitions, accounts
        How many there are.
    """

    publishing = PUBLISHING
    """Part of the events before which a model is published."""

    def __init__(
        self, brokers: Any, chance: random.Random, wall_ms: Callable[[], int], partitions: int, accounts: int
    ) -> None:
        self._brokers = brokers
        self._chance = chance
        self._wall_ms = wall_ms
        self._partitions = partitions
        self._accounts = [f"account-{number}" if number % 3 else f"kunde-é{number}" for number in range(accounts)]
        self._number = 0
        self.sent: Counter[str] = Counter()
        """Kind (good, repeated, bad, expired, future) → records written."""

    async def write(self, events: int, seconds: float, sleep: Callable[[float], Any]) -> None:
        """Write some events, spread over some seconds, in bursts."""
        while events > 0:
            burst = min(events, self._chance.choice((1, 1, 2, 5, 20)))
            for _ in range(burst):
                self.write_one()
            events -= burst
            await sleep(burst * self._chance.expovariate(1) * seconds / 200)

    def write_one(self) -> None:
        """Write one event, and its repetition where its producer tries again."""
        chance, draw = self._chance, self._chance.random()
        if chance.random() < self.publishing:
            self.publish()
        topic = chance.choices(
            ("usage", "billing", "support", "engagement", "accounts", "outcomes", "commands"), (50, 12, 12, 6, 8, 1, 8)
        )[0]
        account = chance.choice(self._accounts)
        now = self._wall_ms()
        if draw < 0.04:
            self._append(topic, account, chance.choice(BROKEN), now, "bad")
            return
        late_ms = chance.choice((0, 0, 0, 1, 3_600_000, DAY_MS, 20 * DAY_MS))
        kind, at = "good", now - int(late_ms * chance.random())
        if draw < 0.06:
            kind, at = "expired", now - 120 * DAY_MS
        elif draw < 0.08:
            kind, at = "future", now + DAY_MS
        value = orjson.dumps(self._body(topic, account, at))
        self._append(topic, account, value, now, kind)
        if kind == "good" and chance.random() < 0.1:  # a producer that tries again
            self._append(topic, account, value, now, "repeated")

    def publish(self) -> None:
        """Publish a model, as `bellwether model publish` does: the same record in every partition."""
        value, now = self._chance.choice(PUBLISHED), self._wall_ms()
        for partition in range(self._partitions):
            self._brokers.append("models", partition, (b"simulated", value, (), now))

    def _append(self, topic: str, account: str, value: bytes, now: int, kind: str) -> None:
        chance, key = self._chance, account.encode()
        partition = partition_of(key, self._partitions)
        if chance.random() < 0.05:
            partition = chance.randrange(self._partitions)
        self._brokers.append(topic, partition, (key, value, (), now - chance.choice((0, 0, 1, 500, 60_000))))
        self.sent[kind] += 1

    def _body(self, topic: str, account: str, at_ms: int) -> dict[str, Any]:
        chance = self._chance
        self._number += 1
        body: dict[str, Any] = {"id": f"e{self._number}", "account_id": account, "occurred_at": rfc3339(at_ms)}
        if topic in EVENTS:
            body["event"] = chance.choice(EVENTS[topic])
        if topic == "usage":
            body |= {"quantity": chance.choice((1, 2, 0.5)), "user_id": f"u{chance.randrange(4)}"}
        elif topic == "billing":
            body |= {"invoice_id": f"i{chance.randrange(3)}", "amount": "12.5", "due_at": rfc3339(at_ms)}
        elif topic == "support":
            body["ticket_id"] = f"t{chance.randrange(3)}"
        elif topic == "accounts":
            body |= {
                "owner": chance.choice(("ann", "bob")),
                "segment": chance.choice(("small", "large")),
                "arr": chance.randrange(1_000, 9_000),
                "relationship": {"champion": chance.choice(("active", "at_risk", "missing")), "at": rfc3339(at_ms)},
            }
        elif topic == "outcomes":
            body["outcome"] = chance.choice(OUTCOMES)
        elif topic == "commands":
            body |= self._decision(account, at_ms)
        return body

    def _decision(self, account: str, at_ms: int) -> dict[str, Any]:
        """Return what a person who reads the alerts decides about one."""
        log = self._brokers.logs["alerts", partition_of(account.encode(), self._partitions)]
        read = [record for record in log.committed()[-20:] if record.key == account.encode()]
        alert_id = orjson.loads(self._chance.choice(read).value or b"")["alert_id"] if read else "none"
        decision = {"command": self._chance.choice(DECISIONS), "alert_id": alert_id, "by": "ann"}
        return decision | {"until": rfc3339(at_ms + DAY_MS)}
