"""An account whose health is the last score it gave, and rules that read it: stories of alerts in a few lines."""

import json
from typing import Any

from scoring.model import Model
from scoring.parse import parse
from tests.state.journals import HOUR, START, Log
from tests.state.looking import feed, partition_for
from tests.state.random_models import SIGNALS


def model_of(rules: list[dict[str, Any]], **changes: Any) -> Model:
    """A model whose health is the last score; its rules read it. No band's alert gets in the way."""
    content: dict[str, Any] = {
        "name": "conduct",
        "version": 1,
        "signals": {name: dict(signal) for name, signal in SIGNALS.items()},
        "inputs": {"n": {"value": "last(nps)", "curve": [[0, 0], [10, 100]], "weight": 1}},
        "bands": [{"name": "red", "enter_below": 1, "leave_above": 2, "dwell": "0h", "alert": False}],
        "rules": rules,
        "playbooks": {"call": {"steps": ["ring"], "due": "5d"}},
    }
    return parse({**content, **changes}, "conduct")


def low(name: str = "low", below: int = 50, **conduct: Any) -> dict[str, Any]:
    """A rule that is true while health is low, at once both ways."""
    return {"name": name, "when": f"health < {below}", "keep_firing_for": "0h", **conduct}


def told(model: Model, log: Log) -> list[tuple[str, str, float, dict[str, Any]]]:
    """Return (rule, state, hours since the start, the record) of everything announced."""
    alerts = [json.loads(message.value) for message in feed(partition_for(model), log.journal).take_flush().alerts]
    times = [message.timestamp for message in feed(partition_for(model), log.journal).take_flush().alerts]
    return [(a["rule"], a["state"], (at - START) / HOUR, a) for a, at in zip(alerts, times, strict=True)]


def scores(log: Log, *pairs: tuple[float, float]) -> None:
    """Let account a score so much at so many hours after the start."""
    for hours, score in pairs:
        log.event("support", "a", START + round(hours * HOUR), event="nps", score=score)
