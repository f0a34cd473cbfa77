"""The oracle's memory: the raw marks events leave on an account, and how they are counted on a day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from scoring.model import MeasureKind, Model, Signal
from scoring.variables import CATEGORIES
from state.decode import Chunk

HOUR, DAY = 3_600_000, 86_400_000
NAN = math.nan
UNITS = {"quantity": 1_000, "amount": 10_000, "score": 1_000, "mrr": 10_000}
KEPT_DAYS = 91
MONEY = {"expected_uplift": "expected_uplift", "engagement_cost": "engagement_cost"}
NOT_STATED = -(2**63)


def day_of(at_ms: int) -> int:
    """Return the UTC day of an instant."""
    return at_ms // DAY


@dataclass
class Facts:
    """What one signal says on one day: sums per window, sealed days' decayed sums, burst, today, open items."""

    sums: dict[int, int] = field(default_factory=dict)
    fast: float = 0.0
    slow: float = 0.0
    burst: float = 0.0
    today: int = 0
    open_count: int = 0
    open_oldest: int | None = None


@dataclass
class Marks:
    """Everything events left behind for one signal: raw, never summed up."""

    amounts: list[tuple[int, int]] = field(default_factory=list)  # (day, whole units)
    seen: list[tuple[int, object]] = field(default_factory=list)  # (day, who or what)
    items: dict[int, list[tuple[str, int, int | None, int]]] = field(default_factory=dict)  # (mark, at, due, severity)
    last_at: int | None = None
    last_value: tuple[int, int] | None = None  # (at, whole units)

    def total(self, signal: Signal) -> int:
        """Return what was counted of a signal in all, in its whole units."""
        if signal.measure.kind is MeasureKind.ACTIVE_DAYS:
            return len({day for day, _ in self.amounts})
        return sum(amount for _, amount in self.amounts)


@dataclass
class RuleLife:
    """Where one rule of one account stands."""

    state: str = "inactive"
    since: int = 0
    until: int = 0
    held: str = ""  # what a clearing rule returns to
    is_muted: bool = False
    episode: int = 0
    fired: int = 0  # when the open episode began
    told: int = 0  # when it was last announced as firing
    is_escalated: bool = False
    is_flapping: bool = False
    is_overdue: bool = False
    is_answered: bool = False
    is_capped: bool = False
    changes: set[int] = field(default_factory=set)  # days on which it changed


@dataclass
class Account:
    """All the oracle knows of one account."""

    as_of: int
    day: int
    marks: dict[str, Marks]
    facts: dict[str, Facts]
    rules: dict[str, RuleLife]
    override_since: list[int | None]
    next_due: float
    first_at: int | None = None
    today: int = 0  # events since midnight
    pace: int = 0  # eight times the events of a day, decaying over eight days
    is_closed: bool = False
    band: int | None = None
    band_since: int = 0
    candidate: tuple[int, int] | None = None  # (band, since)
    begun: list[int] = field(default_factory=list)  # the day of each alert that began under the account's cap
    sequence: int = 0
    deeds: list[int] = field(default_factory=list)  # of the newest twenty commands: when somebody got in touch, else -1
    attributes: dict[str, int] = field(default_factory=dict)
    profile: dict[str, str] = field(default_factory=dict)
    cohort: str = ""
    segment: str = ""  # the model's segment whose weights and bands apply
    manual: tuple[float, int | None] | None = None  # (health, until)
    topics: set[str] = field(default_factory=set)
    positions: dict[str, int] = field(default_factory=dict)
    closes: dict[int, list[int]] = field(default_factory=dict)  # day -> contributions in 1/256 points
    slope: float = NAN
    acceleration: float = NAN

    def close_health(self, model: Model, day: int) -> float:
        """Return health at a day's close as it was kept, NaN where there was none."""
        return baseline_of(model, self.segment) + sum(self.closes[day]) / 256 if day in self.closes else NAN


def weights_in(model: Model, name: str) -> list[float]:
    """Return the inputs' weights in a segment, "" = in none."""
    for segment in model.segments:
        if segment.name == name:
            return list(segment.weights)
    return [entry.weight for entry in model.inputs]


def baseline_of(model: Model, name: str) -> float:
    """Return the health of a healthy account in a segment: the weighted mean of the references."""
    weights = weights_in(model, name)
    weighted = sum(weight * entry.reference for weight, entry in zip(weights, model.inputs, strict=True))
    return weighted / sum(weights)


def limits_in(model: Model, name: str) -> list[tuple[float, float, int]]:
    """Return for each band where it is entered and left in a segment, and its dwell."""
    for segment in model.segments:
        if segment.name == name:
            return [(each.enter_below, each.leave_above, each.dwell_ms) for each in segment.bands]
    return [(band.enter_below, band.leave_above, band.dwell_ms) for band in model.bands]


def segment_said(model: Model, profile: dict[str, str]) -> str:
    """Return the name of the segment that an account's words put it in, "" = none."""
    fitting = [
        segment.name
        for segment in model.segments
        if not [attribute for attribute, values in segment.where if profile.get(attribute) not in values]
    ]
    assert len(fitting) <= 1
    return fitting[0] if fitting else ""


def facts_of(signal: Signal, marks: Marks, day: int) -> Facts:
    """Count a signal's raw marks as of a day."""
    kind = signal.measure.kind
    if kind is MeasureKind.DISTINCT:
        sums = {w: len({who for d, who in marks.seen if day - w < d <= day}) for w in (7, 14, 30, 90)}
        return Facts(sums=sums)
    if kind is MeasureKind.OPEN_ITEMS:
        standing = [since for marks_of in marks.items.values() if (since := open_since(marks_of, signal)) is not None]
        return Facts(
            sums=dict.fromkeys((7, 14, 30, 90), 0), open_count=len(standing), open_oldest=min(standing, default=None)
        )
    daily: dict[int, int] = {}
    for d, amount in marks.amounts:
        if day - KEPT_DAYS < d <= day:
            daily[d] = 1 if kind is MeasureKind.ACTIVE_DAYS else daily.get(d, 0) + amount
    sealed = [(day - d, daily[d]) for d in sorted(daily) if d < day]
    total = float(sum(amount for _, amount in sealed))
    fast = slow = squares = 0.0
    for age, amount in sealed:
        fast += amount * math.exp(-age / 7.0)
        slow += amount * math.exp(-age / 90.0)
        squares += float(amount) * float(amount)
    return Facts(
        sums={w: sum(a for d, a in daily.items() if day - w < d) for w in (7, 14, 30, 90)},
        fast=fast,
        slow=slow,
        burst=squares / total if total > 0 else 0.0,
        today=daily.get(day, 0),
    )


def is_closed(marks: Sequence[tuple[str, int, int | None, int]]) -> int | None:
    """Return when an item was closed for good, None while it is open or was never closed."""
    closed = max((at for mark, at, _, _ in marks if mark == "close"), default=None)
    again = max((at for mark, at, _, _ in marks if mark == "reopen"), default=None)
    return None if closed is None or (again is not None and again > closed) else closed


def open_since(marks: Sequence[tuple[str, int, int | None, int]], signal: Signal) -> int | None:
    """Return since when an item counts as open, None where it does not."""
    opened = [at if due is None else due for mark, at, due, _ in marks if mark in ("open", "reopen")]
    severity = max((severity for mark, _, _, severity in marks if mark != "close"), default=-1)
    severity = 1 if severity < 0 else severity
    if not opened or is_closed(marks) is not None or severity < signal.minimum_severity:
        return None
    return min(opened)


def category_number(attribute: str, name: str) -> int:
    """Return a category's number."""
    return CATEGORIES[attribute].index(name)


def leave_mark(signal: Signal, account: Account, chunk: Chunk, at: int) -> bool:
    """Note what one event means to a signal of its topic; return whether it means anything."""
    marks, event, measure = account.marks[signal.name], chunk.event[0], signal.measure
    if measure.kind is MeasureKind.OPEN_ITEMS:
        return leave_item_mark(signal, account, chunk, at)
    if signal.events and event not in signal.events:
        return False
    day = day_of(at)
    columns = {"quantity": chunk.quantity, "amount": chunk.amount, "score": chunk.score, "seats": chunk.seats}
    columns["mrr"] = chunk.mrr
    number = int(columns[measure.field][0]) if measure.field in columns else 1
    if measure.kind is MeasureKind.LAST:
        if number != NOT_STATED and (marks.last_value is None or (at, number) > marks.last_value):
            marks.last_value, marks.last_at = (at, number), at
        return True
    marks.last_at = at if marks.last_at is None else max(marks.last_at, at)
    if measure.kind is MeasureKind.DISTINCT:
        who = event if measure.field == "event" else int(chunk.user_hash[0])
        if who:
            marks.seen.append((day, who))
    elif measure.kind in (MeasureKind.COUNT, MeasureKind.SUM, MeasureKind.ACTIVE_DAYS) and number != NOT_STATED:
        marks.amounts.append((day, number))
    return True


def leave_item_mark(signal: Signal, account: Account, chunk: Chunk, at: int) -> bool:
    """Note an opening, closing or escalation of an item."""
    event, marks = chunk.event[0], account.marks[signal.name]
    if event in signal.open:
        mark = "reopen" if event == "ticket_reopened" else "open"
    elif event in signal.close:
        mark = "close"
    elif event in signal.escalate:
        mark = "escalate"
    else:
        return False
    marks.last_at = at if marks.last_at is None else max(marks.last_at, at)
    item = int(chunk.item_hash[0])
    if item:
        known = marks.items.setdefault(item, [])
        closed_at = is_closed(known)
        if closed_at is not None and day_of(closed_at) <= account.day - KEPT_DAYS:
            known.clear()  # what was settled longer ago than anything is kept is forgotten
        due = int(chunk.due_at_ms[0])
        known.append((mark, at, None if due == NOT_STATED else due, int(chunk.severity[0])))
    return True


def set_attributes(account: Account, event: Any) -> None:  # noqa: C901, PLR0912 - one line per attribute
    """Take over what an account event states."""
    fields = {"arr": "arr", "seats": "seats", "contract_start_ms": "contract_start", "renewal_at_ms": "renewal_at"}
    for source, name in {**fields, "contacts": "contacts", "strategic_fit": "strategic_fit", **MONEY}.items():
        value = getattr(event, source)
        if value is None:
            account.attributes.pop(name, None)
        elif value is not UNSET:
            account.attributes[name] = round(value * 1e6) if name == "strategic_fit" else int(value)
    if event.relationship is None:
        for name in ("relationship.champion", "relationship.executive", "relationship.outcome", "relationship_at"):
            account.attributes.pop(name, None)
    elif event.relationship is not UNSET:
        for name in ("champion", "executive", "outcome"):
            value = getattr(event.relationship, name)
            if value is None:
                account.attributes.pop(f"relationship.{name}", None)
            elif value is not UNSET:
                account.attributes[f"relationship.{name}"] = category_number(f"relationship.{name}", value)
        at = event.relationship.at_ms
        account.attributes["relationship_at"] = event.occurred_at_ms if at in (UNSET, None) else int(at)
        if not any(f"relationship.{name}" in account.attributes for name in ("champion", "executive", "outcome")):
            account.attributes.pop("relationship_at")
    for name in ("segment", "plan", "industry", "size", "region", "stage"):
        word = getattr(event, name)
        if word is None:
            account.profile.pop(name, None)
        elif word is not UNSET:
            account.profile[name] = word
    account.cohort = account.profile.get("segment", "")
    if account.is_closed and event.contract_start_ms not in (UNSET, None):
        account.is_closed = False
