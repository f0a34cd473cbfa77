"""Workload W1: product events of 120 days, half of them spread evenly over the accounts, half by a steep power law.

The busiest account has 27 % of the events, so one partition has about 40 %. The same numbers give the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.moments import rfc3339

DAY_MS: Final = 86_400_000
START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
PARETO: Final = 1.1
USERS: Final = 50
TOPICS: Final = ("usage", "billing", "support")
KINDS: Final = (
    ("login", 0.40, "usage"),
    ("feature_used", 0.35, "usage"),
    ("report_run", 0.20, "usage"),
    ("payment_failed", 0.02, "billing"),
    ("ticket_opened", 0.03, "support"),
)
"""Event, its share of all events, its topic."""


class Line(NamedTuple):
    """One event to be produced.

    Parameters
    ----------
    topic
        Input topic.
    account_id
        Its key.
    timestamp_ms
        Record timestamp and ``occurred_at``, milliseconds UTC.
    value
        The JSON bytes, about 160.
    """

    topic: str
    account_id: str
    timestamp_ms: int
    value: bytes


@dataclass(frozen=True)
class Workload:
    """Events in time order.

    Parameters
    ----------
    events
        How many, ≥ 1.
    accounts
        How many accounts, ≥ 1.
    start_ms, span_ms
        The events' times lie in ``[start, start + span)``, milliseconds UTC.
    skewed_ratio
        Share of events whose account follows the power law, 0-1.
    seed
        Of the random numbers.
    """

    events: int = 600_000
    accounts: int = 20_000
    start_ms: int = START_MS
    span_ms: int = 120 * DAY_MS
    skewed_ratio: float = 0.5
    seed: int = 1

    @property
    def end_ms(self) -> int:
        """End of the time span, milliseconds UTC."""
        return self.start_ms + self.span_ms

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """Index into `KINDS`, one an event."""
        shares = [share for _, share, _ in KINDS]
        return np.random.default_rng([self.seed, 1]).choice(len(KINDS), self.events, p=shares)

    def count(self, topic: str) -> int:
        """Return how many of the events go to `topic`."""
        return int(np.isin(self.kinds, [k for k, kind in enumerate(KINDS) if kind[2] == topic]).sum())

    def lines(self) -> Iterator[Line]:
        """Yield the events in time order."""
        random = np.random.default_rng([self.seed, 2])
        times = self.start_ms + np.sort(random.integers(0, self.span_ms, self.events))
        columns = zip(
            self.kinds.tolist(),
            self._accounts(random).tolist(),
            random.integers(0, USERS, self.events).tolist(),
            random.integers(1, 9, self.events).tolist(),
            times.tolist(),
            strict=True,
        )
        identity = random.bytes(16 * self.events).hex()
        for k, (kind, account, user, quantity, at_ms) in enumerate(columns):
            event, _, topic = KINDS[kind]
            account_id = f"acct-{account:06d}"
            text = (
                f'{{"id":"{identity[32 * k : 32 * k + 32]}","account_id":"{account_id}","user_id":"u{account}-{user}",'
                f'"event":"{event}","quantity":{quantity},"occurred_at":"{rfc3339(at_ms)}"}}'
            )
            yield Line(topic, account_id, at_ms, text.encode())

    def _accounts(self, random: np.random.Generator) -> NDArray[np.int64]:
        even = random.integers(0, self.accounts, self.events)
        steep = (random.pareto(PARETO, self.events)).astype(np.int64) % self.accounts
        return np.where(random.random(self.events) < self.skewed_ratio, steep, even)
