"""Groups and segments of a model file: which inputs belong together, and for whom weights and bands differ."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from scoring.durations import format_duration
from scoring.model import Band, Input
from scoring.reading import DASHED, IDENTIFIER, Table, shown
from scoring.segments import ATTRIBUTES, Group, Limits, Segment
from scoring.variables import nearest

MAX_GROUPS = 12
MAX_SEGMENTS = 16


def read_groups(root: Table, inputs: Mapping[str, Input]) -> dict[str, Group]:
    """Return the groups by name, sorted. Either all of them weigh something, and every input is in one, or none does."""
    tables = root.tables("groups", MAX_GROUPS, IDENTIFIER)
    groups = {name: _group(name, table) for name, table in tables.items()}
    used = {entry.group for entry in inputs.values()}
    are_weighing = any(group.weight is not None for group in groups.values())
    for name, table in tables.items():
        if are_weighing and "weight" not in table:
            table.note("weight")("a weight, as other groups have one", "nothing", "add it, or remove the others")
        if name not in used:
            table.note("title")("at least one input", "none", f'write group = "{name}" under an input')
    for name, entry in inputs.items():
        place = f"inputs.{name}.group"
        if entry.group and entry.group not in groups:
            advice = nearest(entry.group, tuple(groups)) or f"declare it under [groups.{entry.group}]"
            root.note(place)("a declared group", f"'{entry.group}'", advice)
        elif are_weighing and not entry.group:
            root.note(place)(f"one of {', '.join(groups)}, for groups weigh", "nothing", "put the input into a group")
    return groups


def _group(name: str, table: Table) -> Group:
    weight = table.optional_number("weight", 0.0, 1000.0)
    if weight == 0.0 and "weight" in table:
        table.note("weight")("more than 0", "0", "remove the group instead")
    group = Group(name, table.text("title", name.replace("_", " ")), weight)
    table.finish()
    return group


def weighed(inputs: Mapping[str, Input], groups: Mapping[str, Group]) -> dict[str, Input]:
    """Return the inputs with the weights they really have: a group's own is shared out by its inputs'."""
    own = {name: entry.weight for name, entry in inputs.items()}
    shared = _shared(inputs, own, {name: group.weight for name, group in groups.items()})
    return {name: replace(entry, weight=shared[name]) for name, entry in inputs.items()}


def _shared(
    inputs: Mapping[str, Input], own: Mapping[str, float], groups: Mapping[str, float | None]
) -> dict[str, float]:
    found = {}
    for name, entry in inputs.items():
        weight = groups.get(entry.group)
        total = sum(own[other] for other, each in inputs.items() if each.group == entry.group)
        found[name] = own[name] if weight is None else weight * own[name] / total if total > 0 else 0.0
    return found


def read_segments(
    root: Table, inputs: Mapping[str, Input], groups: Mapping[str, Group], bands: Sequence[Band]
) -> tuple[Segment, ...]:
    """Return the segments by name, sorted; no account can be in two of them.

    Parameters
    ----------
    inputs
        As the file weighs them, before groups share out theirs.
    """
    tables = root.tables("segments", MAX_SEGMENTS, DASHED)
    found = tuple(_segment(name, table, inputs, groups, bands) for name, table in tables.items())
    for first, second in combinations(found, 2):
        before, after = dict(first.where), dict(second.where)
        if not any(set(before[each]).isdisjoint(after[each]) for each in before.keys() & after.keys()):
            tables[second.name].note("where")(
                f"no account that is in '{first.name}' too", _said(second), "give both an attribute with other values"
            )
    return found


def _said(segment: Segment) -> str:
    return " and ".join(f"{attribute} {' or '.join(values)}" for attribute, values in segment.where)


def _segment(
    name: str, table: Table, inputs: Mapping[str, Input], groups: Mapping[str, Group], bands: Sequence[Band]
) -> Segment:
    where = _where(name, table)
    own = {each: entry.weight for each, entry in inputs.items()}
    own |= _weights(table, "weights", tuple(inputs), "input")
    shares = {each: group.weight for each, group in groups.items()}
    weighing = tuple(each for each, weight in shares.items() if weight is not None)
    shares |= _weights(table, "groups", weighing, "group with a weight")
    weights = _shared(inputs, own, shares)
    if inputs and not any(weights.values()):
        table.note("weights")("at least one input that counts", "none", "leave one above 0")
    total = sum(weights.values()) or 1.0
    segment = Segment(
        name=name,
        where=where,
        weights=tuple(weights.values()),
        bands=_bands(table, bands),
        baseline=sum(weights[each] * entry.reference for each, entry in inputs.items()) / total,
    )
    if not {"weights", "groups", "bands"} & set(table.keys()):
        table.note("weights")("weights, groups or bands of its own", "nothing", "say what is different here")
    table.finish()
    return segment


def _where(name: str, table: Table) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if "where" not in table:
        table.raw("where")
        return (("segment", (name,)),)
    given = table.table("where")
    if not given.keys():
        table.note("where")(f"values of {', '.join(ATTRIBUTES)}", "nothing", 'write for example { plan = "gold" }')
    found = {each: tuple(sorted(set(given.texts(each, required=each in given)))) for each in ATTRIBUTES}
    given.finish()
    return tuple(sorted((each, values) for each, values in found.items() if values))


def _weights(table: Table, key: str, known: Sequence[str], what: str) -> dict[str, float]:
    given = table.table(key)
    for name in given.keys():  # noqa: SIM118 - a Table is not a mapping
        if name not in known:
            advice = nearest(name, known) or f"use one of {', '.join(known) or 'none'}"
            given.raw(name)
            given.note(name)(f"a declared {what}", shown(name), advice)
    return {name: given.number(name, None, 0.0, 1000.0) for name in known if name in given}


def _bands(table: Table, bands: Sequence[Band]) -> tuple[Limits, ...]:
    """Return the thresholds of all bands: the model's, but for those that the segment states."""
    names = tuple(band.name for band in bands)
    given = table.table("bands")
    for name in given.keys():  # noqa: SIM118
        if name not in names:
            given.raw(name)
            given.note(name)("a declared band", shown(name), nearest(name, names) or f"use one of {', '.join(names)}")
    found: list[Limits] = []
    for band in bands:
        own = given.table(band.name)
        limits = Limits(
            own.number("enter_below", band.enter_below, 0.0, 100.0),
            own.number("leave_above", band.leave_above, 0.0, 100.0),
            own.duration_ms("dwell", format_duration(band.dwell_ms)),
        )
        own.finish()
        if limits.leave_above <= limits.enter_below and own.keys():
            expected = f"more than {limits.enter_below:g} (enter_below)"
            own.note("leave_above")(expected, f"{limits.leave_above:g}", "without a gap noise makes the band flap")
        if found and (given.keys() and not _rises(found[-1], limits)):
            worse = f"{found[-1].enter_below:g} and {found[-1].leave_above:g} (the band below)"
            stated = f"{limits.enter_below:g} and {limits.leave_above:g}"
            own.note("enter_below")(f"thresholds above {worse}", stated, "bands must rise, worst first")
        found.append(limits)
    return tuple(found)


def _rises(worse: Limits, better: Limits) -> bool:
    return worse.enter_below < better.enter_below and worse.leave_above < better.leave_above
