"""Alert records from the kernel's moves: values in, bytes out.

A move says which rule of which account entered which state and carries a picture of the score as it stood then, so an
alert tells what was decided on, not what is known later.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.compile import Compiled, RuleName
from scoring.conduct import ACCOUNT_OWNER, Playbook
from scoring.lifecycle import RESOLVED, STATE_NAMES
from scoring.model import Model
from state.deeds import contacts, owner_of, steps_done
from state.flush import Message
from state.moments import rfc3339
from state.store import AccountStore
from state.telling import About, Teller, tell_moves
from state.work import (
    MARK_CAPPED,
    MARK_ESCALATED,
    MARK_FLAPPING,
    MARK_OVERDUE,
    MARK_REPEATED,
    MARK_SUPPRESSED,
    MOVE_AT,
    MOVE_EPISODE,
    MOVE_FIRED,
    MOVE_MARKS,
    MOVE_RESOLUTION,
    MOVE_ROW,
    MOVE_RULE,
    MOVE_SEQUENCE,
    MOVE_STATE,
)

ENOUGH_CONTACT: Final = "enough-contact"
"""Why outreach is suppressed where a playbook's cap on contacts is reached."""
RESOLUTIONS: Final = ("CONDITION_ENDED", "ACCOUNT_CLOSED", "BY_COMMAND", "MODEL_CHANGED", "SEGMENT_CHANGED")
OCCURRED_AT: Final = slice(len('"occurred_at":"'), len('"occurred_at":"2026-01-01T00:00:00.000Z'))
"""Where the time stands in the members that `tell_moves` writes."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who raises alerts: goes into `ce_source`."""

    app_id: str
    partition: int


def alert_id(account: str, rule: str, episode: int) -> str:
    """Return the id of an alert: 32 hex digits that every replay of the log gives again.

    Examples
    --------
    >>> alert_id("acme", "band-red", 1)
    'edcca1894bbc61663ecf55d1c4d67206'
    """
    return hashlib.sha256(f"{account}\0{rule}\0{episode}".encode()).hexdigest()[:32]


class Alerts:
    """Builds the alert records of one partition.

    Parameters
    ----------
    compiled
        The model that decides.
    teller
        Of that model.
    origin
        Where it is decided.
    store
        The accounts.
    plan, work
        Handles of the plan and the scratch room.
    """

    def __init__(
        self, compiled: Compiled, teller: Teller, origin: Origin, store: AccountStore, plan: Any, work: Any
    ) -> None:
        self._compiled = compiled
        self._teller = teller
        self._store = store
        self._plan = plan
        self._work = work
        self._source = ("ce_source", f"/bellwether/{origin.app_id}/{origin.partition}".encode())
        self._types = [("ce_type", f"io.bellwether.alert.{state}".encode()) for state in STATE_NAMES]
        self._heads: dict[tuple[int, int, int], bytes] = {}
        self._profiles = msgspec.json.Decoder(About)
        self._resolutions = [f',"resolution":"{code}"'.encode() for code in RESOLUTIONS]

    def messages(self, moves: NDArray[np.int64], pictures: NDArray[np.float64], journal_sequence: int) -> list[Message]:
        """Return the records of announced moves, in their order.

        Parameters
        ----------
        moves, pictures
            Lines of `Work.moves` and of `Work.pictures` beside them.
        journal_sequence
            Number of the flush that carries the records.
        """
        teller = self._teller
        ends = np.empty(len(moves), np.int64)
        decided = b',"decided_at":{"journal_sequence":%d,' % journal_sequence
        messages: list[Message] = []
        done = 0
        while done < len(moves):
            first = done
            done = tell_moves(
                self._plan, self._work, teller.words, moves, pictures, first, teller.room, teller.buffer, ends
            )
            data = teller.buffer[: ends[done - 1]].tobytes()
            start = 0
            for move, end in zip(moves[first:done].tolist(), ends[first:done].tolist(), strict=True):
                messages.append(self._message(move, data[start:end], decided))
                start = end
        return messages

    def _message(self, move: list[int], told: bytes, decided: bytes) -> Message:
        """Return one record around the members that the kernel told; positions are the last of them."""
        row, state = move[MOVE_ROW], move[MOVE_STATE]
        account = self._store.names[row]
        rule = self._compiled.rules[move[MOVE_RULE]]
        identity = alert_id(account, rule.name, move[MOVE_EPISODE]).encode()
        members, positions = told.rsplit(b',"positions":', 1)
        parts = [
            *(b'{"alert_id":"', identity, b'","dedup_key":"', identity, b'","account_id":', orjson.dumps(account)),
            self._about(row),
            b',"holdout":true' if self._is_held_out(account, rule) else b"",
            *(self._head(move[MOVE_RULE], state, move[MOVE_MARKS]), members, b',"next_step":'),
            *(
                self._next_step(move, rule, identity.decode()),
                decided,
                b'"positions":',
                positions,
                b"}",
            ),
            self._resolutions[move[MOVE_RESOLUTION]] if state == RESOLVED else b"",
            *(b",", self._teller.model, b"}"),
        ]
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"%b-%d" % (identity, move[MOVE_SEQUENCE])),
            self._source,
            self._types[state],
            ("ce_time", told[OCCURRED_AT]),
            ("ce_subject", account.encode()),
            ("content-type", b"application/json"),
        ]
        return Message(account.encode(), b"".join(parts), headers, move[MOVE_AT])

    def _about(self, row: int) -> bytes:
        """Return the member that says whose account it is, nothing where nobody stated it."""
        profile = self._store.profiles.get(row)
        told = b"{}" if profile is None else msgspec.json.encode(self._profiles.decode(profile))
        return b"" if told == b"{}" else b',"account":' + told

    def _is_held_out(self, account: str, rule: RuleName) -> bool:
        return rule.playbook is not None and is_in_holdout(account, self._compiled.model.playbook(rule.playbook))

    def _head(self, rule: int, state: int, marks: int) -> bytes:
        """Return the members that a rule, a state and the marks of an episode give every alert."""
        key = rule, state, marks
        if key not in self._heads:
            self._heads[key] = _head(self._compiled.rules[rule], STATE_NAMES[state], marks)
        return self._heads[key]

    def _next_step(self, move: list[int], rule: RuleName, identity: str) -> bytes:
        row, marks = move[MOVE_ROW], move[MOVE_MARKS]
        if move[MOVE_STATE] == RESOLVED or rule.playbook is None:
            return b"null"
        profile = self._store.profile(row)
        account = self._store.names[row]
        asked = Asked(identity, move[MOVE_FIRED], move[MOVE_AT], bool(marks & MARK_OVERDUE), suppressed_by(rule, marks))
        return orjson.dumps(next_step(self._compiled.model, rule.playbook, account, profile, asked))


def _head(rule: RuleName, state: str, marks: int) -> bytes:
    is_escalated = marks & MARK_ESCALATED
    fixed = {
        "rule": rule.name,
        "code": rule.code,
        "title": rule.title,
        "state": state,
        "severity": rule.escalated if is_escalated else rule.severity,
        **({"escalated_from": rule.severity} if is_escalated else {}),
        **({"flapping": True} if marks & MARK_FLAPPING else {}),
        **({"repeated": True} if marks & MARK_REPEATED else {}),
        **({"overdue": True} if marks & MARK_OVERDUE else {}),
        **({"capped": True} if marks & MARK_CAPPED else {}),
    }
    return b"," + orjson.dumps(fixed)[1:-1] + b","


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


def suppressed_by(rule: RuleName, marks: int) -> list[str]:
    """Return the names of what suppresses a rule's outreach, from the marks of a move."""
    return [name for which, name in enumerate(rule.suppressions) if marks & (MARK_SUPPRESSED << which)]


class Asked(NamedTuple):
    """What a next step depends on beside its playbook and account.

    ``alert_id``; ``fired_ms`` when its episode began and ``at_ms`` when it is told, milliseconds UTC; whether it
    ``is_overdue``; the names of what makes outreach ``suppressed``.
    """

    alert_id: str
    fired_ms: int
    at_ms: int
    is_overdue: bool = False
    suppressed: Sequence[str] = ()


def next_step(model: Model, name: str, account: str, profile: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """Return what a person should do: a playbook, whose it is (as assigned last, else its own), due when, done what.

    An account in the playbook's holdout has an owner and no steps.
    """
    playbook = model.playbook(name)
    due_at = rfc3339(asked.fired_ms + playbook.due_ms)
    suppressed = list(asked.suppressed)
    if playbook.contact_cap:
        made = contacts(profile, asked.at_ms - playbook.contact_within_ms, asked.at_ms)
        suppressed += [ENOUGH_CONTACT] if made >= playbook.contact_cap else []
    return {
        "playbook": playbook.name,
        "goal": playbook.goal,
        "steps": [] if is_in_holdout(account, playbook) else list(playbook.steps),
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
