"""What a person should do about an alert: the playbook of its rule, whose it is, due when, done what."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from scoring.compile import Compiled
from scoring.conduct import ACCOUNT_OWNER, Playbook
from scoring.model import Model
from state.deeds import DEEDS, contacts, owner_of, steps_done
from state.moments import rfc3339
from state.store import AccountStore
from state.work import (
    MARK_OVERDUE,
    MARK_SUPPRESSED,
    MOVE_AT,
    MOVE_FIRED,
    MOVE_MARKS,
    MOVE_ROW,
    MOVE_RULE,
)

ENOUGH_CONTACT: Final = "enough-contact"
"""Why outreach is suppressed where a playbook's cap on contacts is reached."""
MARKS_TOLD: Final = MARK_OVERDUE | -MARK_SUPPRESSED
"""Marks of a move that its next step tells of."""
SHAPES_KEPT: Final = 4_096
"""Next steps that differ by more than when they are due: one for each rule and owner, in most books."""
AT_EPOCH: Final = b'"due_at":"1970-01-01T00:00:00.000Z"}'


class Asked(NamedTuple):
    """What a next step depends on beside its playbook and the account's profile.

    ``alert_id``; ``fired_ms`` when its episode began and ``at_ms`` when it is told, milliseconds UTC; whether it
    ``is_overdue``; the names of what makes outreach ``suppressed``; whether the account ``is_held_out``.
    """

    alert_id: str
    fired_ms: int
    at_ms: int
    is_overdue: bool
    suppressed: Sequence[str]
    is_held_out: bool


class NextSteps:
    """Writes the next steps of one partition's alerts.

    Parameters
    ----------
    compiled
        The model that decides.
    store
        The accounts.
    """

    def __init__(self, compiled: Compiled, store: AccountStore) -> None:
        model = compiled.model
        self._model = model
        self._store = store
        self._playbooks = [model.playbook(rule.playbook) if rule.playbook else None for rule in compiled.rules]
        self._suppressions = [rule.suppressions for rule in compiled.rules]
        self._shape = lru_cache(SHAPES_KEPT)(self._shape_of)

    def is_held_out(self, rule: int, account: str) -> bool:
        """Return whether a rule's playbook leaves an account alone."""
        playbook = self._playbooks[rule]
        return playbook is not None and is_in_holdout(account, playbook)

    def of(self, move: list[int], alert_id: str, *, is_held_out: bool) -> bytes:
        """Return the next step of an alert as JSON; null where its rule has no playbook."""
        row, rule, marks = move[MOVE_ROW], move[MOVE_RULE], move[MOVE_MARKS] & MARKS_TOLD
        playbook = self._playbooks[rule]
        if playbook is None:
            return b"null"
        profile = self._store.profile(row)
        if DEEDS not in profile:  # then only the time at which it is due is its own
            told = self._shape(rule, marks, profile.get("owner"), is_held_out=is_held_out)
            return b'%b"due_at":"%b"}' % (told, rfc3339(move[MOVE_FIRED] + playbook.due_ms).encode())
        asked = self._asked(rule, marks, is_held_out=is_held_out)
        asked = asked._replace(alert_id=alert_id, fired_ms=move[MOVE_FIRED], at_ms=move[MOVE_AT])
        return orjson.dumps(next_step(self._model, playbook, profile, asked))

    def _asked(self, rule: int, marks: int, *, is_held_out: bool) -> Asked:
        names = self._suppressions[rule]
        suppressed = [name for which, name in enumerate(names) if marks & (MARK_SUPPRESSED << which)]
        return Asked("", 0, 0, bool(marks & MARK_OVERDUE), suppressed, is_held_out)

    def _shape_of(self, rule: int, marks: int, owner: str | None, *, is_held_out: bool) -> bytes:
        """Return what stands before the time at which a step is due, for accounts that nobody did anything about."""
        playbook = self._playbooks[rule]
        assert playbook is not None
        asked = self._asked(rule, marks, is_held_out=is_held_out)._replace(fired_ms=-playbook.due_ms)
        told = orjson.dumps(next_step(self._model, playbook, {} if owner is None else {"owner": owner}, asked))
        assert told.endswith(AT_EPOCH), told
        return told[: -len(AT_EPOCH)]


def is_in_holdout(account: str, playbook: Playbook) -> bool:
    """Return whether nothing is done for an account, so that a playbook's effect can be measured: by hash, for ever.

    Examples
    --------
    >>> half = Playbook("rescue", "", "account_owner", ("call",), 1, holdout_percent=50)
    >>> [is_in_holdout(account, half) for account in ("a", "b", "c", "d")]
    [True, False, True, True]
    """
    if playbook.holdout_percent == 0:
        return False
    place = int.from_bytes(hashlib.sha256(f"{playbook.name}\0{account}".encode()).digest()[:8], "big")
    return place % 100 < playbook.holdout_percent


def next_step(model: Model, playbook: Playbook, profile: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """Return what a person should do: a playbook, whose it is (as assigned last, else its own), due when, done what.

    An account in the playbook's holdout has an owner and no steps.
    """
    due_at = rfc3339(asked.fired_ms + playbook.due_ms)
    suppressed = list(asked.suppressed)
    if playbook.contact_cap:
        made = contacts(profile, asked.at_ms - playbook.contact_within_ms, asked.at_ms)
        suppressed += [ENOUGH_CONTACT] if made >= playbook.contact_cap else []
    return {
        "playbook": playbook.name,
        "goal": playbook.goal,
        "steps": [] if asked.is_held_out else list(playbook.steps),
        **({"channels": list(playbook.channels)} if playbook.channels else {}),
        **({"suppressed": suppressed} if suppressed else {}),
        **_owners(model, playbook, profile, asked, due_at),
        "due_at": due_at,
        **({"done": done} if (done := steps_done(profile, asked.alert_id)) else {}),
    }


def _owners(
    model: Model, playbook: Playbook, profile: Mapping[str, Any], asked: Asked, due_at: str
) -> dict[str, str | bool]:
    """Return whose a step is; once it is overdue, to whom it passed and from whom."""
    owner = owner_of(profile, asked.alert_id) or _person(model, playbook.owner, profile)
    if not asked.is_overdue:
        return {"owner": owner}
    now_with = owner_of(profile, asked.alert_id, due_at) or _person(model, playbook.escalate_to, profile)
    return {"owner": now_with, "overdue": True, **({"passed_from": owner} if owner != now_with else {})}


def _person(model: Model, said: str, profile: Mapping[str, Any]) -> str:
    """Return who is meant by a playbook's owner: the account's, whoever has a role, or the name itself."""
    return str(profile.get("owner", model.owner)) if said == ACCOUNT_OWNER else dict(model.roles).get(said, said)
