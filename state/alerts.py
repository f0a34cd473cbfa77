"""Alert records from the kernel's moves: values in, bytes out.

A move says which rule of which account entered which state and carries a picture of the score as it stood then, so an
alert tells what was decided on, not what is known later.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.compile import Compiled, RuleName
from scoring.lifecycle import RESOLVED, STATE_NAMES
from state.flush import Message
from state.next_steps import NextSteps
from state.store import AccountStore
from state.telling import About, Teller, tell_moves
from state.work import (
    MARK_CAPPED,
    MARK_ESCALATED,
    MARK_FLAPPING,
    MARK_OVERDUE,
    MARK_REPEATED,
    MOVE_AT,
    MOVE_EPISODE,
    MOVE_MARKS,
    MOVE_RESOLUTION,
    MOVE_ROW,
    MOVE_RULE,
    MOVE_SEQUENCE,
    MOVE_STATE,
)

RESOLUTIONS: Final = ("CONDITION_ENDED", "ACCOUNT_CLOSED", "BY_COMMAND", "MODEL_CHANGED", "SEGMENT_CHANGED")
OCCURRED_AT: Final = slice(len('"occurred_at":"'), len('"occurred_at":"2026-01-01T00:00:00.000Z'))
"""Where the time stands in the members that `tell_moves` writes."""
SPECIFICATION: Final = ("ce_specversion", b"1.0")
CONTENT_TYPE: Final = ("content-type", b"application/json")


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
        self._rules = compiled.rules
        self._teller = teller
        self._store = store
        self._plan = plan
        self._work = work
        self._source = ("ce_source", f"/bellwether/{origin.app_id}/{origin.partition}".encode())
        self._types = [("ce_type", f"io.bellwether.alert.{state}".encode()) for state in STATE_NAMES]
        self._next_steps = NextSteps(compiled, store)
        resolutions = [*(f',"resolution":"{code}",'.encode() for code in RESOLUTIONS), b","]
        self._tails = [resolution + teller.model + b"}" for resolution in resolutions]
        self._heads: dict[tuple[int, int, int], bytes] = {}
        self._profiles = msgspec.json.Decoder(About)
        self._owner = compiled.model.owner or None
        self._nobodys = self._told(About())

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
        messages: list[Message] = []
        done = 0
        while done < len(moves):
            first = done
            done = tell_moves(
                *(self._plan, self._work, teller.words, moves, pictures),
                *(first, journal_sequence, teller.room, teller.buffer, ends),
            )
            data = teller.buffer[: ends[done - 1]].tobytes()
            start = 0
            for move, end in zip(moves[first:done].tolist(), ends[first:done].tolist(), strict=True):
                messages.append(self._message(move, data[start:end]))
                start = end
        return messages

    def _message(self, move: list[int], told: bytes) -> Message:
        """Return one record around the members that the kernel told."""
        row, rule, state = move[MOVE_ROW], move[MOVE_RULE], move[MOVE_STATE]
        account = self._store.names[row]
        key = account.encode()
        identity = alert_id(account, self._rules[rule].name, move[MOVE_EPISODE])
        name = identity.encode()
        is_held_out = self._next_steps.is_held_out(rule, account)
        is_resolved = state == RESOLVED
        value = b'{"alert_id":"%b","dedup_key":"%b","account_id":%b%b%b%b,"next_step":%b,%b%b' % (
            name,
            name,
            orjson.dumps(account),
            self._about(row),
            b',"holdout":true' if is_held_out else b"",
            self._head(rule, state, move[MOVE_MARKS]),
            b"null" if is_resolved else self._next_steps.of(move, identity, is_held_out=is_held_out),
            told,
            self._tails[move[MOVE_RESOLUTION] if is_resolved else -1],
        )
        headers = [
            SPECIFICATION,
            ("ce_id", b"%b-%d" % (name, move[MOVE_SEQUENCE])),
            self._source,
            self._types[state],
            ("ce_time", told[OCCURRED_AT]),
            ("ce_subject", key),
            CONTENT_TYPE,
        ]
        return Message(key, value, headers, move[MOVE_AT])

    def _about(self, row: int) -> bytes:
        """Return the member that says whose account it is: the model's owner's, where nobody stated it."""
        profile = self._store.profiles.get(row)
        return self._nobodys if profile is None else self._told(self._profiles.decode(profile))

    def _told(self, about: About) -> bytes:
        about.owner = about.owner or self._owner
        told = msgspec.json.encode(about)
        return b"" if told == b"{}" else b',"account":' + told

    def _head(self, rule: int, state: int, marks: int) -> bytes:
        """Return the members that a rule, a state and the marks of an episode give every alert."""
        key = rule, state, marks
        if key not in self._heads:
            self._heads[key] = _head(self._rules[rule], STATE_NAMES[state], marks)
        return self._heads[key]


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
    return b"," + orjson.dumps(fixed)[1:-1]
