"""Signals and inputs of a model file: what is measured, and the curves that make it a score."""

from dataclasses import replace
from itertools import pairwise

from scoring.curves import Points
from scoring.fingerprint import signal_fingerprint
from scoring.model import (
    ITEM_SEVERITIES,
    TOPICS,
    Direction,
    Input,
    Measure,
    MeasureKind,
    Signal,
    TermKind,
    Value,
    ValueKind,
)
from scoring.reading import CODE, Table, is_number, shown
from scoring.values import HEALTHY, UNITS, parse_measure, parse_value
from scoring.variables import CATEGORIES, FIXED

MAX_SIGNALS = 32
MAX_INPUTS = 32
MAX_KNOTS = 16
TYPICAL_REFERENCE = 75.0
"""Sub-score of a healthy account where neither the file nor the kind of value says it."""

_TOPIC_OF_FIELD = {"quantity": "usage", "amount": "billing", "seats": "billing", "mrr": "billing", "score": "support"}
_RESERVED = frozenset(FIXED) | {str(kind) for kind in TermKind}


def read_signals(root: Table) -> dict[str, Signal]:
    """Return the signals by name, sorted; no two of them measure the same."""
    signals = {name: _signal(name, table) for name, table in root.tables("signals", MAX_SIGNALS).items()}
    first: dict[str, str] = {}
    for name, signal in signals.items():
        twin = first.setdefault(signal.fingerprint, name)
        if twin != name:
            note = root.table("signals").note(name)
            note("a signal that measures something else than the others", f"the same as '{twin}'", f"use '{twin}'")
    return signals


def _signal(name: str, table: Table) -> Signal:
    topic = table.choice("from", TOPICS)
    text = table.text("measure", "count")
    measure = parse_measure(text)
    if measure is None:
        forms = "count, sum(quantity), sum(amount), distinct(user_id), distinct(event), active_days, last(FIELD), "
        table.note("measure")(f"one of {forms}open_items, days_since", f"'{text}'", "choose one of them")
        measure = Measure(MeasureKind.COUNT)
    _check_topic(table, topic, measure)
    is_items = measure.kind is MeasureKind.OPEN_ITEMS
    severity = table.choice("severity", ITEM_SEVERITIES, ITEM_SEVERITIES[0])
    signal = Signal(
        name=name,
        topic=topic,
        measure=measure,
        events=table.texts("events"),
        open=table.texts("open", required=is_items),
        close=table.texts("close", required=is_items),
        escalate=table.texts("escalate"),
        minimum_severity=ITEM_SEVERITIES.index(severity),
        dispersion=table.number("dispersion", 1.0, 1.0, 1000.0),
        title=table.text("title", _title(name)),
        unit=table.text("unit", "items" if is_items else "events"),
    )
    for key in ("events",) if is_items else ("open", "close", "escalate", "severity"):
        if key in table:
            advice = "list names under open, close and escalate" if is_items else "remove it, or measure open_items"
            table.note(key)(f"nothing for {measure.text}", f"'{key}'", advice)
    table.finish()
    return replace(signal, fingerprint=signal_fingerprint(signal))


def _check_topic(table: Table, topic: str, measure: Measure) -> None:
    needed = _TOPIC_OF_FIELD.get(measure.field)
    if needed and topic != needed:
        table.note("measure")(f"a field of {topic} events", f"'{measure.text}'", f"read it from {needed}")
    if measure.kind is MeasureKind.OPEN_ITEMS and topic not in ("billing", "support"):
        table.note("from")(
            "billing or support for open_items", f"'{topic}'", "only invoices and tickets open and close"
        )


def read_inputs(root: Table, signals: dict[str, Signal]) -> dict[str, Input]:
    """Return the inputs by name, sorted; at least one."""
    tables = root.tables("inputs", MAX_INPUTS)
    if not tables:
        root.note("inputs")("at least one input", "none", "add [inputs.NAME] with value, curve and weight")
    return {name: _input(name, table, signals) for name, table in tables.items()}


def _input(name: str, table: Table, signals: dict[str, Signal]) -> Input:
    if name in _RESERVED:
        table.note("name")("a name that is not a variable's", f"'{name}'", "rename the input")
    value = parse_value(table.text("value"), signals, table.note("value")) if "value" in table else None
    if value is None:
        if "value" not in table:
            table.text("value")
        # A stand-in with its own name, so that expressions over this input do not fail a second time.
        value = Value(ValueKind.ATTRIBUTE, attribute=f"?{name}")
    categories = _categories(table, value)
    is_categorical = bool(categories) or value.attribute in CATEGORIES
    steps = (
        () if is_categorical or "steps" not in table else _points(table, "steps", "one step alone tells nothing apart")
    )
    curve = () if is_categorical or "steps" in table else _points(table, "curve", "a curve needs a start and an end")
    for key in ("curve", "steps"):
        if categories and key in table:
            table.note(key)(f"either {key} or categories", "both", "remove one")
        table.raw(key)
    if not is_categorical and "curve" in table and "steps" in table:
        table.note("steps")("either curve or steps", "both", "remove one")
    unit = signals[value.signal].unit if value.signal in signals else ""
    item = Input(
        name=name,
        value=value,
        curve=curve,
        categories=categories,
        weight=table.number("weight", None, 0.0, 1000.0),
        reference=table.number("reference", _reference(value, curve, steps, categories), 0.0, 100.0),
        valid_for_ms=table.optional_duration_ms("valid_for"),
        direction=_direction(table, curve or steps),
        title=table.text("title", _title(name)),
        unit=table.text(
            "unit",
            UNITS.get(value.kind, unit if value.kind in (ValueKind.SUM, ValueKind.LAST, ValueKind.TOTAL) else ""),
        ),
        code=table.text("code", name.upper(), pattern=CODE),
        group=table.text("group", ""),
        steps=steps,
    )
    if "weight" in table and item.weight == 0:
        table.note("weight")("more than 0", "0", "remove the input instead")
    if "valid_for" in table and not value.attribute.startswith("relationship."):
        table.note("valid_for")("a relationship attribute", f"'{value.text}'", "only facts entered by hand grow stale")
    table.finish()
    return item


def _points(table: Table, key: str, too_few: str) -> tuple[tuple[float, float], ...]:
    advice = "give at least two points, or steps" if table.raw(key) is None else "give at least two points"
    points = _pairs(table, key, "a list of points [[x, y], …], x rising, y from 0 to 100", advice, too_few)
    for index, (left, right) in enumerate(pairwise(points)):
        if right[0] <= left[0]:
            table.note(f"{key}[{index + 1}]")(
                f"x above {left[0]:g}", f"{right[0]:g}", "x must rise from point to point"
            )
    for index, (_, y) in enumerate(points):
        if not 0 <= y <= 100:
            table.note(f"{key}[{index}]")("y from 0 to 100", f"{y:g}", "a sub-score is between 0 and 100")
    return points


def read_calibration(table: Table) -> tuple[tuple[float, float], ...]:
    """Return the points that bend a propensity's log-odds; none is as it should be."""
    if table.raw("calibration") is None:
        return ()
    form = "a list of points [[x, y], …] of log-odds"
    points = _pairs(table, "calibration", form, "correct it", "a line needs a start and an end")
    for index, (left, right) in enumerate(pairwise(points)):
        if right[0] <= left[0] or right[1] < left[1]:
            table.note(f"calibration[{index + 1}]")(
                f"x above {left[0]:g} and y from {left[1]:g}",
                f"{right[0]:g} and {right[1]:g}",
                "who is said to be more at risk must stay so",
            )
    for index, point in enumerate(points):
        if not all(-20 <= each <= 20 for each in point):
            table.note(f"calibration[{index}]")("log-odds from -20 to 20", shown(list(point)), "change it")
    return points


def _pairs(table: Table, key: str, form: str, advice: str, too_few: str) -> tuple[tuple[float, float], ...]:
    """Return the key's points, 2 to `MAX_KNOTS`; what is no list of points is noted, and none are returned."""
    given = table.raw(key)
    if not isinstance(given, list) or not all(_is_point(point) for point in given):
        table.note(key)(form, "nothing" if given is None else shown(given), advice)
        return ()
    points = tuple((float(x), float(y)) for x, y in given)
    if not 2 <= len(points) <= MAX_KNOTS:
        table.note(key)(f"2 to {MAX_KNOTS} points", str(len(points)), too_few)
    return points


def _is_point(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(is_number(part) for part in point)


def _categories(table: Table, value: Value) -> tuple[tuple[str, float], ...]:
    known = CATEGORIES.get(value.attribute, ())
    if not known:
        if "categories" in table and not value.attribute.startswith("?"):
            advice = f"use a curve, or a value of {', '.join(CATEGORIES)}"
            table.note("categories")("a value with categories", f"'{value.text}'", advice)
        table.raw("categories")
        return ()
    if "categories" not in table:
        table.note("categories")(f"a sub-score for each of {', '.join(known)}", "nothing", "add categories = { … }")
    below = table.table("categories")
    scores = tuple((name, below.number(name, None, 0.0, 100.0)) for name in known) if "categories" in table else ()
    below.finish()
    return scores


def _direction(table: Table, points: Points) -> Direction:
    rises = all(left[1] <= right[1] for left, right in pairwise(points))
    falls = all(left[1] >= right[1] for left, right in pairwise(points))
    derived = Direction.NONE
    if points and rises != falls:
        derived = Direction.UP if rises else Direction.DOWN
    declared = Direction(table.choice("direction", [str(item) for item in Direction], str(derived)))
    contradicted = (declared is Direction.UP and not rises) or (declared is Direction.DOWN and not falls)
    if contradicted:
        said, form = ("steps have", "steps") if "steps" in table else ("curve has", "curve")
        table.note("direction")(f"'{derived}' as the {said} it", f"'{declared}'", f"change the {form} or the direction")
    return declared


def _reference(value: Value, curve: Points, steps: Points, categories: tuple[tuple[str, float], ...]) -> float:
    if categories:
        return max(score for _, score in categories)
    if value.kind in HEALTHY and len(curve) >= 2:
        return curve_at(curve, HEALTHY[value.kind])
    if value.kind in HEALTHY and steps:
        return next((y for x, y in reversed(steps) if x <= HEALTHY[value.kind]), steps[0][1])
    return TYPICAL_REFERENCE


def curve_at(curve: Points, x: float) -> float:
    """Return the sub-score, 0-100, of a value x: straight between the points, flat outside.

    Examples
    --------
    >>> curve_at(((0.0, 100.0), (10.0, 0.0)), 2.5), curve_at(((0.0, 100.0), (10.0, 0.0)), 99.0)
    (75.0, 0.0)
    """
    for (left_x, left_y), (right_x, right_y) in pairwise(curve):
        if x < right_x:
            share = max(x - left_x, 0.0) / (right_x - left_x) if right_x > left_x else 0.0
            return left_y + share * (right_y - left_y)
    return curve[-1][1]


def _title(name: str) -> str:
    return name.replace("_", " ")
