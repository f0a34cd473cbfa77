"""Decoded events of one topic to columns: the second half of decoding, a field of all events at a time.

What a type cannot say (a day that does not exist, an amount beyond the countable) is found here and noted in `Faults`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from state.events import SEVERITY_RANK, Billing, Engagement, Support, Tick, Usage
from state.hashing import hash_identities, hash_texts
from state.layout import NO_VALUE
from state.numbers import TEN_THOUSANDTHS, THOUSANDTHS, scale_column
from state.rejections import RejectionCode
from state.timestamps import parse_times

ONE: Final = 1000
"""The quantity of an event that states none, in thousandths."""
NO_SEVERITY: Final = -1


@dataclass(slots=True)
class Faults:
    """What is wrong in a chunk's decoded events: index → (reason, path). The first fault of an event is its reason."""

    found: dict[int, tuple[RejectionCode, str]] = field(default_factory=dict)

    def at(self, path: str) -> Callable[[int, RejectionCode], None]:
        """Return a function that notes a fault of the event with that index at `path`."""

        def note(index: int, code: RejectionCode) -> None:
            self.found.setdefault(index, (code, path))

        return note

    def note_where(self, mask: np.ndarray, code: RejectionCode, path: str) -> None:
        """Note the same fault for every event where `mask` (bool, one per event) holds."""
        for index in np.flatnonzero(mask).tolist():
            self.found.setdefault(index, (code, path))


@dataclass(slots=True)
class Columns:
    """The fields of n events, one entry per event in log order.

    Parameters
    ----------
    account
        Account ids.
    event
        Event names; empty for topics whose events have none.
    occurred_at_ms
        int64, milliseconds UTC.
    id_hash
        uint64, `hash_identity(source, id)`; 0 = no id.
    source
        Who says to have sent each event, or None; None when no event says so.
    user_hash
        uint64, hash of the user id (in engagement: of the contact id where there is no user id); 0 = none.
    item_hash
        uint64, hash of the invoice or ticket id; 0 = none.
    quantity
        int64, thousandths, ≥ 0; one where none is stated.
    amount, mrr
        int64, ten-thousandths, ≥ 0; NO_VALUE = absent.
    currency
        Currency codes or None per event; None when no event states one.
    due_at_ms
        int64, milliseconds UTC; NO_VALUE = absent.
    severity
        int8, 0 (low) to 3 (critical); -1 = absent.
    score
        int64, thousandths: a survey's score, or response hours (≥ 0); NO_VALUE = absent.
    seats
        int64, ≥ 0; NO_VALUE = absent.
    """

    account: list[str]
    event: list[str]
    occurred_at_ms: np.ndarray
    id_hash: np.ndarray
    source: list[str | None] | None
    user_hash: np.ndarray
    item_hash: np.ndarray
    quantity: np.ndarray
    amount: np.ndarray
    currency: list[str | None] | None
    due_at_ms: np.ndarray
    severity: np.ndarray
    score: np.ndarray
    seats: np.ndarray
    mrr: np.ndarray


def _blank(n: int, **known: Any) -> Columns:
    """Return columns in which everything that is not `known` is absent."""
    absent: dict[str, Any] = {
        "event": [""] * n,
        "source": None,
        "user_hash": np.zeros(n, np.uint64),
        "item_hash": np.zeros(n, np.uint64),
        "quantity": np.full(n, ONE, np.int64),
        "currency": None,
        "severity": np.full(n, NO_SEVERITY, np.int8),
    }
    for name in ("amount", "due_at_ms", "score", "seats", "mrr"):
        absent[name] = np.full(n, NO_VALUE, np.int64)
    return Columns(**(absent | known))


def _dense(events: Sequence[Any], faults: Faults, **known: Any) -> Columns:
    """Return the columns that all dense topics share, and the `known` ones."""
    occurred_at_ms = parse_times([event.occurred_at for event in events])
    faults.note_where(occurred_at_ms == NO_VALUE, RejectionCode.INVALID_TIME, "$.occurred_at")
    return _blank(
        len(events),
        account=[event.account_id for event in events],
        event=[event.event for event in events],
        occurred_at_ms=occurred_at_ms,
        **_identities(events),
        **known,
    )


def _identities(events: Sequence[Any]) -> dict[str, Any]:
    sources = [event.source for event in events]
    id_hash = hash_identities(sources, [event.id for event in events])
    return {"source": sources if any(sources) else None, "id_hash": id_hash}


def _quantities(column: Sequence[Any], faults: Faults, path: str, *, absent: int = NO_VALUE) -> np.ndarray:
    return scale_column(column, THOUSANDTHS, absent=absent, may_be_negative=False, reject=faults.at(path))


def _amounts(column: Sequence[Any], faults: Faults, path: str) -> np.ndarray:
    return scale_column(column, TEN_THOUSANDTHS, absent=NO_VALUE, may_be_negative=False, reject=faults.at(path))


def _optional_times(column: Sequence[str | None], faults: Faults, path: str) -> np.ndarray:
    """Return milliseconds UTC, NO_VALUE where there is no text; a text that is no time is a fault."""
    times = np.full(len(column), NO_VALUE, np.int64)
    stated = np.fromiter((text is not None for text in column), bool, len(column))
    if stated.any():
        times[stated] = parse_times([text for text in column if text is not None])
        faults.note_where(stated & (times == NO_VALUE), RejectionCode.INVALID_TIME, path)
    return times


def _usage(events: Sequence[Usage], faults: Faults) -> Columns:
    return _dense(
        events,
        faults,
        user_hash=hash_texts([event.user_id for event in events]),
        quantity=_quantities([event.quantity for event in events], faults, "$.quantity", absent=ONE),
    )


def _billing(events: Sequence[Billing], faults: Faults) -> Columns:
    currency = [event.currency for event in events]
    seats = [event.seats for event in events]
    return _dense(
        events,
        faults,
        user_hash=hash_texts([event.user_id for event in events]),
        item_hash=hash_texts([event.invoice_id for event in events]),
        amount=_amounts([event.amount for event in events], faults, "$.amount"),
        currency=currency if any(currency) else None,
        due_at_ms=_optional_times([event.due_at for event in events], faults, "$.due_at"),
        seats=scale_column(seats, 0, absent=NO_VALUE, may_be_negative=False, reject=faults.at("$.seats")),
        mrr=_amounts([event.mrr for event in events], faults, "$.mrr"),
    )


def _support(events: Sequence[Support], faults: Faults) -> Columns:
    ranks = (NO_SEVERITY if event.severity is None else SEVERITY_RANK[event.severity] for event in events)
    scores = [event.score for event in events]
    return _dense(
        events,
        faults,
        user_hash=hash_texts([event.user_id for event in events]),
        item_hash=hash_texts([event.ticket_id for event in events]),
        severity=np.fromiter(ranks, np.int8, len(events)),
        score=scale_column(scores, THOUSANDTHS, absent=NO_VALUE, may_be_negative=True, reject=faults.at("$.score")),
    )


def _engagement(events: Sequence[Engagement], faults: Faults) -> Columns:
    return _dense(
        events,
        faults,
        user_hash=hash_texts([event.user_id or event.contact_id for event in events]),
        score=_quantities([event.response_hours for event in events], faults, "$.response_hours"),
    )


def _sparse(events: Sequence[Any], _: Faults) -> Columns:
    """Accounts, outcomes and commands are read as structs; only what every event has becomes a column."""
    return _blank(
        len(events),
        account=[event.account_id for event in events],
        occurred_at_ms=np.array([event.occurred_at_ms for event in events], np.int64),
        **_identities(events),
    )


def _ticks(events: Sequence[Tick], _: Faults) -> Columns:
    return _blank(
        len(events),
        account=[""] * len(events),
        occurred_at_ms=np.array([event.as_of_ms for event in events], np.int64),
        id_hash=np.zeros(len(events), np.uint64),
    )


COLUMNS_OF: Final[Mapping[str, Callable[[Sequence[Any], Faults], Columns]]] = {
    "accounts": _sparse,
    "usage": _usage,
    "billing": _billing,
    "support": _support,
    "engagement": _engagement,
    "outcomes": _sparse,
    "commands": _sparse,
    "ticks": _ticks,
}
"""Topic → how its decoded events become columns."""
