"""What the peers are judged by: the oracle by hand, and their ring against it."""

from datetime import UTC, datetime

import orjson

from streams.bench.workload import START_MS, Line, Workload
from tests.bench import oracle
from tests.bench.peers.w1 import advance, band_of

DAY_MS = 86_400_000


def line(day: int, event: str, quantity: int) -> Line:
    """Return an event of the account "a" at noon."""
    at_ms = START_MS + day * DAY_MS + DAY_MS // 2
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
    value = {"id": f"{day}", "account_id": "a", "event": event, "quantity": quantity, "occurred_at": at}
    return Line("usage", "a", at_ms, orjson.dumps(value))


def test_the_oracle_follows_the_formula() -> None:
    """Worked out by hand: one use is 50 + 30 tanh(ln((1 + 30/7) / 2)) = 72.5, one failed payment costs 8, yellow is left above 68."""
    lines = [line(0, "login", 1), line(1, "payment_failed", 1), line(2, "login", 2), line(3, "ticket_opened", 8)]
    found = oracle.alerts(lines)
    # 72.49 green | 64.49, inside the gap | tanh(ln(x)) = (x² - 1) / (x² + 1), x = (1 + 3 * 30/7) / 4: 67.39 | 24 less
    assert [(alert["event_id"], alert["from_band"], alert["to_band"]) for alert in found] == [("3", "green", "yellow")]
    assert found[0]["score"] == 43.385068


def test_a_band_is_left_beyond_its_gap_only() -> None:
    """Below low - 3 or at high + 3, and then the plain band counts."""
    assert [band_of(score, "yellow") for score in (37, 36.99, 67.99, 68)] == ["yellow", "red", "yellow", "green"]
    assert [band_of(score, None) for score in (39.99, 40, 65)] == ["red", "yellow", "green"]
    assert band_of(42.99, "red") == "red"
    assert band_of(62, "green") == "green"
    assert band_of(61.99, "green") == "yellow"


def test_the_ring_gives_the_oracles_alerts() -> None:
    """Over 120 days, so that every window has been left, and for busy and quiet accounts."""
    lines = list(Workload(events=20_000, accounts=400).lines())
    rings = {}
    found = []
    for each in lines:
        rings[each.account_id], alert = advance(rings.get(each.account_id), orjson.loads(each.value))
        found += [alert] if alert else []
    wanted = oracle.alerts(lines)
    assert len(wanted) > 1_000
    assert found == wanted
