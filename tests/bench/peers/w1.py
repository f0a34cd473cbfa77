"""Workload W1 as the peers do it: what an account holds, and what an event of it comes to.

Only the standard library, for it runs in the peers' own environment. An account holds the days of the last 90 that had
events (a sparse ring) and the sums of its windows, so an event costs one addition a window and a new day one subtraction
for each day that left one. A day is the ordinal of its UTC date.
"""

from datetime import date
from functools import cache
from math import log, tanh
from typing import Any

KINDS = {"login": 0, "feature_used": 1, "report_run": 2, "payment_failed": 3, "ticket_opened": 4}
WINDOWS = (7, 14, 30, 90)
"""Days. The score reads a few of the sums only; all are kept, as a model of today has tomorrow's signals."""
BANDS = (("red", 0.0, 40.0), ("yellow", 40.0, 65.0), ("green", 65.0, 200.0))
"""Name, from, below."""
GAP = 3.0
"""Points beyond its band's limits that a score must go before the band is left."""

N = len(KINDS)
OUTSIDE = list(enumerate(WINDOWS))
Ring = list[Any]
"""``[day, band or None, days, sums, firsts]``, plain values, so that any store takes it: days as ``[day, N sums]``, oldest
first; sums flat by window and kind; for each window how many of the days have left it."""


@cache
def ordinal(text: str) -> int:
    """Return the day of ``YYYY-MM-DD``; a worker meets each day many times."""
    return date.fromisoformat(text).toordinal()


def band_of(score: float, held: str | None) -> str:
    """Return the band; the one that is held is left only beyond its gap."""
    plain = "green"
    for name, low, high in BANDS:
        if name == held and low - GAP <= score < high + GAP:
            return name
        if low <= score < high:
            plain = name
    return plain


def advance(ring: Ring | None, event: dict[str, Any]) -> tuple[Ring, dict[str, Any] | None]:
    """Add an event to an account's ring, which is changed in place.

    Returns
    -------
    tuple
        The ring, and the alert when the band changed.
    """
    at = event["occurred_at"]
    day = ordinal(at[:10])
    if ring is None:
        ring = [0, None, [], [0] * (N * len(WINDOWS)), [0] * len(WINDOWS)]
    if day > ring[0]:
        _open_day(ring, day)
    kind, quantity = KINDS[event["event"]], event["quantity"]
    ring[2][-1][1 + kind] += quantity
    sums = ring[3]
    sums[kind] += quantity
    sums[kind + 5] += quantity
    sums[kind + 10] += quantity
    sums[kind + 15] += quantity
    recent, habit = sums[0] + sums[1] + sums[2], sums[10] + sums[11] + sums[12]
    trend = 30 * tanh(log((1 + recent * 30 / 7) / (1 + habit)))
    score = min(100.0, max(0.0, 50 + trend - 8 * sums[13] - 3 * sums[9]))
    held = ring[1]
    band = ring[1] = band_of(score, held)
    if held is None or band == held:
        return ring, None
    return ring, {
        "account_id": event["account_id"],
        "event_id": event["id"],
        "from_band": held,
        "to_band": band,
        "score": round(score, 6),
        "occurred_at": at,
    }


def _open_day(ring: Ring, day: int) -> None:
    """Open a day: what left a window leaves its sums, what left the longest is forgotten."""
    _, _, days, sums, firsts = ring
    ring[0] = day
    for w, length in OUTSIDE:
        first = firsts[w]
        while first < len(days) and days[first][0] <= day - length:
            left = days[first]
            for kind in range(N):
                sums[w * N + kind] -= left[1 + kind]
            first += 1
        firsts[w] = first
    if gone := firsts[-1]:
        del days[:gone]
        ring[4] = [first - gone for first in firsts]
    days.append([day, 0, 0, 0, 0, 0])
