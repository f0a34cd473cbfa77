"""A model in plain words, for people who own account health: what counts, how much, when somebody is told."""

from collections.abc import Iterator
from dataclasses import replace

from scoring.conduct import Conduct, Playbook
from scoring.durations import format_duration
from scoring.model import (
    ITEM_SEVERITIES,
    Band,
    Input,
    MeasureKind,
    Model,
    Propensity,
    Rule,
    Signal,
    Value,
    ValueKind,
)
from scoring.segments import Segment

_MEASURES = {
    MeasureKind.COUNT: "number of",
    MeasureKind.SUM: "sum of {field} over",
    MeasureKind.DISTINCT: "number of different {field} in",
    MeasureKind.ACTIVE_DAYS: "days with",
    MeasureKind.LAST: "last {field} of",
    MeasureKind.DAYS_SINCE: "time since the last of",
}
_VALUES = {
    ValueKind.LEVEL: "{signal} per day, recently",
    ValueKind.RATE: "{signal} per day over {window} days",
    ValueKind.SUM: "{signal} in {window} days",
    ValueKind.RATIO: "{signal} per day over {window} days against {long} days",
    ValueKind.MOMENTUM: "{signal} now against the last quarter (log ratio, 0 = as usual)",
    ValueKind.SURPRISE: "how far {signal} lies outside the account's own noise (standard deviations)",
    ValueKind.SILENCE: "how many of the account's usual {signal} have failed to come",
    ValueKind.AGE: "days since the oldest open one of {signal} was due or opened",
    ValueKind.OPEN: "number of open {signal}",
    ValueKind.DAYS_SINCE: "days since {signal}",
    ValueKind.LAST: "latest {signal}",
    ValueKind.SHARE: "{signal} as a share of {other} in {window} days",
    ValueKind.TOTAL: "{signal} since the account was first seen",
    ValueKind.BURN: "how many times {budget:g} of {other} {signal} were, over {window} and over {long} days, the lesser of both",
}


def describe(model: Model) -> str:
    """Return the whole model in plain words, one fact per line."""
    return "\n".join(_lines(model))


def _lines(model: Model) -> Iterator[str]:
    yield f"{model.name}, version {model.version} (fingerprint {model.fingerprint})"
    if model.owner:
        yield f"Owned by {model.owner}{f', approved by {model.approver}' if model.approver else ''}."
    if model.note:
        yield f"Change: {model.note}"
    yield f"Lost means: {_outcome(model.outcome)}. Risk looks {format_duration(model.horizon_ms)} ahead."
    yield f"A healthy account scores {model.baseline:.1f}."
    yield f"An account with less than {model.minimum_coverage:.0%} of the weight known gets no score."
    yield ""
    yield "Measured"
    yield from (f"  {signal.title}: {_signal(signal)}" for signal in model.signals)
    yield ""
    yield "Health is the weighted mean of"
    yield from _inputs(model)
    for segment in model.segments:
        yield ""
        yield from _segment(segment, model)
    if model.overrides:
        yield ""
    for override in model.overrides:
        side, limit = ("at most", override.cap) if override.cap is not None else ("at least", override.floor)
        lasting = f", for up to {format_duration(override.for_ms)}" if override.for_ms else ""
        yield f"Health is {side} {limit:g} while {override.title}: {override.when.text}{lasting}"
    yield ""
    yield "Bands"
    yield from (_band(band) for band in model.bands)
    yield "  green: everything above"
    yield ""
    yield "Alerts"
    yield from (_rule(rule) for rule in model.rules)
    if model.flapping:
        enter, leave = model.flapping.enter_percent, model.flapping.leave_percent
        yield f"  An alert that changed on {enter}% of the last 21 days stays open until that is below {leave}%"
    if model.account_cap:
        cap = model.account_cap
        yield f"  Beyond {cap.count} alerts of an account in {cap.days} days, more are marked as such, but for critical ones"
    yield ""
    yield from _propensity("Risk", model.risk)
    yield from _propensity("Expansion", model.expansion)
    yield f"Value: {_value(model)}"
    yield ""
    yield "Playbooks"
    for playbook in model.playbooks:
        yield from _playbook(playbook)
    yield from (f"Warning: {sentence}" for sentence in model.warnings)


def _inputs(model: Model) -> Iterator[str]:
    total = sum(item.weight for item in model.inputs)
    for name, title in (*((group.name, group.title) for group in model.groups), ("", "")):
        gathered = [item for item in model.inputs if item.group == name]
        if name:
            yield f"  {sum(item.weight for item in gathered) / total:4.0%}  {title}, of which"
        margin = "    " if name else ""
        for item in sorted(gathered, key=lambda item: (-item.weight, item.name)):
            yield f"  {margin}{item.weight / total:4.0%}  {item.title} [{item.code}]: {value_words(item.value, model)}"
            yield f"  {margin}      {_curve(item)}"


def _segment(segment: Segment, model: Model) -> Iterator[str]:
    """Say what is different for a segment's accounts, and only that."""
    who = " and ".join(f"{attribute} is {_or(values)}" for attribute, values in segment.where)
    yield f"Accounts whose {who} (segment {segment.name}); a healthy one scores {segment.baseline:.1f}"
    total, own = sum(segment.weights), sum(item.weight for item in model.inputs)
    for item, weight in zip(model.inputs, segment.weights, strict=True):
        if abs(weight / total - item.weight / own) > 1e-9:
            counted = f"{weight / total:4.0%}" if weight else "none"
            yield f"  {counted}  {item.title} [{item.code}] instead of {item.weight / own:.0%}"
    for band, limits in zip(model.bands, segment.bands, strict=True):
        here = replace(band, enter_below=limits.enter_below, leave_above=limits.leave_above, dwell_ms=limits.dwell_ms)
        if here != band:
            yield f"{_thresholds(here)} instead of {band.enter_below:g} and {band.leave_above:g}"


def value_words(value: Value, model: Model) -> str:
    """Return what a value is, in words."""
    if value.kind is ValueKind.ATTRIBUTE:
        return value.attribute.replace("relationship.", "the account's ").replace("_", " ")
    titles = {signal.name: signal.title for signal in model.signals}
    aside = ", each day as long as it was busy for the account's cohort" if value.is_relative else ""
    said = _VALUES[value.kind].format(
        signal=titles[value.signal],
        other=titles.get(value.other, ""),
        window=value.window_days,
        long=value.long_window_days,
        budget=value.budget,
    )
    return said + aside


def _outcome(outcome: str) -> str:
    if not outcome.startswith("silence:"):
        return f"the outcome '{outcome}' was recorded"
    _, topic, *event, duration = outcome.split(":")
    return f"no {' '.join([topic, *event])} event for {duration}"


def _signal(signal: Signal) -> str:
    if signal.measure.kind is MeasureKind.OPEN_ITEMS:
        mildest = ITEM_SEVERITIES[signal.minimum_severity]
        severity = f", {mildest} or worse" if signal.minimum_severity else ""
        return f"opened by {_or(signal.open)}, closed by {_or(signal.close)} ({signal.topic}){severity}"
    events = _or(signal.events) if signal.events else "all"
    measure = _MEASURES[signal.measure.kind].format(field=signal.measure.field)
    return f"{measure} {events} {signal.topic} events"


def _curve(item: Input) -> str:
    if item.categories:
        points = ", ".join(f"{name} {score:g}" for name, score in item.categories)
    elif item.steps:
        points = f"below {item.steps[1][0]:g} → {item.steps[0][1]:g}, "
        points += ", ".join(f"from {x:g} → {y:g}" for x, y in item.steps[1:])
    else:
        points = ", ".join(f"{x:g} → {y:g}" for x, y in item.curve)
    fading = f"; trusted for {format_duration(item.valid_for_ms)}, then fading" if item.valid_for_ms else ""
    return f"{points} (healthy: {item.reference:.0f}){fading}"


def _thresholds(band: Band) -> str:
    after = f" after {format_duration(band.dwell_ms)}" if band.dwell_ms else ""
    return f"  {band.name}: entered below {band.enter_below:g}, left above {band.leave_above:g}{after}"


def _band(band: Band) -> str:
    told = f"{band.severity} alert" if band.alert else "no alert"
    playbook = f", playbook {band.playbook}" if band.playbook else ""
    return f"{_thresholds(band)}; {told}{playbook}{_conduct(band.conduct)}"


def _rule(rule: Rule) -> str:
    for_long = f", for {format_duration(rule.for_ms)}" if rule.for_ms and not rule.conduct.every_ms else ""
    keep = f", until false for {format_duration(rule.keep_firing_for_ms)}" if rule.keep_firing_for_ms else ""
    playbook = f" → {rule.playbook}" if rule.playbook else ""
    said = f"  {rule.severity}: {rule.title} [{rule.code}]: {rule.when.text}{for_long}{keep}{playbook}"
    return said + _conduct(rule.conduct)


def _conduct(conduct: Conduct) -> str:
    """Return how an alert behaves beyond its condition, nothing where it says nothing of it."""
    said = ""
    if conduct.escalate_to:
        said += f"; {conduct.escalate_to} when unanswered for {format_duration(conduct.escalate_after_ms)}"
    if conduct.every_ms:
        said += f"; asked every {format_duration(conduct.every_ms)}, counted from the last answer"
    elif conduct.repeat_ms:
        said += f"; again every {format_duration(conduct.repeat_ms)}"
    if conduct.refractory_ms:
        said += f"; not again for {format_duration(conduct.refractory_ms)}"
    if conduct.mutes:
        said += f"; mutes {', '.join(conduct.mutes)}"
    return said


def _propensity(name: str, propensity: Propensity) -> Iterator[str]:
    terms = "".join(f" {'-' if t.coefficient < 0 else '+'} {abs(t.coefficient):g} * {t.text}" for t in propensity.terms)
    yield f"{name}: log-odds = {propensity.intercept:g}{terms}"
    if propensity.calibration:
        yield f"      calibrated: {', '.join(f'{x:g} → {y:g}' for x, y in propensity.calibration)}"


def _value(model: Model) -> str:
    value = model.value
    return (
        f"{value.margin:.0%} of revenue is kept, an expansion adds {value.expected_uplift:.0%}, working an account costs "
        f"{value.engagement_cost:g}; to rescue from risk {value.risky_from:.0%}, to grow from expansion "
        f"{value.expanding_from:.0%}, to protect from both"
    )


def _playbook(playbook: Playbook) -> Iterator[str]:
    goal = f": {playbook.goal}" if playbook.goal else ""
    how = f", by {', '.join(playbook.channels)}" if playbook.channels else ""
    yield f"  {playbook.name}{goal} ({playbook.owner}, within {format_duration(playbook.due_ms)}{how})"
    if playbook.escalate_to:
        yield f"    overdue, it is {playbook.escalate_to}'s"
    yield from (f"    nobody gets in touch while {each.name}: {each.when.text}" for each in playbook.suppress)
    if playbook.contact_cap:
        within = format_duration(playbook.contact_within_ms)
        yield f"    nobody gets in touch more than {playbook.contact_cap} times in {within}"
    if playbook.holdout_percent:
        yield f"    not for {playbook.holdout_percent}% of accounts, to measure its effect"
    yield from (f"    {number}. {step}" for number, step in enumerate(playbook.steps, 1))


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)
