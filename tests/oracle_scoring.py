"""The oracle's arithmetic: what a score is, written down once more, plainly and slowly.

Nothing here is compiled, kept from before or skipped: every number follows from raw marks (what an event left behind)
at one instant. It shares only the checked model and `scoring.expressions.evaluate` with the code it judges.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from scoring.expressions import Opcode, evaluate
from scoring.model import Input, MeasureKind, Model, Propensity, Signal, TermKind, Value, ValueKind
from scoring.values import seat_signal
from scoring.variables import Layout
from tests.oracle_cohorts import CohortReader, References, relative_value
from tests.oracle_marks import DAY, NAN, UNITS, Account, Facts, baseline_of, day_of, limits_in, weights_in


def millionths(number: float) -> float:
    """Return a number to a millionth, halves up."""
    return math.floor(number * 1e6 + 0.5) / 1e6


@dataclass
class Score:
    """One score: values and contributions in the model's order; NaN stands for unknown."""

    values: list[float]
    subscores: list[float]
    weights: list[float]
    contributions: list[float]
    health: float
    coverage: float
    risk: float = NAN
    expansion: float = NAN


def all_values(model: Model) -> list[Value]:
    """Return every value a model reads by its text: its inputs' and those of its expressions."""
    return [*(entry.value for entry in model.inputs), *model.hidden]


@cache
def weights_of(decay_days: float, days: int) -> float:
    """Return the sum of an exponential decay's weights over days 1 … `days`; 0 with none."""
    total = 0.0
    for k in range(1, days + 1):
        total += math.exp(-k / decay_days)
    return total


class Reader:
    """Reads numbers off one account at one instant."""

    def __init__(self, model: Model, account: Account, at_ms: int, references: References) -> None:
        self.model, self.account, self.at, self.references = model, account, at_ms, references
        self.day = account.day
        self.elapsed = (at_ms - self.day * DAY) / DAY

    def days_since(self, at_ms: int) -> float:
        """Return days between an earlier instant and now."""
        return (self.at - at_ms) / DAY

    def exposure(self, window: int) -> float:
        """Return the days a window covers of the account's history, at least one."""
        return max(min(window - 1.0 + self.elapsed, self.days_since(self.account.first_at)), 1.0)

    def recent(self, signal: Signal, facts: Facts) -> float:
        """Return the rate per day, decayed over 7 days."""
        first = self.account.first_at
        age = self.day - day_of(first)
        weight = self.elapsed
        missing = (first - day_of(first) * DAY) / DAY
        if age > 0:
            weight += weights_of(7.0, min(age, 90))
            missing *= math.exp(-age / 7.0) if age <= 90 else 0.0
        return (facts.fast + facts.today) / unit(signal) / max(weight - missing, 1.0)

    def habit(self, signal: Signal, facts: Facts, last_at: int) -> float:
        """Return the rate per day, decayed over 90 days, as of the signal's last day."""
        first = self.account.first_at
        age = self.day - day_of(first)
        quiet = max(self.day - day_of(last_at), 0)
        days = min(age, 90) - quiet
        weight = weights_of(90.0, days)
        missing = (first - day_of(first) * DAY) / DAY
        if days > 0:
            missing = missing * math.exp(-days / 90.0) if age <= 90 else 0.0
        if quiet > 0:
            amount, weight = facts.slow / math.exp(-quiet / 90.0), weight + 1.0
        else:
            amount, weight = facts.slow + facts.today, weight + self.elapsed
        return amount / unit(signal) / max(weight - missing, 7.0)

    def value(self, value: Value) -> float:  # noqa: C901, PLR0911, PLR0912 - one line per kind of value
        """Return one value, NaN where nothing is known."""
        if value.kind is ValueKind.ATTRIBUTE:
            return self.attribute(value.attribute)
        signal = self.model.signal(value.signal)
        marks, facts = self.account.marks[signal.name], self.account.facts[signal.name]
        if signal.topic not in self.account.topics:
            return NAN
        match value.kind:
            case ValueKind.OPEN:
                return float(facts.open_count)
            case ValueKind.AGE:
                return 0.0 if facts.open_oldest is None else max(self.days_since(facts.open_oldest), 0.0)
            case ValueKind.SUM:
                return facts.sums[value.window_days] / unit(signal)
            case ValueKind.TOTAL:
                return marks.total(signal) / unit(signal)
            case ValueKind.SHARE:
                other = self.model.signal(value.other)
                whole = self.account.facts[other.name].sums[value.window_days] / unit(other)
                return NAN if whole == 0 else facts.sums[value.window_days] / unit(signal) / whole
            case ValueKind.BURN:
                return self.burn(value, signal)
        last_at = marks.last_at
        if last_at is None:
            return NAN
        match value.kind:
            case ValueKind.LAST:
                assert marks.last_value is not None
                return marks.last_value[1] / unit(signal)
            case ValueKind.DAYS_SINCE:
                return max(self.days_since(last_at), 0.0)
        if value.is_relative:
            cohort = CohortReader(self.references, self.account, signal, facts, self.at)
            return relative_value(cohort, value.kind, unit(signal), (value.window_days, value.long_window_days))
        match value.kind:
            case ValueKind.RATE:
                return facts.sums[value.window_days] / unit(signal) / self.exposure(value.window_days)
            case ValueKind.RATIO:
                short, long = value.window_days, value.long_window_days
                if facts.sums[long] == 0:
                    return NAN
                return facts.sums[short] / facts.sums[long] * self.exposure(long) / self.exposure(short)
            case ValueKind.LEVEL:
                return self.recent(signal, facts)
        return self.change_of_habit(value.kind, signal, facts, last_at)

    def burn(self, value: Value, bad: Signal) -> float:
        """Return by how much the share of bad events exceeds its budget, in the milder of two windows."""
        every = self.model.signal(value.other)
        shares = []
        for window in (value.window_days, value.long_window_days):
            spent, whole = self.lately(bad, window), self.lately(every, window)
            if whole <= 0:
                return (
                    NAN if window == value.long_window_days or self.lately(every, value.long_window_days) <= 0 else 0.0
                )
            shares.append(spent / whole)
        return min(shares) * 1e6 / round(value.budget * 1e6)

    def lately(self, signal: Signal, window: int) -> float:
        """Return a sum over whole days, or over 24 hours: today's, and of yesterday's the part that is within them."""
        if window > 1:
            return self.account.facts[signal.name].sums[window] / unit(signal)
        amounts = self.account.marks[signal.name].amounts
        today, yesterday = (sum(a for d, a in amounts if d == self.day - age) for age in (0, 1))
        return (today + (1.0 - self.elapsed) * yesterday) / unit(signal)

    def change_of_habit(self, kind: ValueKind, signal: Signal, facts: Facts, last_at: int) -> float:
        """Return momentum, surprise or silence."""
        if self.day - day_of(last_at) > 60:
            if kind is ValueKind.SILENCE:
                return 1.0 * self.days_since(last_at) / signal.dispersion
            return -2.0 if kind is ValueKind.MOMENTUM else -10.0
        if kind is not ValueKind.SILENCE and self.day - day_of(self.account.first_at) < 7:
            return 0.0
        habit = self.habit(signal, facts, last_at)
        if kind is ValueKind.MOMENTUM:
            return min(max(math.log((self.recent(signal, facts) + 0.05) / (habit + 0.05)), -2.0), 2.0)
        dispersion = max(signal.dispersion, facts.burst / unit(signal) - habit)
        if kind is ValueKind.SILENCE:
            return habit * max(self.days_since(last_at), 0.0) / dispersion
        spread = 1.0 / (2.0 * 7.0) + 1.0 / (2.0 * 90.0) - 2.0 / (7.0 + 90.0)
        z = (self.recent(signal, facts) - habit) / math.sqrt(dispersion * max(habit, 0.05) * spread)
        return min(max(z, -10.0), 10.0)

    def attribute(self, name: str) -> float:  # noqa: PLR0911 - one line per attribute
        """Return an attribute as a number, NaN where it is not known."""
        known = self.account.attributes
        if name == "seat_use":
            counted = seat_signal({signal.name: signal for signal in self.model.signals})
            if counted is None or "usage" not in self.account.topics or not known.get("seats"):
                return NAN
            return self.account.facts[counted].sums[30] / known["seats"]
        if name == "days_to_renewal":
            return (known["renewal_at"] - self.at) / DAY if "renewal_at" in known else NAN
        if name == "days_since_start":
            start = known.get("contract_start", self.account.first_at)
            return NAN if start is None else self.days_since(start)
        if name == "days_since_confirmed":
            return max(self.days_since(known["relationship_at"]), 0.0) if "relationship_at" in known else NAN
        if name == "days_unconfirmed":
            stated = known.get("relationship_at", self.account.first_at)
            return NAN if stated is None else max(self.days_since(stated), 0.0)
        if name == "strategic_fit":
            return known[name] / 1e6 if name in known else NAN
        return float(known[name]) if name in known else NAN

    def validity(self, entry: Input) -> float:
        """Return how much a hand-entered fact still counts, 0-1."""
        if entry.valid_for_ms is None:
            return 1.0
        stated = self.account.attributes.get("relationship_at")
        return 0.0 if stated is None else min(max(2.0 - (self.at - stated) / entry.valid_for_ms, 0.0), 1.0)

    # ---- the score

    def score(self) -> Score:
        """Return the account's score now."""
        inputs = self.model.inputs
        values = [self.value(entry.value) for entry in inputs]
        subscores = [NAN if math.isnan(v) else subscore(e, v) for e, v in zip(inputs, values, strict=True)]
        own = weights_in(self.model, self.account.segment)
        known = zip(inputs, own, values, strict=True)
        weights = [0.0 if math.isnan(v) else w * self.validity(e) for e, w, v in known]
        total = weighted = referenced = 0.0
        for entry, weight, points in zip(inputs, weights, subscores, strict=True):
            if not math.isnan(points):
                total += weight
                weighted += weight * points
                referenced += weight * entry.reference
        coverage = millionths(total / sum(own))
        result = Score(values, subscores, weights, [0.0] * (len(inputs) + 2), NAN, coverage)
        if total > 0 and coverage >= self.model.minimum_coverage:
            plain = weighted / total
            shares = [
                weight * (points - entry.reference) / total if weight > 0 else 0.0
                for entry, weight, points in zip(inputs, weights, subscores, strict=True)
            ]
            missing = referenced / total - baseline_of(self.model, self.account.segment)
            unlimited = baseline_of(self.model, self.account.segment)
            for share in (*shares, missing):
                unlimited += share
            result.health = millionths(self.limited(plain, result))
            result.contributions = [*shares, missing, result.health - unlimited]
        result.risk = self.propensity(self.model.risk, result)
        result.expansion = self.propensity(self.model.expansion, result)
        return result

    def limited(self, health: float, score: Score) -> float:
        """Return health after floors, then caps, then a person's own."""
        account = self.account
        standing = []
        for k, override in enumerate(self.model.overrides):
            since = account.override_since[k]
            is_over = override.for_ms is not None and since is not None and self.at >= since + override.for_ms
            if self.holds(override.when.program, score) and not is_over:
                standing.append(override)
        for override in standing:
            health = health if override.floor is None else max(health, override.floor)
        for override in standing:
            health = health if override.cap is None else min(health, override.cap)
        if account.manual is not None and (account.manual[1] is None or self.at < account.manual[1]):
            health = account.manual[0]
        return min(max(health, 0.0), 100.0)

    def propensity(self, propensity: Propensity, score: Score) -> float:
        """Return a probability to a millionth, NaN without a health."""
        if math.isnan(score.health):
            return NAN
        log_odds = propensity.intercept
        for term in propensity.terms:
            log_odds += term.coefficient * self.term(term.kind, term.target, score)
        if propensity.calibration:
            log_odds = curve_at(propensity.calibration, log_odds)
        if log_odds >= 0:
            return millionths(1.0 / (1.0 + math.exp(-log_odds)))
        return millionths(math.exp(log_odds) / (1.0 + math.exp(log_odds)))

    def term(self, kind: TermKind, target: str, score: Score) -> float:  # noqa: C901, PLR0911 - one line per kind
        """Return what a coefficient multiplies, 0 without data."""
        known = self.account.attributes
        match kind:
            case TermKind.HEALTH:
                return (score.health - baseline_of(self.model, self.account.segment)) / 100.0
            case TermKind.INPUT:
                k = [entry.name for entry in self.model.inputs].index(target)
                return (score.subscores[k] - self.model.inputs[k].reference) / 100.0 if score.weights[k] > 0 else 0.0
            case TermKind.COVERAGE:
                return score.coverage - 1.0
            case TermKind.MOMENTUM:
                return zero_if_unknown(self.value(Value(ValueKind.MOMENTUM, target)))
            case TermKind.SLOPE:
                return zero_if_unknown(self.account.slope)
            case TermKind.ACCELERATION:
                return zero_if_unknown(self.account.acceleration)
            case TermKind.RENEWAL_NEAR:
                at = known.get("renewal_at")
                return 0.0 if at is None or at < self.at else max(1.0 - (at - self.at) / self.model.horizon_ms, 0.0)
            case TermKind.SEAT_USE:
                return zero_if_unknown(self.attribute("seat_use") - 0.75)
            case TermKind.DORMANT:
                quiet = self.value(Value(ValueKind.DAYS_SINCE, target))
                return 0.0 if math.isnan(quiet) else min(max((quiet - 60.0) / 120.0, 0.0), 1.0)
            case TermKind.STRATEGIC_FIT:
                return zero_if_unknown(self.attribute("strategic_fit") - 0.5)
        return (min(known["contacts"], 5) - 2.0) / 3.0 if "contacts" in known else 0.0

    def worth(self, score: Score) -> float:
        """Return what working the account for one horizon may bring, NaN without a yearly revenue."""
        known, value = self.account.attributes, self.model.value
        if "arr" not in known:
            return NAN
        yearly = known["arr"] / 10_000
        extra = known["expected_uplift"] / 10_000 if "expected_uplift" in known else yearly * value.expected_uplift
        cost = known["engagement_cost"] / 10_000 if "engagement_cost" in known else value.engagement_cost
        return (1.0 - score.risk) * yearly * value.margin + score.expansion * extra * value.margin - cost

    # ---- conditions

    def holds(self, program: Sequence[tuple[int, float]], score: Score) -> bool:
        """Return whether a condition is true of the account with this score."""
        numbers = (int(operand) for opcode, operand in program if opcode == Opcode.LOAD)
        variables = {number: self.variable(number, score) for number in numbers}
        return evaluate(program, variables) > 0  # type: ignore[arg-type]  # read by number only

    def variable(self, number: int, score: Score) -> float:  # noqa: C901, PLR0911, PLR0912 - one line per kind of variable
        """Return one variable of the rules."""
        account = self.account
        kind, what = named(self.model, number)
        match kind:
            case "hidden":
                return self.value(what)
            case "value":
                return score.values[what]
            case "subscore":
                return score.subscores[what]
            case "in_band":
                return float(account.band == what)
            case "eta":
                threshold = limits_in(self.model, account.segment)[what][0]
                if score.health < threshold:
                    return 0.0
                return (score.health - threshold) / -account.slope if account.slope < -0.02 else NAN
            case "health" | "risk" | "expansion" | "coverage":
                return getattr(score, kind)
            case "slope" | "acceleration":
                return getattr(account, kind)
            case "days_in_band":
                return NAN if account.band is None else self.days_since(account.band_since)
            case "change":
                return score.health - account.close_health(self.model, self.day - what)
            case "divergence":
                stated = account.manual is not None and (account.manual[1] is None or self.at < account.manual[1])
                return score.contributions[-1] if stated else NAN
            case "expected_value":
                return self.worth(score)
            case "value_at_risk":
                return score.risk * account.attributes["arr"] / 10_000 if "arr" in account.attributes else NAN
        return self.attribute(kind)


_NAMED: dict[tuple[str, int], tuple[str, Any]] = {}


def named(model: Model, number: int) -> tuple[str, Any]:
    """Return what a variable's number stands for: its kind, and which one."""
    key = (model.fingerprint, number)
    if key not in _NAMED:
        layout = Layout(len(model.inputs), len(model.bands))
        name = model.variables[number]
        if number >= layout.hidden:
            _NAMED[key] = ("hidden", model.hidden[number - layout.hidden])
        elif number >= layout.in_bands:
            _NAMED[key] = ("in_band", number - layout.in_bands)
        elif number >= layout.etas:
            _NAMED[key] = ("eta", number - layout.etas)
        elif number >= layout.values:
            _NAMED[key] = ("value", number - layout.values)
        elif number >= layout.scores:
            _NAMED[key] = ("subscore", number - layout.scores)
        else:
            _NAMED[key] = ("change", int(name[7:])) if name.startswith("change_") else (name, None)
    return _NAMED[key]


def zero_if_unknown(number: float) -> float:
    """Return a number, 0 where it is not known."""
    return 0.0 if math.isnan(number) else number


def unit(signal: Signal) -> float:
    """Return how many whole units a signal keeps for one of its own."""
    is_scaled = signal.measure.kind in (MeasureKind.SUM, MeasureKind.LAST)
    return float(UNITS.get(signal.measure.field, 1)) if is_scaled else 1.0


def subscore(entry: Input, value: float) -> float:
    """Return a value's sub-score: straight between the curve's points, flat outside; or that of its step."""
    if entry.categories:
        return entry.categories[int(value)][1]
    if entry.steps:
        return next((y for x, y in reversed(entry.steps) if x <= value), entry.steps[0][1])
    return curve_at(entry.curve, value)


def curve_at(points: Sequence[tuple[float, float]], value: float) -> float:
    """Return what a line through points says: straight between them, flat outside."""
    if value <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if value <= right:
            return low + (high - low) * (value - left) / (right - left) if value < right else high
    return points[-1][1]


def trajectory(healths: Mapping[int, float], day: int) -> tuple[float, float]:
    """Return slope and acceleration on a day from the healths at the closes of the days before it."""
    slope = fitted([healths.get(d, NAN) for d in range(day - 14, day)])
    earlier = fitted([healths.get(d, NAN) for d in range(day - 28, day - 14)])
    acceleration = (slope - earlier) / 14
    return tuple(NAN if math.isnan(n) else millionths(n) for n in (slope, acceleration))  # type: ignore[return-value]


def fitted(healths: Sequence[float]) -> float:
    """Return the least-squares slope per day of daily numbers, oldest first; NaN with fewer than 7 known."""
    points = [(float(k - len(healths) + 1), y) for k, y in enumerate(healths) if not math.isnan(y)][::-1]
    n = len(points)
    if n < 7:
        return NAN
    sum_x, sum_y = sum(x for x, _ in points), sum(y for _, y in points)
    sum_xx, sum_xy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    return (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x)
