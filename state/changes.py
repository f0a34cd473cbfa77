"""What people and systems say of an account itself: attributes, outcomes, commands. Rare, so plain Python.

Each function changes columns of one row that `state.apply.begin` has made ready; scoring follows from the caller.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from scoring.lifecycle import ACKNOWLEDGED, CLEARING, FIRING, INACTIVE, RESOLVED, SNOOZED
from scoring.variables import CATEGORIES
from state.events import Account, Command, Outcome, Relationship
from state.layout import (
    ARR,
    CHAMPION,
    CLOSED,
    CONTACTS,
    CONTRACT_START,
    ENGAGEMENT_COST,
    EXECUTIVE,
    EXPECTED_UPLIFT,
    MANUAL_HEALTH,
    MANUAL_UNTIL,
    MICRO,
    NEVER,
    NO_VALUE,
    OUTCOME_NARRATIVE,
    RELATIONSHIP_AT,
    RENEWAL_AT,
    SEATS,
    STRATEGIC_FIT,
)
from state.moments import rfc3339

NUMBERS: Final[Mapping[str, int]] = {
    "arr": ARR,
    "seats": SEATS,
    "contract_start_ms": CONTRACT_START,
    "renewal_at_ms": RENEWAL_AT,
    "contacts": CONTACTS,
    "expected_uplift": EXPECTED_UPLIFT,
    "engagement_cost": ENGAGEMENT_COST,
}
"""Field of an account event → column; whole numbers in the column's unit."""

WORDS: Final = ("name", "owner", "segment", "plan", "currency", "industry", "size", "region", "stage", "parent")
"""Fields that no formula reads; they are kept as the row's profile."""

RELATIONSHIP: Final = "relationship"
"""Member of the profile: each fact with who said it when, and who `confirmed` all of them last."""
OVERLAY: Final = (
    ("champion", CHAMPION, "relationship.champion"),
    ("executive", EXECUTIVE, "relationship.executive"),
    ("outcome", OUTCOME_NARRATIVE, "relationship.outcome"),
)

Row = Any
"""One line of `ints`: a view of int64."""


def set_attributes(row: Row, profile: MutableMapping[str, Any], event: Account) -> bool:
    """Take over the stated attributes (absent = unchanged, null = erased); return whether the profile changed."""
    for field, column in NUMBERS.items():
        value = getattr(event, field)
        if value is not UNSET:
            row[column] = NO_VALUE if value is None else value
    if event.strategic_fit is not UNSET:
        row[STRATEGIC_FIT] = NO_VALUE if event.strategic_fit is None else round(event.strategic_fit * MICRO)
    if event.relationship is not UNSET:
        _set_relationship(row, event.relationship, event.occurred_at_ms)
    if row[CLOSED] and event.contract_start_ms not in (UNSET, None):
        row[CLOSED] = 0  # a new contract: the account is a customer again
    before = dict(profile)
    if event.relationship is not UNSET:
        _note_relationship(row, profile, event.relationship, event.occurred_at_ms)
    for field in WORDS:
        value = getattr(event, field)
        if value is None:
            profile.pop(field, None)
        elif value is not UNSET:
            profile[field] = value
    return before != profile


def _set_relationship(row: Row, relationship: Relationship | None, at_ms: int) -> None:
    if relationship is None:
        for _, column, _ in OVERLAY:
            row[column] = NO_VALUE
        row[RELATIONSHIP_AT] = NO_VALUE
        return
    for field, column, attribute in OVERLAY:
        value = getattr(relationship, field)
        if value is not UNSET:
            row[column] = NO_VALUE if value is None else CATEGORIES[attribute].index(value)
    is_known = any(row[column] != NO_VALUE for _, column, _ in OVERLAY)  # where nothing is, nothing was confirmed
    row[RELATIONSHIP_AT] = _stated_at(relationship, at_ms) if is_known else NO_VALUE


def _stated_at(relationship: Relationship, at_ms: int) -> int:
    return at_ms if relationship.at_ms in (UNSET, None) else relationship.at_ms


def _note_relationship(
    row: Row, profile: MutableMapping[str, Any], relationship: Relationship | None, at_ms: int
) -> None:
    """Keep who said what people know of the account, and who confirmed all of it last, each with its date."""
    if relationship is None or row[RELATIONSHIP_AT] == NO_VALUE:
        profile.pop(RELATIONSHIP, None)
        return
    said = {"at": rfc3339(_stated_at(relationship, at_ms))}
    said |= {"by": relationship.by} if relationship.by else {}
    known = dict(profile.get(RELATIONSHIP, {}))
    for field, _, _ in OVERLAY:
        value = getattr(relationship, field)
        if value is None:
            known.pop(field, None)
        elif value is not UNSET:
            known[field] = {"is": value, **said}
    profile[RELATIONSHIP] = known | {"confirmed": said}


def take_outcome(row: Row, event: Outcome) -> bool:
    """Note what became of the contract; return whether the account is closed by it."""
    if event.outcome == "churned":
        row[CLOSED] = 1
        return True
    if event.outcome == "renewed":
        row[CLOSED] = 0
    return False


class Move(msgspec.Struct, frozen=True):
    """What a command asks of a rule's life cycle: the state to enter, and until when (ms, 0 = no end)."""

    state: int
    until_ms: int = 0


def move_of(event: Command, state: int) -> Move | None:
    """Return what a command does to an alert in a state, or None where it does nothing there."""
    is_live = state in (FIRING, ACKNOWLEDGED, SNOOZED, CLEARING)
    if not is_live or state == INACTIVE:
        return None
    if event.command == "acknowledge" and state != ACKNOWLEDGED:
        return Move(ACKNOWLEDGED)
    if event.command == "snooze" and event.until_ms is not None and event.until_ms > event.occurred_at_ms:
        return Move(SNOOZED, event.until_ms)
    if event.command == "resolve":
        return Move(RESOLVED)
    return None


def set_manual(row: Row, event: Command) -> bool:
    """Take over a person's own score until its end; return whether the command stated one."""
    if event.health is None:
        return False
    row[MANUAL_HEALTH] = round(event.health * MICRO)
    row[MANUAL_UNTIL] = NEVER if event.until_ms is None else event.until_ms
    return True
