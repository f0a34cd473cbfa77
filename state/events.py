"""The input events as types: the contract that producers see, and nothing else.

The four dense topics keep their wire form (times and amounts as texts), because a chunk of them is converted at once by
`state.columns`. The sparse topics convert while they are decoded: their times are milliseconds, their amounts int64
ten-thousandths, so whoever reads a struct never parses again.

Unknown fields, `properties` among them, are skipped without being built. An unknown `event` name is a generic event.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

ACCOUNT_ID_LIMIT: Final = 256
"""Longest account id, in characters."""
NAME_LIMIT: Final = 256
"""Longest id, event name, or other short text, in characters."""


class Moment(int):
    """An instant: RFC 3339 text (or a plain date, meaning 00:00 UTC) on the wire, milliseconds UTC in memory."""

    __slots__ = ()


class Money(int):
    """An amount: decimal text or number on the wire, ten-thousandths of the currency unit in memory, ≥ 0."""

    __slots__ = ()


AccountId = Annotated[str, Meta(min_length=1, max_length=ACCOUNT_ID_LIMIT, description="The customer account.")]
Text = Annotated[str, Meta(max_length=NAME_LIMIT)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
EventId = Annotated[Name, Meta(description="Unique per source; repeats are dropped.")]
EventName = Annotated[Name, Meta(description="Any name; one the model does not use is counted as a generic event.")]
Time = Annotated[
    str,
    Meta(
        max_length=64,  # 26 characters carry microseconds and an offset; the rest is room for needless digits
        description="RFC 3339 with an offset.",
        extra_json_schema={"format": "date-time"},
    ),
]
_PLAIN: Final = {"pattern": r"^[0-9]+(\.[0-9]+)?$"}
_PLAIN_SIGNED: Final = {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
Quantity = (
    Annotated[int, Meta(ge=0)]
    | Annotated[float, Meta(ge=0)]
    | Annotated[str, Meta(max_length=64, extra_json_schema=_PLAIN)]
)
"""Zero or more, as a number or decimal text; rounded half to even to the thousandth (quantity) or ten-thousandth (amount)."""
Signed = int | float | Annotated[str, Meta(max_length=64, extra_json_schema=_PLAIN_SIGNED)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A whole number that a double holds exactly."""
Ratio = Annotated[float, Meta(ge=0, le=1)]
Severity = Literal["low", "normal", "high", "urgent", "critical"]

SEVERITY_RANK: Final[Mapping[str, int]] = {"low": 0, "normal": 1, "high": 2, "urgent": 3, "critical": 3}
"""Ticket severity → rank; several help desks say `urgent` where others say `critical`."""


class Usage(msgspec.Struct, gc=False, kw_only=True):
    """Something a user did in the product."""

    id: EventId
    account_id: AccountId
    occurred_at: Time
    event: EventName
    quantity: Quantity | None = 1
    source: Text | None = None
    user_id: Text | None = None


class Billing(msgspec.Struct, gc=False, kw_only=True):
    """Something that happened to the account's money; a refund's amount is stated without a sign."""

    id: EventId
    account_id: AccountId
    occurred_at: Time
    event: EventName
    amount: Quantity | None = None
    currency: Text | None = None
    invoice_id: Text | None = None
    due_at: Time | None = None
    seats: Count | None = None
    mrr: Quantity | None = None
    source: Text | None = None
    user_id: Text | None = None


class Support(msgspec.Struct, gc=False, kw_only=True):
    """Something that happened to a ticket, or an answer to a survey (`csat`, `nps`) with its `score`."""

    id: EventId
    account_id: AccountId
    occurred_at: Time
    event: EventName
    ticket_id: Text | None = None
    severity: Severity | None = None
    score: Signed | None = None
    source: Text | None = None
    user_id: Text | None = None


class Engagement(msgspec.Struct, gc=False, kw_only=True):
    """A contact between the account's people and ours; `response_hours` is how long they took to answer."""

    id: EventId
    account_id: AccountId
    occurred_at: Time
    event: EventName
    contact_id: Text | None = None
    response_hours: Quantity | None = None
    source: Text | None = None
    user_id: Text | None = None


class Relationship(msgspec.Struct, kw_only=True):
    """What people know about the relationship; absent = unchanged, null = erase."""

    champion: Literal["active", "at_risk", "missing"] | UnsetType | None = UNSET
    executive: Literal["active", "lapsed", "none"] | UnsetType | None = UNSET
    outcome: Literal["defensible", "developing", "missing"] | UnsetType | None = UNSET
    by: Text | UnsetType | None = UNSET
    at_ms: Moment | UnsetType | None = field(name="at", default=UNSET)


class Account(msgspec.Struct, kw_only=True):
    """Attributes of an account; absent = unchanged, null = erase. `aliases` replaces the whole list."""

    account_id: AccountId
    occurred_at_ms: Moment = field(name="occurred_at")
    id: EventId | None = None
    source: Text | None = None
    user_id: Text | None = None
    name: Text | UnsetType | None = UNSET
    owner: Text | UnsetType | None = UNSET
    segment: Text | UnsetType | None = UNSET
    plan: Text | UnsetType | None = UNSET
    arr: Money | UnsetType | None = UNSET
    currency: Text | UnsetType | None = UNSET
    seats: Count | UnsetType | None = UNSET
    contract_start_ms: Moment | UnsetType | None = field(name="contract_start", default=UNSET)
    renewal_at_ms: Moment | UnsetType | None = field(name="renewal_at", default=UNSET)
    strategic_fit: Ratio | UnsetType | None = UNSET
    industry: Text | UnsetType | None = UNSET
    size: Text | UnsetType | None = UNSET
    region: Text | UnsetType | None = UNSET
    stage: Text | UnsetType | None = UNSET
    contacts: Count | UnsetType | None = UNSET
    expected_uplift: Money | UnsetType | None = UNSET
    engagement_cost: Money | UnsetType | None = UNSET
    aliases: Annotated[list[AccountId], Meta(max_length=1000)] | UnsetType | None = UNSET
    parent: AccountId | UnsetType | None = UNSET
    relationship: Relationship | UnsetType | None = UNSET


class Outcome(msgspec.Struct, kw_only=True):
    """The ground truth: what became of the contract."""

    id: EventId
    account_id: AccountId
    occurred_at_ms: Moment = field(name="occurred_at")
    outcome: Literal["renewed", "churned", "contracted", "expanded"]
    amount: Money | None = None
    currency: Text | None = None
    source: Text | None = None
    user_id: Text | None = None


class Command(msgspec.Struct, kw_only=True):
    """What a person decided about an alert or an account.

    `owner` goes with assign, `health` (0 to 100) and `until` with override, `step` with step_done.
    """

    id: EventId
    account_id: AccountId
    occurred_at_ms: Moment = field(name="occurred_at")
    command: Literal["acknowledge", "snooze", "resolve", "assign", "override", "note", "step_done", "outreach"]
    alert_id: Text | None = None
    by: Text | None = None
    until_ms: Moment | None = field(name="until", default=None)
    reason: Annotated[str, Meta(max_length=4000)] | None = None
    owner: Text | None = None
    health: Annotated[float, Meta(ge=0, le=100)] | None = None
    step: Text | None = None
    source: Text | None = None
    user_id: Text | None = None


class Tick(msgspec.Struct, kw_only=True):
    """The clock of a partition: it is `as_of_ms` once every input topic has been applied up to its end.

    Parameters
    ----------
    as_of_ms
        Milliseconds UTC, ≥ 0.
    ends
        Input topic → next offset that was to be written when the tick was made.
    """

    as_of_ms: Count
    ends: dict[str, Count]


Event = Usage | Billing | Support | Engagement | Account | Outcome | Command | Tick

EVENT_TYPES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "accounts": Account,
    "usage": Usage,
    "billing": Billing,
    "support": Support,
    "engagement": Engagement,
    "outcomes": Outcome,
    "commands": Command,
    "ticks": Tick,
}
"""Topic → the type of its records."""

KNOWN_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "billing": (
        "invoice_issued",
        "invoice_paid",
        "payment_failed",
        "refund",
        "purchase",
        "subscription_changed",
        "cancel_requested",
    ),
    "support": (
        "ticket_opened",
        "ticket_updated",
        "ticket_escalated",
        "ticket_reopened",
        "ticket_resolved",
        "csat",
        "nps",
    ),
    "engagement": (
        "meeting_held",
        "meeting_missed",
        "review_attended",
        "email_replied",
        "email_clicked",
        "unsubscribed",
        "complaint",
        "webinar",
        "pricing_page",
    ),
}
"""Topic → the event names that have an agreed meaning; others are generic."""
