"""From a checked model to the arrays of a `Plan`, and the vocabulary that turns event names into route codes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring import plan as p
from scoring.conduct import Conduct, capping_playbooks
from scoring.curves import line_of
from scoring.lowering import lower
from scoring.model import (
    ALERT_SEVERITIES,
    DAY_MS,
    TOPICS,
    WINDOWS_DAYS,
    MeasureKind,
    Model,
    Propensity,
    Signal,
    TermKind,
    Value,
    ValueKind,
)
from scoring.trajectory import FAST_DECAY_DAYS, MIDDLE_DECAY_DAYS, SLOW_DECAY_DAYS
from scoring.values import READ_BY_TERMS, seat_signal
from scoring.variables import CHANGE_DAYS, FIXED, Layout
from scoring.weighing import groups_of, limits_of, scales_of, weights_of

TILE_DAYS = 91
HABIT_DAYS = 28
"""How long an input that reads no window takes to its full weight when a model change brings its signal."""
REOPENING_EVENTS = frozenset({"ticket_reopened"})
"""Event names that open again what was closed; any other opening is settled by a close, whenever that came."""

_DECAYED = frozenset((ValueKind.LEVEL, ValueKind.MOMENTUM, ValueKind.SURPRISE, ValueKind.SILENCE))
_ATTRIBUTE_OF = {name: number for number, name in enumerate(p.ATTRIBUTES)}
_KIND_OF_FIXED = {
    "health": p.VARIABLE_HEALTH,
    "risk": p.VARIABLE_RISK,
    "expansion": p.VARIABLE_EXPANSION,
    "coverage": p.VARIABLE_COVERAGE,
    "slope": p.VARIABLE_SLOPE,
    "acceleration": p.VARIABLE_ACCELERATION,
    "days_in_band": p.VARIABLE_DAYS_IN_BAND,
    "value_at_risk": p.VARIABLE_VALUE_AT_RISK,
    "expected_value": p.VARIABLE_EXPECTED_VALUE,
    "divergence": p.VARIABLE_DIVERGENCE,
} | {f"change_{days}": p.VARIABLE_CHANGE for days in CHANGE_DAYS}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Route codes of event names.

    Parameters
    ----------
    names : topic → event name → code, for the names the model speaks of
    generic : topic → code of any other name
    """

    names: dict[str, dict[str, int]]
    generic: dict[str, int]


@dataclass(frozen=True, slots=True)
class RuleName:
    """What an alert calls a rule of the plan: the bands' own rules first, then the model's."""

    name: str
    code: str
    severity: str
    playbook: str | None
    title: str
    escalated: str = ""
    """Severity once nobody answered it in time; "" where there is no such."""
    suppressions: tuple[str, ...] = ()
    """What suppresses its playbook's outreach, by the number of its column."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model, its arrays, its vocabulary and the names of the plan's rules."""

    model: Model
    plan: p.Plan
    vocabulary: Vocabulary
    rules: tuple[RuleName, ...]
    values: tuple[Value, ...]


def compile_model(model: Model) -> Compiled:
    """Return a model compiled to arrays. Row offsets are left empty: `state.layout` places them."""
    values = _values(model)
    vocabulary, routes = _routes(model.signals)
    signals = _signals(model, values)
    rules, rule_table, band_rule = _rules(model)
    programs = [override.when.program for override in model.overrides] + [rule.when.program for rule in model.rules]
    suppressions = [(playbook.name, each.when.program) for playbook in model.playbooks for each in playbook.suppress]
    lowered = lower(programs + [program for _, program in suppressions])
    overrides = [(lowered.starts[k], override.for_ms or 0) for k, override in enumerate(model.overrides)]
    rule_table[len(rules) - len(model.rules) :, p.RULE_PROGRAM] = lowered.starts[len(overrides) : len(programs)]
    own = list(zip(suppressions, lowered.starts[len(programs) :], strict=True))
    for k, rule in enumerate(rules):
        starts = [start for (name, _), start in own if name == rule.playbook]
        rule_table[k, p.RULE_SUPPRESS : p.RULE_SUPPRESS + len(starts)] = starts
    inputs, bends, curve_x, curve_y = _curves(model)
    terms, coefficients, term_start = _terms(model, values, (model.risk, model.expansion))
    powers, totals = _decays()
    plan = p.Plan(
        signals=signals,
        dispersion=np.array([signal.dispersion for signal in model.signals], np.float64),
        unit=np.array([_unit(signal) for signal in model.signals], np.float64),
        route_start=np.cumsum([0, *(len(route) for route in routes)], dtype=np.int64),
        route_signal=np.array([signal for route in routes for signal, _ in route], np.int64),
        route_role=np.array([role for route in routes for _, role in route], np.int64),
        values=_value_table(model, values),
        inputs=inputs,
        weights=weights_of(model),
        scales=scales_of(model),
        groups=groups_of(model),
        references=np.array([entry.reference for entry in model.inputs], np.float64),
        curve_x=curve_x,
        curve_y=curve_y,
        overrides=np.array(overrides, np.int64).reshape(-1, 2),
        limits=np.array([(_or_nan(o.floor), _or_nan(o.cap)) for o in model.overrides], np.float64).reshape(-1, 2),
        enter_below=limits_of(model, lambda band: band.enter_below),
        leave_above=limits_of(model, lambda band: band.leave_above),
        dwell_ms=limits_of(model, lambda band: band.dwell_ms).astype(np.int64),
        band_rule=band_rule,
        rules=rule_table,
        steps=lowered.steps,
        ranges=lowered.ranges,
        variables=np.array([_variable(model, values, number) for number in lowered.variables], np.int64).reshape(-1, 2),
        literals=lowered.literals,
        intercepts=np.array([model.risk.intercept, model.expansion.intercept], np.float64),
        bends=bends,
        terms=terms,
        coefficients=coefficients,
        term_start=term_start,
        decay_power=powers,
        decay_total=totals,
        constants=_constants(model),
        offsets=np.zeros(4, np.int64),
    )
    return Compiled(model, plan, vocabulary, rules, values)


def _constants(model: Model) -> np.ndarray:
    value = model.value
    return np.array(
        [
            model.minimum_coverage,
            model.horizon_ms,
            value.margin,
            value.expected_uplift,
            value.engagement_cost,
            value.risky_from,
            value.expanding_from,
            model.account_cap.count if model.account_cap else 0,
            model.account_cap.days if model.account_cap else 0,
            len(model.groups),
        ],
        np.float64,
    )


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def _unit(signal: Signal) -> float:
    if signal.measure.kind in (MeasureKind.SUM, MeasureKind.LAST):
        return float(p.UNIT_OF_FIELD[p.FIELDS.index(signal.measure.field)])
    return 1.0


def _values(model: Model) -> tuple[Value, ...]:
    """Return the inputs' values first, then what expressions read, then what propensity terms read."""
    values = [*(entry.value for entry in model.inputs), *model.hidden]
    terms = (*model.risk.terms, *model.expansion.terms)
    for term in terms:
        if term.kind in READ_BY_TERMS and (value := Value(READ_BY_TERMS[term.kind], term.target)) not in values:
            values.append(value)
    conditions = [item.when for item in model.overrides] + [rule.when for rule in model.rules]
    conditions += [each.when for playbook in model.playbooks for each in playbook.suppress]
    if any(term.kind is TermKind.SEAT_USE for term in terms) or any("seat_use" in c.text for c in conditions):
        values.append(_seat_use(model))
    return tuple(values)


def _seat_use(model: Model) -> Value:
    signal = seat_signal({signal.name: signal for signal in model.signals})
    return Value(ValueKind.ATTRIBUTE, signal or "", attribute="seat_use")


def _signal_number(model: Model, name: str) -> int:
    return next((k for k, signal in enumerate(model.signals) if signal.name == name), -1)


def _value_table(model: Model, values: Sequence[Value]) -> np.ndarray:
    table = np.zeros((len(values), p.VALUE_FIELDS), np.int64)
    relative = relative_signals(model, values)
    for k, value in enumerate(values):
        table[k, p.VALUE_KIND] = p.VALUE_KINDS.index(value.kind)
        table[k, p.VALUE_COHORT] = relative.index(value.signal) if value.is_relative else -1
        if value.kind is ValueKind.ATTRIBUTE:
            table[k, p.VALUE_SIGNAL] = _ATTRIBUTE_OF[value.attribute]
            table[k, p.VALUE_OTHER] = _signal_number(model, value.signal)
            continue
        table[k, p.VALUE_SIGNAL] = _signal_number(model, value.signal)
        table[k, p.VALUE_OTHER] = _signal_number(model, value.other)
        for column, days in ((p.VALUE_WINDOW, value.window_days), (p.VALUE_LONG_WINDOW, value.long_window_days)):
            table[k, column] = p.A_DAY if days == 1 else WINDOWS_DAYS.index(days) if days else 0
        table[k, p.VALUE_BUDGET] = round(value.budget * 1e6)
    return table


def relative_signals(model: Model, values: Sequence[Value]) -> list[str]:
    """Return the signals for which cohort days are kept, in the model's order."""
    used = {value.signal for value in values if value.is_relative}
    return [signal.name for signal in model.signals if signal.name in used]


def _signals(model: Model, values: Sequence[Value]) -> np.ndarray:
    relative = relative_signals(model, values)
    decayed = {value.signal for value in values if value.kind in _DECAYED} | set(relative)
    table = np.zeros((len(model.signals), p.SIGNAL_FIELDS), np.int64)
    table[:, p.SIGNAL_BORN] = p.ALWAYS
    narrow = wide = decays = 0
    for k, signal in enumerate(model.signals):
        kind = signal.measure.kind
        table[k, p.SIGNAL_MEASURE] = p.MEASURES.index(kind)
        table[k, p.SIGNAL_FIELD] = p.FIELDS.index(signal.measure.field)
        table[k, p.SIGNAL_MINIMUM_SEVERITY] = signal.minimum_severity
        table[k, p.SIGNAL_TOPIC] = TOPICS.index(signal.topic)
        table[k, p.SIGNAL_DECAY] = -1
        table[k, p.SIGNAL_COHORT] = relative.index(signal.name) if signal.name in relative else -1
        if kind is MeasureKind.SUM:
            table[k, p.SIGNAL_PLANE], table[k, p.SIGNAL_SLOT] = p.PLANE_WIDE, wide
            wide += 1
        elif kind in (MeasureKind.COUNT, MeasureKind.DISTINCT, MeasureKind.ACTIVE_DAYS):
            table[k, p.SIGNAL_PLANE], table[k, p.SIGNAL_SLOT] = p.PLANE_NARROW, narrow
            narrow += 1
        if signal.name in decayed:
            table[k, p.SIGNAL_DECAY] = decays
            decays += 1
    return table


def _routes(signals: Sequence[Signal]) -> tuple[Vocabulary, list[list[tuple[int, int]]]]:
    names: dict[str, dict[str, int]] = {}
    generic: dict[str, int] = {}
    routes: list[list[tuple[int, int]]] = []
    for topic in TOPICS:
        own = [(k, signal) for k, signal in enumerate(signals) if signal.topic == topic]
        spoken = sorted({name for _, s in own for name in (*s.events, *s.open, *s.close, *s.escalate)})
        names[topic] = {}
        for name in (None, *spoken):
            code = len(routes)
            routes.append([entry for k, signal in own for entry in _roles(k, signal, name)])
            if name is None:
                generic[topic] = code
            else:
                names[topic][name] = code
    return Vocabulary(names, generic), routes


def _roles(number: int, signal: Signal, name: str | None) -> list[tuple[int, int]]:
    """Return what an event of that name (None = any other) does to a signal."""
    if signal.measure.kind is not MeasureKind.OPEN_ITEMS:
        return [(number, p.ROLE_ADD)] if not signal.events or name in signal.events else []
    if name in signal.open:
        return [(number, p.ROLE_REOPEN if name in REOPENING_EVENTS else p.ROLE_OPEN)]
    if name in signal.close:
        return [(number, p.ROLE_CLOSE)]
    return [(number, p.ROLE_ESCALATE)] if name in signal.escalate else []


def _curves(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, bends and all knots."""
    lines = [*(line_of(item) for item in model.inputs), model.risk.calibration, model.expansion.calibration]
    lengths = [len(line) for line in lines]
    spans = np.column_stack([np.cumsum([0, *lengths[:-1]]), lengths]).astype(np.int64)
    table = np.zeros((len(model.inputs), p.INPUT_FIELDS), np.int64)
    table[:, p.INPUT_RIPE_AT] = p.ALWAYS
    for k, entry in enumerate(model.inputs):
        table[k, : p.INPUT_RIPENING] = *spans[k], entry.valid_for_ms or 0
        table[k, p.INPUT_RIPENING] = DAY_MS * (max(entry.value.window_days, entry.value.long_window_days) or HABIT_DAYS)
    xs, ys = np.array([point for line in lines for point in line], np.float64).T.copy()
    return table, spans[-2:].copy(), xs, ys


def _rules(model: Model) -> tuple[tuple[RuleName, ...], np.ndarray, np.ndarray]:
    names: list[RuleName] = []
    lines: list[tuple[int, int, int, int]] = []
    conducts: list[Conduct] = []
    band_rule = np.full(len(model.bands), -1, np.int64)
    for k, band in enumerate(model.bands):
        if band.alert:
            band_rule[k] = len(names)
            title = f"health is in band {band.name}"
            names.append(
                RuleName(
                    *(f"band-{band.name}", f"BAND_{band.name.upper()}", band.severity, band.playbook, title),
                    escalated=band.conduct.escalate_to,
                    suppressions=_suppressed_by(model, band.playbook),
                )
            )
            lines.append((0, 0, 0, k))
            conducts.append(band.conduct)
    for rule in model.rules:
        names.append(
            RuleName(
                *(rule.name, rule.code, rule.severity, rule.playbook, rule.title),
                escalated=rule.conduct.escalate_to,
                suppressions=_suppressed_by(model, rule.playbook),
            )
        )
        lines.append((0, rule.for_ms, rule.keep_firing_for_ms, -1))
        conducts.append(rule.conduct)
    table = np.zeros((len(lines), p.RULE_FIELDS), np.int64)
    capping = [each.name for each in capping_playbooks(model.playbooks)]
    for k, (line, conduct) in enumerate(zip(lines, conducts, strict=True)):
        table[k, : len(line)] = line
        table[k, p.RULE_REFRACTORY] = conduct.refractory_ms
        table[k, p.RULE_REPEAT] = conduct.repeat_ms
        table[k, p.RULE_ESCALATE] = conduct.escalate_after_ms
        table[k, p.RULE_MUTED_BY] = sum(1 << j for j in range(k) if names[k].name in conducts[j].mutes)
        table[k, p.RULE_EVERY] = conduct.every_ms
        playbook = names[k].playbook
        play = model.playbook(playbook) if playbook else None
        table[k, p.RULE_DUE] = play.due_ms if play and play.escalate_to else 0
        table[k, p.RULE_CONTACT] = capping.index(playbook) if playbook in capping else -1
        table[k, p.RULE_URGENT] = names[k].severity == ALERT_SEVERITIES[-1]
        table[k, p.RULE_SUPPRESS : p.RULE_FIELDS] = p.NO_PROGRAM
        if model.flapping and not conduct.every_ms:  # reviews come and go by their nature
            table[k, p.RULE_FLAP_ENTER] = model.flapping.enter_percent
            table[k, p.RULE_FLAP_LEAVE] = model.flapping.leave_percent
    return tuple(names), table, band_rule


def _suppressed_by(model: Model, playbook: str | None) -> tuple[str, ...]:
    return tuple(each.name for each in model.playbook(playbook).suppress) if playbook else ()


def _variable(model: Model, values: Sequence[Value], number: int) -> tuple[int, int]:
    layout = Layout(len(model.inputs), len(model.bands))
    if number >= layout.hidden:
        return p.VARIABLE_VALUE, len(model.inputs) + number - layout.hidden
    if number >= layout.in_bands:
        return p.VARIABLE_IN_BAND, number - layout.in_bands
    if number >= layout.etas:
        return p.VARIABLE_ETA, number - layout.etas
    if number >= layout.values:
        return p.VARIABLE_VALUE, number - layout.values
    if number >= layout.scores:
        return p.VARIABLE_SUBSCORE, number - layout.scores
    name = FIXED[number]
    if name == "seat_use":
        return p.VARIABLE_VALUE, values.index(_seat_use(model))
    if name in _ATTRIBUTE_OF:
        return p.VARIABLE_ATTRIBUTE, _ATTRIBUTE_OF[name]
    days = int(name.removeprefix("change_")) if name.startswith("change_") else 0
    return _KIND_OF_FIXED[name], days


def _terms(
    model: Model, values: Sequence[Value], propensities: Sequence[Propensity]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lines: list[tuple[int, int]] = []
    coefficients: list[float] = []
    starts = [0]
    for propensity in propensities:
        for term in propensity.terms:
            target = 0
            if term.kind is TermKind.INPUT:
                target = next(k for k, entry in enumerate(model.inputs) if entry.name == term.target)
            elif term.kind in READ_BY_TERMS:
                target = values.index(Value(READ_BY_TERMS[term.kind], term.target))
            elif term.kind is TermKind.SEAT_USE:
                target = values.index(_seat_use(model))
            lines.append((p.TERMS.index(term.kind), target))
            coefficients.append(term.coefficient)
        starts.append(len(lines))
    return np.array(lines, np.int64).reshape(-1, 2), np.array(coefficients, np.float64), np.array(starts, np.int64)


def _decays() -> tuple[np.ndarray, np.ndarray]:
    decays = (FAST_DECAY_DAYS, MIDDLE_DECAY_DAYS, SLOW_DECAY_DAYS)
    powers = np.array([[math.exp(-age / days) for age in range(TILE_DAYS)] for days in decays])
    totals = np.zeros_like(powers)
    for decay in range(len(decays)):
        total = 0.0
        for age in range(1, TILE_DAYS):
            total += powers[decay, age]
            totals[decay, age] = total
    return powers, totals
