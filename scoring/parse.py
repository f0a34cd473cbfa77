"""A mapping, as a TOML file gives it, to a checked `Model` — or one `ModelError` that lists every fault at once."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scoring.doubts import doubts_of
from scoring.durations import UNITS_MS, format_duration, parse_duration
from scoring.economics import Economics
from scoring.faults import Fault, ModelError
from scoring.fingerprint import model_fingerprint
from scoring.model import TOPICS, Input, MeasureKind, Model, Propensity, Signal, Term, TermKind
from scoring.reading import DASHED, Table, is_number, shown
from scoring.reading_inputs import read_calibration, read_inputs, read_signals
from scoring.reading_rules import (
    check_mutes,
    playbook_tables,
    read_account_cap,
    read_bands,
    read_flapping,
    read_overrides,
    read_playbooks,
    read_roles,
    read_rules,
)
from scoring.reading_segments import read_groups, read_segments, weighed
from scoring.values import ACCEPTED, READ_BY_TERMS, seat_signal
from scoring.variables import Variables, nearest

MIN_HORIZON_MS, MAX_HORIZON_MS = UNITS_MS["d"], 730 * UNITS_MS["d"]

DEFAULT_RISK = {"health": -6.0, "slope": -1.0}
"""A prior until outcomes calibrate it: with intercept -3 a healthy account leaves within the horizon with 5 %, one 50
points below with 50 %, and a fall of one point a day costs as much as 17 points of level."""
DEFAULT_EXPANSION = {"health": 3.0, "seat_use": 4.0}
"""A prior: 8 % for a healthy account with three quarters of its seats in use, 18 % with all of them."""
_PLAIN = tuple(kind for kind in TermKind if kind not in (TermKind.INPUT, *READ_BY_TERMS))
_OUTCOME = re.compile(r"churned|silence:(?P<topic>[a-z]+)(:(?P<event>[^:]+))?:(?P<duration>\w+)")


def parse(content: Mapping[str, object], source: str = "model") -> Model:
    """Return the model a mapping describes.

    Parameters
    ----------
    content
        The file's top table.
    source
        File or preset name that faults start with.

    Raises
    ------
    ModelError
        Listing every fault found.
    """
    faults: list[Fault] = []
    root = Table(content, "$", faults)
    head = _head(root)
    signals = read_signals(root)
    inputs = read_inputs(root, signals)
    plays = playbook_tables(root)
    bands = read_bands(root, tuple(plays))
    groups = read_groups(root, inputs)
    segments = read_segments(root, inputs, groups, bands)
    inputs = weighed(inputs, groups)
    names = [band.name for band in bands]
    value = _economics(root.table("value"))
    variables = Variables({name: item.value for name, item in inputs.items()}, names, signals, value)
    overrides = read_overrides(root, variables)
    playbooks = read_playbooks(plays, variables)
    rules = read_rules(root, variables, tuple(plays), names)
    check_mutes(root, bands, rules)
    flapping = read_flapping(root)
    roles = read_roles(root)
    account_cap = read_account_cap(root)
    risk = _propensity(root.table("risk"), -3.0, DEFAULT_RISK, inputs, signals)
    expansion = _propensity(root.table("expansion"), -2.5, DEFAULT_EXPANSION, inputs, signals)
    root.finish()
    if faults:
        raise ModelError(source, tuple(faults))
    model = replace(
        head,
        signals=tuple(signals.values()),
        inputs=tuple(inputs.values()),
        overrides=tuple(overrides),
        bands=tuple(bands),
        rules=tuple(rules),
        playbooks=tuple(playbooks.values()),
        risk=risk,
        expansion=expansion,
        value=value,
        hidden=tuple(variables.hidden),
        variables=variables.names,
        baseline=_baseline(tuple(inputs.values())),
        flapping=flapping,
        roles=roles,
        account_cap=account_cap,
        groups=tuple(groups.values()),
        segments=segments,
    )
    fingerprint = model_fingerprint(model)
    return replace(model, fingerprint=fingerprint, warnings=doubts_of(model), source=json.dumps(content))


def _head(root: Table) -> Model:
    nothing = Propensity(0.0, ())
    model = Model(
        name=root.text("name", pattern=DASHED),
        version=root.whole("version", None, 1, 1_000_000_000),
        owner=root.text("owner", ""),
        approver=root.text("approver", ""),
        note=root.text("note", ""),
        horizon_ms=root.duration_ms("horizon", "90d"),
        outcome=_outcome(root),
        minimum_coverage=root.number("minimum_coverage", 0.4, 0.0, 1.0),
        signals=(),
        inputs=(),
        overrides=(),
        bands=(),
        rules=(),
        playbooks=(),
        risk=nothing,
        expansion=nothing,
        value=Economics(0.0, 0.0, 0.0, 0.0, 0.0),
        hidden=(),
        variables=(),
        baseline=0.0,
    )
    given = root.raw("horizon")
    if isinstance(given, str) and parse_duration(given) and not MIN_HORIZON_MS <= model.horizon_ms <= MAX_HORIZON_MS:
        longest = format_duration(MAX_HORIZON_MS)
        root.note("horizon")(f"1d to {longest}", f"'{given}'", "choose how far ahead risk should look")
    return model


def _outcome(root: Table) -> str:
    given = root.text("outcome", "churned")
    match = _OUTCOME.fullmatch(given)
    silence = match and match["topic"]
    if not match or (silence and (match["topic"] not in TOPICS or not parse_duration(match["duration"]))):
        expected = "churned or silence:TOPIC[:EVENT]:DURATION"
        root.note("outcome")(expected, shown(given), "write for example 'silence:billing:purchase:90d'")
    return given


def _economics(table: Table) -> Economics:
    value = Economics(
        expected_uplift=table.number("expected_uplift", 0.2, 0.0, 10.0),
        engagement_cost=table.number("engagement_cost", 0.0, 0.0, 1e12),
        margin=table.number("margin", 1.0, 0.0, 1.0),
        risky_from=table.number("risky_from", 0.2, 0.0, 1.0),
        expanding_from=table.number("expanding_from", 0.15, 0.0, 1.0),
    )
    table.finish()
    return value


def _propensity(
    table: Table,
    intercept: float,
    defaults: Mapping[str, float],
    inputs: Mapping[str, Input],
    signals: Mapping[str, Signal],
) -> Propensity:
    is_default = not table.keys()
    terms = table.table("terms")
    found = table.number("intercept", intercept, -20.0, 20.0)
    calibration = read_calibration(table)
    table.finish()
    if is_default:
        usable = {name: number for name, number in defaults.items() if name != "seat_use" or seat_signal(signals)}
        return Propensity(found, tuple(Term(TermKind(name), "", number) for name, number in sorted(usable.items())))
    pairs = _flat(terms)
    given = [_term(terms, name, coefficient, inputs, signals) for name, coefficient in pairs]
    return Propensity(found, tuple(sorted((term for term in given if term), key=lambda term: term.text)), calibration)


def _flat(terms: Table) -> list[tuple[str, object]]:
    """Return (name, coefficient); ``momentum.activity = 1`` is a table in a table to TOML."""
    pairs: list[tuple[str, object]] = []
    for name in terms.keys():  # noqa: SIM118 - a Table is not a mapping
        given = terms.raw(name)
        if isinstance(given, Mapping):
            pairs += [(f"{name}.{target}", number) for target, number in given.items()]
        else:
            pairs.append((name, given))
    return pairs


def _term(
    table: Table,
    name: str,
    coefficient: object,
    inputs: Mapping[str, Input],
    signals: Mapping[str, Signal],
) -> Term | None:
    note = table.note(name)
    if not is_number(coefficient) or not -1000 <= float(coefficient) <= 1000:  # type: ignore[arg-type]
        note("a coefficient from -1000 to 1000", shown(coefficient), "change it")
        return None
    kind, target = _named(name, inputs, signals)
    if kind is None:
        known: Sequence[str] = [
            *inputs,
            *_PLAIN,
            *(f"{prefix}.{signal}" for prefix in READ_BY_TERMS for signal in signals),
        ]
        note("a known term", f"'{name}'", nearest(name, known) or f"use one of {', '.join(known)}")
    elif kind is TermKind.SEAT_USE and not seat_signal(signals):
        note("a usage signal measuring distinct(user_id) for seat_use", "none", "declare one")
    elif kind in READ_BY_TERMS and signals[target].measure.kind not in ACCEPTED[READ_BY_TERMS[kind]]:
        kinds = [str(each) for each in MeasureKind if each in ACCEPTED[READ_BY_TERMS[kind]]]
        note(f"a signal that measures {', '.join(kinds[:-1])} or {kinds[-1]}", f"'{target}'", "name another signal")
    else:
        return Term(kind, target, float(coefficient))  # type: ignore[arg-type]
    return None


def _named(name: str, inputs: Mapping[str, Input], signals: Mapping[str, Signal]) -> tuple[TermKind | None, str]:
    """Return the kind and target that a term's name stands for."""
    if name in inputs:
        return TermKind.INPUT, name
    if name in _PLAIN:
        return TermKind(name), ""
    kind, _, target = name.partition(".")
    return (TermKind(kind), target) if kind in READ_BY_TERMS and target in signals else (None, "")


def _baseline(inputs: tuple[Input, ...]) -> float:
    total = sum(item.weight for item in inputs)
    return sum(item.weight * item.reference for item in inputs) / total
