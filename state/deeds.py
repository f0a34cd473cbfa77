"""What people did about an account: kept in its profile, so that it is shown, and answers whether a command had an effect.

A command is never lost silently: each becomes a deed with an outcome, also one about an alert that nobody knows or that
has ended. The newest deeds of an account stand in its score record; whoever sent a command finds its id there.
"""

from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from state.events import Command
from state.moments import rfc3339
from state.timestamps import parse_moment

KEPT: Final = 20
"""Deeds kept per account, about 4 KB; all commands stand in their topic."""
LONGEST_TEXT: Final = 500
DEEDS: Final = "deeds"
"""Member of the profile."""


class Effect(StrEnum):
    """What came of a command."""

    DONE = "DONE"
    UNCHANGED = "UNCHANGED"
    """It was so already, or its time has passed."""
    INCOMPLETE = "INCOMPLETE"
    """It lacks what the command needs: an alert, an owner, a step, a score."""
    UNKNOWN_ALERT = "UNKNOWN_ALERT"
    """The account never had an alert of this id."""
    CLOSED_ALERT = "CLOSED_ALERT"
    """The alert is resolved."""


MEANINGS: Final[Mapping[Effect, str]] = {
    Effect.DONE: "done",
    Effect.UNCHANGED: "it was so already, or its time has passed",
    Effect.INCOMPLETE: "the command lacks its alert, owner, step or score",
    Effect.UNKNOWN_ALERT: "the account never had this alert",
    Effect.CLOSED_ALERT: "the alert is resolved already",
}
"""Effect → a clause for people."""


class Deed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that somebody did.

    Parameters
    ----------
    id
        Of the command.
    at
        When it took effect, RFC 3339.
    command, effect
        What was asked, and what came of it.
    by, alert_id, reason, owner, step, until
        As the command says; a long reason is cut.
    """

    id: str
    at: str
    command: str
    effect: Effect
    by: str | None = None
    alert_id: str | None = None
    reason: str | None = None
    owner: str | None = None
    step: str | None = None
    until: str | None = None


def deed_of(event: Command, effect: Effect, at_ms: int) -> Deed:
    """Return what a command became at an instant, milliseconds UTC."""
    return Deed(
        id=event.id,
        at=rfc3339(at_ms),
        command=event.command,
        effect=effect,
        by=event.by,
        alert_id=event.alert_id,
        reason=event.reason and event.reason[:LONGEST_TEXT],
        owner=event.owner,
        step=event.step,
        until=None if event.until_ms is None else rfc3339(event.until_ms),
    )


def deeds_of(profile: Mapping[str, Any]) -> list[Deed]:
    """Return the deeds in a profile, oldest first."""
    kept = profile.get(DEEDS)
    return msgspec.convert(kept, list[Deed]) if kept else []


def remember(profile: MutableMapping[str, Any], deed: Deed) -> None:
    """Add a deed to a profile and let the oldest go; carry out an assignment of the account itself."""
    profile[DEEDS] = msgspec.to_builtins([*deeds_of(profile), deed][-KEPT:])
    if deed.command == "assign" and deed.alert_id is None and deed.effect is Effect.DONE:
        profile["owner"] = deed.owner


def is_complete(event: Command) -> bool:
    """Return whether a command says what it needs to say; notes, outreach and assignments may speak of the account."""
    needs: Mapping[str, tuple[object, ...]] = {
        "acknowledge": (event.alert_id,),
        "snooze": (event.alert_id, event.until_ms),
        "resolve": (event.alert_id,),
        "assign": (event.owner,),
        "override": (event.health,),
        "note": (event.reason,),
        "step_done": (event.alert_id, event.step),
    }
    return None not in needs.get(event.command, ())


def owner_of(profile: Mapping[str, Any], alert_id: str, after: str = "") -> str | None:
    """Return whom an alert was assigned to last (with `after`, an RFC 3339 time, since then), None where nobody was."""
    assigned = (deed for deed in reversed(deeds_of(profile)) if deed.command == "assign" and deed.at > after)
    return next((deed.owner for deed in assigned if deed.alert_id == alert_id and deed.effect is Effect.DONE), None)


def contacts(profile: Mapping[str, Any], from_ms: int, to_ms: int) -> int:
    """Return how many times somebody got in touch with an account in a time `(from, to]`, milliseconds UTC."""
    return sum(rfc3339(from_ms) < at <= rfc3339(to_ms) for at in _contacted(profile))


def contact_free_at(profile: Mapping[str, Any], cap: int, within_ms: int) -> int:
    """Return from when on so many `contacts` within a time stand in nobody's way, ms UTC; 0 where there were never so many."""
    at = sorted(_contacted(profile))
    since = parse_moment(at[-cap]) if len(at) >= cap else None
    return 0 if since is None else since + within_ms


def _contacted(profile: Mapping[str, Any]) -> list[str]:
    """Return when somebody got in touch with an account, as far as its deeds are kept."""
    return [deed.at for deed in deeds_of(profile) if deed.command == "outreach" and deed.effect is Effect.DONE]


def steps_done(profile: Mapping[str, Any], alert_id: str) -> list[dict[str, str | None]]:
    """Return the steps of an alert's playbook that were done, each with who and when."""
    done = (deed for deed in deeds_of(profile) if deed.command == "step_done" and deed.effect is Effect.DONE)
    return [{"step": deed.step, "by": deed.by, "at": deed.at} for deed in done if deed.alert_id == alert_id]


def effect_on(command: str, *, is_live: bool, is_ended: bool, has_moved: bool) -> Effect:
    """Return what a command about an alert comes to.

    Parameters
    ----------
    command
        Its name; only some change a state.
    is_live
        Whether the alert is open.
    is_ended
        Whether the account had such an alert before.
    has_moved
        Whether its state changed by the command.
    """
    if not is_live:
        return Effect.CLOSED_ALERT if is_ended else Effect.UNKNOWN_ALERT
    changes_state = command in ("acknowledge", "snooze", "resolve")
    return Effect.DONE if has_moved or not changes_state else Effect.UNCHANGED
