"""What the presets for shops and for sales are there for, planted and seen; `saas-renewal` has a whole book of stories."""

from collections.abc import Iterable, Iterator
from typing import Any

from scoring.presets import load_model
from tests.state.journals import DAY, HOUR, START, Log
from tests.state.scored import told

Happened = tuple[float, str, str, dict[str, Any]]
"""Day, account, topic, and the event's other fields."""


def seen(preset: str, lives: Iterable[Happened], days: int) -> dict[str, list[dict[str, Any]]]:
    """Return account → its alert records under a preset, in order, after so many days."""
    log = Log()
    for day, account, topic, fields in sorted(lives, key=lambda one: one[:3]):
        log.event(topic, account, START + round(day * DAY), **fields)
    log.tick(START + days * DAY)
    found: dict[str, list[dict[str, Any]]] = {}
    for *_, record in told(load_model(preset), log):
        found.setdefault(record["account_id"], []).append(record)
    return found


def plays(records: list[dict[str, Any]]) -> list[str]:
    """Return the playbooks of alerts that began, in order."""
    return [record["next_step"]["playbook"] for record in records if record["state"] == "firing"]


def purchases(account: str, days: Iterable[int]) -> Iterator[Happened]:
    """Yield a purchase on each of some days."""
    for day in days:
        yield day, account, "billing", {"event": "purchase", "amount": 40}


def test_a_customer_who_lapses_is_won_back_and_a_regular_one_left_alone() -> None:
    """Weekly buyers: one stops and is to be reactivated, later won back, and is back; one goes on and nobody hears of it."""
    lives = [*purchases("lapses", range(0, 84, 7)), *purchases("lapses", range(300, 360, 5))]
    lives += purchases("regular", range(0, 360, 7))
    found = seen("ecommerce-rfm", lives, 360)
    assert "regular" not in found
    asked = plays(found["lapses"])
    assert asked.index("reactivation") < asked.index("win-back")
    open_at_last = {record["alert_id"]: record["state"] for record in found["lapses"]}
    assert set(open_at_last.values()) == {"resolved"}


def test_nobody_is_written_to_too_often() -> None:
    """Two campaigns in a fortnight, or two messages in a month: the alert stands, and its step says that it is enough."""
    lives = [
        *purchases("mailed", range(0, 84, 7)),
        *purchases("asked", range(0, 84, 7)),
        *purchases("free", range(0, 84, 7)),
    ]
    lives += [(88.0 + k, "mailed", "engagement", {"event": "campaign_sent"}) for k in range(10)]
    lives += [(85.0 + k, "asked", "commands", {"command": "outreach", "by": "ann"}) for k in range(2)]
    found = seen("ecommerce-rfm", lives, 130)
    first = {account: next(r for r in records if r["state"] == "firing") for account, records in found.items()}
    assert {account: record["next_step"]["playbook"] for account, record in first.items()} == dict.fromkeys(
        ("mailed", "asked", "free"), "reactivation"
    )
    assert {account: record["next_step"].get("suppressed") for account, record in first.items()} == {
        "mailed": ["campaigned"],
        "asked": ["enough-contact"],
        "free": None,
    }


def busy(account: str, days: Iterable[int]) -> Iterator[Happened]:
    """Yield a day's work of an account that means it: four colleagues, an answer, and every fifth day a demo."""
    for day in days:
        yield day + 0.3, account, "engagement", {"event": "demo_requested" if day % 5 == 0 else "email_replied"}
        for user in range(4):
            yield day + 0.4 + user * HOUR / DAY, account, "usage", {"user_id": f"u{user}"}


def test_who_crosses_the_threshold_gets_a_person_and_who_falls_back_does_not() -> None:
    """Cold, then busy for six weeks, then quiet: high touch once, nurture once it fell back; one person's busy day changes nothing."""
    lives = list(busy("grows", range(60, 102, 2)))
    for hour in range(24):
        lives.append((70 + hour / 24, "curious", "usage", {"user_id": "u0"}))
        lives.append((70 + hour / 24, "curious", "engagement", {"event": "email_opened"}))
    for account in ("grows", "curious"):
        lives += [(float(day), account, "engagement", {"event": "email_opened"}) for day in range(0, 60, 20)]
        lives += [(0.0, account, "usage", {"user_id": "u0"}), (0.0, account, "accounts", {"strategic_fit": 0.6})]
    found = seen("b2b-lifecycle", lives, 160)
    assert "ready" not in {record["rule"] for record in found.get("curious", [])}
    began = [(r["rule"], r["next_step"]["playbook"]) for r in found["grows"] if r["state"] == "firing"]
    assert began.count(("ready", "high-touch")) == 1
    assert began[-1] == ("band-yellow", "nurture")
