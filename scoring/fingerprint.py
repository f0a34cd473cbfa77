"""Fingerprints of meaning: equal for two files that say the same, whatever their comments, order of keys and titles.

Left out because it changes no number, band, alert or proposed step: name, version, owner, approver and note of the
model; titles and units; the spelling of expressions; the names of signals (what they measure stands in their place).
"""

import hashlib
import json
from dataclasses import asdict

from scoring.conduct import PLAIN, Conduct, Playbook
from scoring.expressions import Expression, Opcode
from scoring.model import COHORT, Band, Input, Model, Override, Propensity, Rule, Signal, Value

DIGITS = 16
"""Hex digits of a fingerprint: 64 bits, so that a book of a million models would hold a collision once in 37 million."""


def signal_fingerprint(signal: Signal) -> str:
    """Return what a signal's stored columns are named by: topic, measure, event names and severity."""
    return _digest(
        [
            signal.topic,
            signal.measure.text,
            sorted(set(signal.events)),
            sorted(set(signal.open)),
            sorted(set(signal.close)),
            sorted(set(signal.escalate)),
            signal.minimum_severity,
        ],
    )


def model_fingerprint(model: Model) -> str:
    """Return the fingerprint of everything that decides scores, bands, alerts and proposed steps."""
    signals = {signal.name: signal.fingerprint for signal in model.signals}
    names = [_variable(name, model, signals) for name in model.variables]
    return _digest(
        {
            "horizon_ms": model.horizon_ms,
            "outcome": model.outcome,
            "minimum_coverage": model.minimum_coverage,
            "signals": sorted([signal.fingerprint, signal.dispersion] for signal in model.signals),
            "inputs": [_input(item, signals) for item in model.inputs],
            "overrides": [_override(item, names) for item in model.overrides],
            "bands": [_band(item) for item in model.bands],
            "rules": [_rule(item, names) for item in model.rules],
            "playbooks": [_playbook(item, names) for item in model.playbooks],
            "risk": _propensity(model.risk, signals),
            "expansion": _propensity(model.expansion, signals),
            "value": asdict(model.value),
            # What a file does not say is left out, so that models from before there was such a thing keep their name.
            **({"flapping": asdict(model.flapping)} if model.flapping else {}),
            **({"roles": model.roles} if model.roles else {}),
            **({"account_cap": asdict(model.account_cap)} if model.account_cap else {}),
            **({"groups": [[item.name, item.group] for item in model.inputs]} if model.groups else {}),
            **({"segments": [asdict(segment) for segment in model.segments]} if model.segments else {}),
        },
    )


def _variable(name: str, model: Model, signals: dict[str, str]) -> str:
    hidden = {value.text: value for value in model.hidden}
    return json.dumps(_value(hidden[name], signals)) if name in hidden else name


def _value(value: Value, signals: dict[str, str]) -> list[object]:
    names = [signals.get(name, "") for name in (value.signal, value.other)]
    found: list[object] = [str(value.kind), *names, value.window_days, value.long_window_days, value.attribute]
    found += [value.budget] if value.budget else []
    return [*found, COHORT] if value.is_relative else found


def _input(item: Input, signals: dict[str, str]) -> list[object]:
    return [
        item.name,
        _value(item.value, signals),
        item.curve,
        item.categories,
        item.weight,
        item.reference,
        item.valid_for_ms,
        str(item.direction),
        item.code,
        # Where the first step begins decides nothing.
        *([item.steps[0][1], item.steps[1:]] if item.steps else []),
    ]


def _program(expression: Expression, names: list[str]) -> list[object]:
    # A variable's number moves when an unrelated input is added; its name does not.
    return [[op, names[int(arg)] if op == Opcode.LOAD else float(arg)] for op, arg in expression.program]


def _override(item: Override, names: list[str]) -> list[object]:
    return [item.name, _program(item.when, names), item.cap, item.floor, item.code, item.for_ms]


def _band(item: Band) -> list[object]:
    meaning = [item.name, item.enter_below, item.leave_above, item.dwell_ms, item.severity, item.alert, item.playbook]
    return meaning + _conduct(item.conduct)


def _rule(item: Rule, names: list[str]) -> list[object]:
    program = _program(item.when, names)
    meaning = [item.name, program, item.for_ms, item.keep_firing_for_ms, item.severity, item.playbook, item.code]
    return meaning + _conduct(item.conduct)


def _playbook(item: Playbook, names: list[str]) -> dict[str, object]:
    said = asdict(item) | {"suppress": [[each.name, _program(each.when, names)] for each in item.suppress]}
    said.pop("recover_within_ms")  # measures what was done, and changes nothing of it
    said["contact_within_ms"] = item.contact_within_ms if item.contact_cap else 0
    always = ("name", "goal", "owner", "steps", "due_ms")
    return {name: value for name, value in said.items() if value or name in always}


def _conduct(conduct: Conduct) -> list[object]:
    said = {name: value for name, value in asdict(conduct).items() if value or name != "every_ms"}
    return [] if conduct == PLAIN else [said]


def _propensity(item: Propensity, signals: dict[str, str]) -> list[object]:
    terms = sorted([str(term.kind), signals.get(term.target, term.target), term.coefficient] for term in item.terms)
    return [item.intercept, terms, *([item.calibration] if item.calibration else [])]


def _digest(meaning: object) -> str:
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
