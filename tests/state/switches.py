"""Changes of the model for tests: models that differ from each other, and their records in a journal."""

import json
from random import Random
from typing import Any

from scoring.model import Model
from scoring.presets import parse_text
from tests.state.journals import Entry, Run
from tests.state.random_models import random_model

EVENTS = {
    "clicks": ["login"],
    "volume": ["export"],
    "days": ["report", "login"],
    "users": ["login"],
    "spend": ["purchase"],
}


def text_of(model: Model, **changes: Any) -> str:
    """Return a model file that says what a model says, but for changed top values."""
    content = {**json.loads(model.source), **changes}
    return "".join(f"{name} = {_inline(value)}\n" for name, value in content.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_inline(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def record_of(text: str, number: int = 1) -> bytes:
    """Return the value of a record of `models` that publishes a model file."""
    model = parse_text(text, "test")
    head = {"name": model.name, "version": model.version, "fingerprint": model.fingerprint, "number": number}
    about = {"kind": "active", "by": "ann", "published_at": "2026-03-01T00:00:00Z", "before": ""}
    return json.dumps({**about, **head, "text": text}).encode()


def variant(random: Random, version: int) -> Model:
    """Return a random model that stores some of its signals under another definition."""
    model = random_model(random)
    signals = json.loads(model.source)["signals"]
    for name in random.sample(sorted(EVENTS), random.randrange(len(EVENTS))):
        signals[name] = {**signals[name], "events": EVENTS[name]}
    return parse_text(text_of(model, signals=signals, version=version), "variant")


def with_switches(journal: list[Run], random: Random, models: list[Model], changes: int) -> list[Run]:
    """Return a journal in which now and then a record of `models` stands; the first is not `models[0]` where there are more."""
    runs = list(journal)
    places = sorted(random.sample(range(len(runs) + 1), min(changes, len(runs))))
    for number, place in enumerate(places):
        at = runs[min(place, len(runs) - 1)][1][0].timestamp
        value = record_of(text_of(random.choice((models[1:] if number == 0 else []) or models)), number + 1)
        runs.insert(place + number, ("models", [Entry(number, at, None, value)]))
    return runs
