"""W1 computed plainly: every day of every account is kept, and every window is added up anew at every event.

It shares nothing with the peers but the formula's text in the issue it was written from, and is far too slow to be a
scorer; that is its point.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from streams.bench.workload import DAY_MS, Line

USE = ("login", "feature_used", "report_run")


def alerts(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Return the alerts of events in time order."""
    days: dict[str, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    bands: dict[str, str] = {}
    found = []
    for line in lines:
        event = orjson.loads(line.value)
        account, today = line.account_id, line.timestamp_ms // DAY_MS
        own = days[account]
        own[today][event["event"]] += event["quantity"]

        def total(kinds: Iterable[str], window: int, own: dict[int, dict[str, int]] = own, today: int = today) -> int:
            return sum(
                own[day].get(kind, 0) for day in range(today - window + 1, today + 1) if day in own for kind in kinds
            )

        u7, u30 = total(USE, 7), total(USE, 30)
        plain = 50 + 30 * math.tanh(math.log((1 + u7 * 30 / 7) / (1 + u30)))
        plain -= 8 * total(["payment_failed"], 30) + 3 * total(["ticket_opened"], 14)
        score = max(0.0, min(100.0, plain))
        before = bands.get(account)
        after = bands[account] = _band(score, before)
        if before is not None and before != after:
            found.append(
                {
                    "account_id": account,
                    "event_id": event["id"],
                    "from_band": before,
                    "to_band": after,
                    "score": round(score, 6),
                    "occurred_at": event["occurred_at"],
                }
            )
    return found


def _band(score: float, before: str | None) -> str:
    if before == "red" and score < 43:
        return "red"
    if before == "yellow" and 37 <= score < 68:
        return "yellow"
    if before == "green" and score >= 62:
        return "green"
    if score < 40:
        return "red"
    return "yellow" if score < 65 else "green"
