"""Small random models over a fixed stock of signals, so that every kind of value, rule and term meets every other."""

import json
from random import Random
from typing import Any

from scoring.model import Model
from scoring.parse import parse

SIGNALS: dict[str, dict[str, Any]] = {
    "clicks": {"from": "usage", "measure": "count", "dispersion": 1.5},
    "exports": {"from": "usage", "measure": "count", "events": ["export"]},
    "volume": {"from": "usage", "measure": "sum(quantity)"},
    "days": {"from": "usage", "measure": "active_days"},
    "users": {"from": "usage", "measure": "distinct(user_id)"},
    "names": {"from": "usage", "measure": "distinct(event)"},
    "spend": {"from": "billing", "measure": "sum(amount)", "events": ["purchase", "invoice_paid"]},
    "refunds": {"from": "billing", "measure": "count", "events": ["refund"]},
    "mrr": {"from": "billing", "measure": "last(mrr)"},
    "failures": {"from": "billing", "measure": "days_since", "events": ["payment_failed"]},
    "invoices": {"from": "billing", "measure": "open_items", "open": ["invoice_issued"], "close": ["invoice_paid"]},
    "tickets": {
        "from": "support",
        "measure": "open_items",
        "open": ["ticket_opened", "ticket_reopened"],
        "close": ["ticket_resolved"],
        "escalate": ["ticket_escalated"],
        "severity": "high",
    },
    "nps": {"from": "support", "measure": "last(score)", "events": ["nps"]},
    "talks": {"from": "engagement", "measure": "days_since", "events": ["meeting_held", "webinar"]},
    "contacts_seen": {"from": "engagement", "measure": "distinct(user_id)"},
}
COUNTED = ("open(", "contacts", "seats", "sum(users", "sum(names", "total(days", "last(nps")
VALUES = (
    ("momentum(clicks)", -2, 2),
    ("momentum(spend)", -2, 2),
    ("surprise(days)", -4, 3),
    ("surprise(volume)", -4, 3),
    ("silence(clicks)", 0, 9),
    ("silence(days)", 0, 9),
    ("level(clicks)", 0, 5),
    ("level(volume)", 0, 9),
    ("rate(days, 30d)", 0, 1),
    ("rate(exports, 7d)", 0, 2),
    ("sum(users, 30d)", 0, 5),
    ("sum(names, 7d)", 0, 3),
    ("sum(spend, 90d)", 0, 20_000),
    ("ratio(clicks, 7d, 30d)", 0, 3),
    ("share(exports, clicks, 90d)", 0, 1),
    ("momentum(clicks, cohort)", -2, 2),
    ("surprise(volume, cohort)", -4, 3),
    ("silence(days, cohort)", 0, 9),
    ("level(clicks, cohort)", 0, 5),
    ("rate(days, 30d, cohort)", 0, 1),
    ("ratio(clicks, 7d, 30d, cohort)", 0, 3),
    ("share(refunds, spend)", 0, 0.001),
    ("total(days)", 0, 60),
    ("total(spend)", 0, 50_000),
    ("age(invoices)", 0, 30),
    ("age(tickets)", 0, 14),
    ("open(tickets)", 0, 2),
    ("days_since(talks)", 0, 60),
    ("days_since(users)", 0, 30),
    ("last(mrr)", 0, 5000),
    ("last(nps)", -3, 10),
    ("days_to_renewal", 0, 200),
    ("contacts", 0, 4),
    ("strategic_fit", 0, 1),
    ("seat_use", 0, 2),
    ("seats", 0, 8),
)
CATEGORICAL = (
    ("relationship.champion", ("active", "at_risk", "missing")),
    ("relationship.outcome", ("defensible", "developing", "missing")),
)
CONDITIONS = (
    "days_since(failures) < 20",
    "age(invoices) > 9d",
    "open(tickets) >= 1 and age(tickets) > 2",
    "days_since(clicks) > 12",
    "momentum(days) < -0.5",
    "silence(clicks) > 3",
    "surprise(clicks) < -1.5",
    "coverage < 0.7",
    "relationship.champion == 'missing' or contacts <= 1",
    "0 < days_to_renewal < 60",
    "level(clicks) * 2 > rate(days, 7d) + 0.5",
    "share(exports, clicks, 30d) / 2 > 0.2",
    "momentum(clicks, cohort) < -0.4 or ratio(spend, 14d, 90d, cohort) < 0.8",
    "days_since_start < 40 and seat_use < 0.5",
)
HEALTH_CONDITIONS = (
    "slope < -0.3 or acceleration < -0.05",
    "change(7) < -8",
    "change(30) > 5 and not in_band(red)",
    "eta(red) < 20",
    "eta(red) < days_to_renewal",
    "health < 55 and days_in_band > 3",
    "in_band(green) and days_in_band > 6",
    "risk > 0.3",
    "expansion > 0.2 and value_at_risk > 100",
    "health / risk > 400",
    "expected_value < 600",
    "divergence > 10 or divergence < -20",
    "not health >= 50 or health - 3 > 90",
)
DURATIONS = ("0h", "0h", "90m", "5h", "26h", "4d")


def random_model(random: Random) -> Model:
    """Return a random valid model."""
    rules = random.randrange(6)
    content: dict[str, Any] = {
        "name": "random",
        "version": 1,
        "minimum_coverage": random.choice((0.0, 0.3, 0.4, 0.8)),
        "signals": dict(SIGNALS),
        "inputs": _inputs(random),
        "overrides": [
            {
                "name": f"o{k}",
                "when": random.choice(CONDITIONS),
                random.choice(("cap", "floor")): random.choice((5, 30, 38, 45, 70)),
                **random.choice(({}, {}, {"for": "31h"}, {"for": "5d"})),
            }
            for k in range(random.randrange(4))
        ],
        "bands": _bands(random, [f"r{k}" for k in range(rules)]),
        "rules": [
            {
                "name": f"r{k}",
                "when": random.choice(CONDITIONS + HEALTH_CONDITIONS),
                **_timing(random, [f"r{later}" for later in range(k + 1, rules)]),
                **_play(random),
            }
            for k in range(rules)
        ],
        "playbooks": _playbooks(random),
    }
    if random.random() < 0.4:
        content["account_cap"] = {"count": random.randrange(1, 4), "days": random.randrange(1, 8)}
    if random.random() < 0.6:
        content["flapping"] = {"enter_percent": random.choice((6, 12, 30)), "leave_percent": random.choice((0, 3, 5))}
    if random.random() < 0.7:
        first = next(iter(content["inputs"]))
        terms: dict[str, Any] = {"health": -4, "renewal_near": 1, "slope": -0.7, "coverage": -1, "contacts": 0.4}
        terms |= {
            first: -2,
            "acceleration": -2,
            "strategic_fit": 1,
            "momentum": {"clicks": -0.8},
            "dormant": {"clicks": -1.5},
            "seat_use": -0.5,
        }
        chosen = random.sample(sorted(terms), random.randrange(1, len(terms)))
        content["risk"] = {"intercept": -1.0, "terms": {name: terms[name] for name in chosen}}
    later = Random(json.dumps(content))  # so that what came later leaves the models of known seeds as they were, mostly
    _burns(later, content)
    content |= _segments(later, content)
    if "risk" in content and later.random() < 0.5:
        places = sorted(later.sample(range(-60, 40), later.randrange(2, 6)))
        bent = sorted(later.uniform(-6.0, 4.0) for _ in places)
        content["risk"]["calibration"] = [[x / 10, y] for x, y in zip(places, bent, strict=True)]
    _steps(later, content["inputs"])
    return parse(content, "random")


def _steps(random: Random, inputs: dict[str, dict[str, Any]]) -> None:
    """Make one curve in five steps; on an edge lies only what is counted, the rest is not the same to the last bit."""
    for name in sorted(inputs):
        if "curve" in inputs[name] and random.random() < 0.2:
            aside = 0.0 if inputs[name]["value"].startswith(COUNTED) else 0.00371
            inputs[name]["steps"] = [[x + aside, y] for x, y in inputs[name].pop("curve")]


def _burns(random: Random, content: dict[str, Any]) -> None:
    """Add burn rates and what was confirmed to half of the models."""
    if random.random() < 0.5:
        return
    value = random.choice(("burn(exports, clicks, 0.2, 1d, 7d)", "burn(refunds, spend, 0.0005, 7d, 90d)"))
    content["inputs"]["burning"] = {"value": value, "curve": [[0, 100], [4, 0]], "weight": random.choice((1, 4))}
    when = random.choice(
        ("burn(exports, clicks, 0.25, 1d, 30d) > 1", "days_since_confirmed > 30", "days_unconfirmed > 30")
    )
    content["rules"].append({"name": "spent", "when": when, **_timing(random, [])})


def _segments(random: Random, content: dict[str, Any]) -> dict[str, Any]:
    """Return groups and segments for half of the models, by their own chance."""
    if random.random() < 0.5:
        return {}
    found: dict[str, Any] = {}
    if random.random() < 0.5:
        found["groups"] = {name: {"weight": random.choice((1, 7, 20))} for name in ("use", "rest")}
        names = sorted(content["inputs"])
        for k, name in enumerate(names):
            content["inputs"][name]["group"] = "use" if k == 0 or random.random() < 0.4 else "rest"
        if all(content["inputs"][name]["group"] == "use" for name in names):
            del found["groups"]["rest"]
    segments: dict[str, Any] = {}
    for name, where in (("small", None), ("key", {"segment": ["large", "other"]})):
        own: dict[str, Any] = {"where": where} if where else {}
        if random.random() < 0.7:
            chosen = random.sample(sorted(content["inputs"]), random.randrange(1, len(content["inputs"]) + 1))
            own["weights"] = {each: random.choice((0.5, 2, 9)) for each in chosen}
            if len(chosen) > 1:
                own["weights"][chosen[0]] = 0
        if "groups" in found and random.random() < 0.5:
            own["groups"] = {"use": random.choice((2, 30))}
        if random.random() < 0.7 or not own.keys() - {"where"}:
            shift = random.choice((-9, 6, 13))
            own["bands"] = {
                band["name"]: {
                    "enter_below": round(band["enter_below"] + shift, 3),
                    "leave_above": round(band["leave_above"] + shift, 3),
                    "dwell": random.choice(DURATIONS),
                }
                for band in content["bands"]
            }
        segments[name] = own
    return found | {"segments": segments}


def _inputs(random: Random) -> dict[str, dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {}
    for k, (value, low, high) in enumerate(random.sample(VALUES, random.randrange(1, 6))):
        points = sorted({low, high, *(round(random.uniform(low, high), 4) for _ in range(random.randrange(3)))})
        scores = sorted(round(random.uniform(0, 100), 1) for _ in points)
        shape = random.choice((scores, scores[::-1], [random.choice((0, 50, 100)) for _ in points]))
        inputs[f"n{k}"] = {
            "value": value,
            "curve": [list(pair) for pair in zip(points, shape, strict=True)],
            "weight": random.choice((1, 3, 10)),
        }
    if random.random() < 0.4:
        value, names = random.choice(CATEGORICAL)
        categories = dict(zip(names, (100, 40, 0), strict=True))
        inputs["person"] = {"value": value, "categories": categories, "weight": 5}
        if random.random() < 0.7:
            inputs["person"]["valid_for"] = random.choice(("3d", "20d"))
    return inputs


def _timing(random: Random, later: list[str]) -> dict[str, Any]:
    """Return how a rule behaves in time: one in five is a review."""
    if random.random() < 0.2:
        return {"every": random.choice(("5h", "26h", "4d")), "keep_firing_for": random.choice(DURATIONS)}
    kept = {"for": random.choice(DURATIONS), "keep_firing_for": random.choice(DURATIONS)}
    return kept | _conduct(random, later)


def _play(random: Random) -> dict[str, Any]:
    """Name one of the playbooks, or none."""
    return random.choice(({}, {"playbook": "call"}, {"playbook": "write"}, {"playbook": "wait"}))


def _playbooks(random: Random) -> dict[str, dict[str, Any]]:
    """Return playbooks whose dates pass soon and whose outreach is suppressed now and then."""
    reasons = random.sample(CONDITIONS, random.randrange(1, 5))
    return {
        "call": {"steps": ["ring"], "due": random.choice(("4h", "30h", "5d")), "escalate_to": "boss"},
        "write": {
            "steps": ["write"],
            "due": random.choice(("0h", "4h", "30h", "5d")),
            "channels": ["mail"],
            "suppress": {f"s{k}": reason for k, reason in enumerate(reasons)},
            "contact_cap": random.randrange(3),
            "escalate_to": random.choice(("", "boss", "account_owner")),
        },
        "wait": {"steps": ["wait"], "due": "0h"},
    }


def _conduct(random: Random, later: list[str]) -> dict[str, Any]:
    """Return a random conduct of an alert that may mute later rules; half of the time it says nothing."""
    if random.random() < 0.5:
        return {}
    fields: dict[str, Any] = {
        "refractory": random.choice(DURATIONS),
        "repeat": random.choice(("0h", "7h", "3d")),
        "mutes": random.sample(later, random.randrange(len(later) + 1)),
    }
    if random.random() < 0.5:
        fields |= {"severity": "info", "escalate_after": random.choice(("5h", "26h", "4d")), "escalate_to": "critical"}
    return fields


def _bands(random: Random, rules: list[str]) -> list[dict[str, Any]]:
    bands = []
    for k, name in enumerate(("red", "orange", "yellow")[: random.randrange(1, 4)]):
        enter = 25 + 22 * k + random.uniform(-3, 3)
        is_told = random.random() < 0.8
        bands.append(
            {
                "name": name,
                "enter_below": round(enter, 3),
                "leave_above": round(enter + random.choice((0.5, 4, 9)), 3),
                "dwell": random.choice(DURATIONS),
                "alert": is_told,
                **(_conduct(random, rules) | _play(random) if is_told else {}),
            }
        )
    return bands
