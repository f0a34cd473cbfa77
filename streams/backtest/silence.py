"""What a silence is: which events break it, between which instants it decides a prediction, and when it has been reached.

Histories and running applications ask here, so that both mean the same.

as of        horizon
  T |------------------------| T + h          reached where [T + h - D, T + h) holds no such event;
          |--- duration D ---|                with D = h: nothing after T
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np

from scoring.arrays import Ints

SILENT: Final = "silent"
"""Kind of the outcome of an account that reached its silence."""
RETURNED: Final = "returned"
"""Kind of the outcome of one whose silence is not complete: it last spoke then."""

Instant = TypeVar("Instant", int, Ints)


class Moment(NamedTuple):
    """An outcome: whose, when (milliseconds UTC), and of which kind (`SILENT` and `RETURNED` are those of a silence)."""

    account: str
    at_ms: int
    kind: str


@dataclass(frozen=True, slots=True)
class Silence:
    """No event of a topic (of that name, where one is given) for a time.

    Parameters
    ----------
    topic, event
        What is listened for; "" = any event of the topic.
    duration_ms
        > 0, milliseconds.
    """

    topic: str
    event: str
    duration_ms: int

    def is_broken_by(self, event: str) -> bool:
        """Return whether an event of the topic is one that is listened for."""
        return self.event in ("", event)

    def span(self, at_ms: Instant, horizon_ms: int) -> tuple[Instant, Instant]:
        """Return the first instant that decides a prediction, ms, and the first that does not any more."""
        until = at_ms + horizon_ms
        return until - self.duration_ms, until

    def moment(self, account: str, last_ms: int, end_ms: int) -> Moment:
        """Return what became of an account that last spoke then, as far as is known at `end_ms`."""
        silent_ms = last_ms + self.duration_ms
        return Moment(account, silent_ms, SILENT) if silent_ms <= end_ms else Moment(account, last_ms, RETURNED)


TIME_BITS: Final = 42
"""Milliseconds of 139 years; the bits above hold a number of an account."""
MOST_ACCOUNTS: Final = 1 << (62 - TIME_BITS)


def counted(keys: Ints, numbers: Ints, since_ms: Ints, until_ms: Ints) -> Ints:
    """Return how many events each account had in [since, until), int64 [row].

    Parameters
    ----------
    keys
        int64, sorted: an account's number above the `TIME_BITS` of an instant, one for each event.
    numbers
        int64 [row], of the account, 0 to `MOST_ACCOUNTS`; -1 = of none that ever had an event.
    """
    first, end = (
        np.searchsorted(keys, (numbers << TIME_BITS) + np.maximum(at_ms, 0)) for at_ms in (since_ms, until_ms)
    )
    return np.where(numbers >= 0, end - first, 0)
