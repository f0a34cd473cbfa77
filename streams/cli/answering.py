"""How a person's decision is sent from the command line: found by the beginning of its id, written, and its effect told."""

import argparse
import asyncio
import getpass
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import orjson

from scoring.durations import parse_duration
from state.deeds import MEANINGS, Effect
from state.moments import rfc3339
from streams.cli.lines import SHORT_ID
from streams.cli.output import note
from streams.commands import command_event, send_event
from streams.halt import FAILED, Refusal
from streams.lookup import find_account, find_open_alerts
from streams.settings import Settings

ID_LENGTH: Final = 32
POLL_SECONDS: Final = 0.1
WAIT_SECONDS: Final = 5.0


class Action(NamedTuple):
    """One decision a person can take.

    ``needs_alert`` is None where it may speak of an alert or of the account as a whole.
    """

    command: str
    meaning: str
    needs_alert: bool | None
    required: tuple[str, ...] = ()


ACTIONS: Final = {
    "ack": Action("acknowledge", "somebody is on it", needs_alert=True),
    "snooze": Action("snooze", "be silent until a time", needs_alert=True, required=("until",)),
    "resolve": Action("resolve", "end it; it may fire anew once its condition was false", needs_alert=True),
    "assign": Action("assign", "give an alert, or the account, to somebody", needs_alert=None, required=("owner",)),
    "done": Action("step_done", "a step of its playbook is done", needs_alert=True, required=("step",)),
    "outreach": Action("outreach", "somebody got in touch", needs_alert=None),
    "note": Action("note", "keep a remark", needs_alert=None, required=("reason",)),
    "override": Action(
        "override", "set the account's health by hand", needs_alert=False, required=("health", "until", "reason")
    ),
}
"""Word of the command line → what it sends."""
OPTIONS: Final = {
    "owner": {"flag": "--to", "metavar": "OWNER", "help": "who has it from now on"},
    "step": {"flag": "--step", "help": "which step, as its alert names it"},
    "health": {"flag": "--health", "metavar": "POINTS", "help": "0 to 100"},
    "until": {"flag": "--until", "metavar": "TIME", "help": "2026-03-01T09:00:00Z, 3d, 8h"},
    "reason": {"flag": "--reason", "help": "why, or what was said"},
}


def add_actions(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare every decision and its options."""
    types = {"health": _health, "until": _until}
    for name, action in ACTIONS.items():
        parser = actions.add_parser(name, help=action.meaning)
        if action.needs_alert is not False:
            parser.add_argument(
                "alert",
                metavar="ALERT_ID",
                nargs=None if action.needs_alert else "?",
                help="its id; while it is open the beginning will do",
            )
        needs_account = action.needs_alert is False
        meaning = "the account" if needs_account else "its account; looked up in Redis when not given"
        parser.add_argument("--account", required=needs_account, help=meaning)
        for field, option in OPTIONS.items():
            if field in action.required or field == "reason":
                more = {key: value for key, value in option.items() if key != "flag"}
                is_required = field in action.required
                parser.add_argument(
                    option["flag"], dest=field, required=is_required, type=types.get(field, str), **more
                )
        parser.add_argument("--by", default=user(), help="who decides (default: you)")
        parser.add_argument(
            "--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help="how long to wait for its effect (5)"
        )
        parser.add_argument("--json", action="store_true", help="print the event and its effect as JSON")


def answer(options: argparse.Namespace, settings: Settings) -> int:
    """Send a decision and tell its effect; 1 where it had none."""
    action, alert, account = ACTIONS[options.action], getattr(options, "alert", None), options.account
    if alert is None and account is None:
        raise Refusal(f"{options.action}: expected ALERT_ID or --account, got neither — say what it is about")
    alert, account, now_ms = asyncio.run(_identify(alert, account, settings))
    until = getattr(options, "until", None)
    until_ms = None if until is None else _instant(until, now_ms)
    if until_ms is not None and until_ms <= now_ms:
        raise Refusal(f"--until: expected a time after {rfc3339(now_ms)}, got {rfc3339(until_ms)}")
    details = {name: getattr(options, name, None) for name in ("by", "reason", "owner", "step", "health")}
    details["until"] = None if until_ms is None else rfc3339(until_ms)
    event = command_event(action.command, account, alert, now_ms, **details)
    asyncio.run(send_event(settings, "commands", account, event, now_ms))
    asked = f"{account}: asked to {_said(action.command, alert)}"
    asked += f" until {details['until']}" if until_ms is not None else ""
    effect = asyncio.run(_effect(settings, account, orjson.loads(event)["id"], options.wait))
    if options.json:
        print(orjson.dumps({**orjson.loads(event), "effect": effect}).decode())
    if effect is None:
        note(f"{asked} by {options.by}; workers apply it in a moment")
        return 0
    note(f"{asked} by {options.by}: {MEANINGS[Effect(effect)]}")
    return 0 if effect == Effect.DONE else FAILED


def _said(command: str, alert: str | None) -> str:
    verb = command.replace("_", " ")
    return verb if alert is None else f"{verb} alert {alert[:SHORT_ID]}"


async def _effect(settings: Settings, account: str, identity: str, seconds: float) -> str | None:
    """Return what came of a command as soon as Redis tells it; None where it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = await find_account(settings, account)
        except Refusal:  # the command is sent; only its effect cannot be seen
            return None
        for deed in (found.snapshot or {}).get("deeds", []):
            if deed["id"] == identity:
                return str(deed["effect"])
        await asyncio.sleep(POLL_SECONDS)
    return None


async def _identify(given: str | None, account: str | None, settings: Settings) -> tuple[str | None, str, int]:
    """Return the whole id of an alert, its account, and the time it is there, milliseconds UTC."""
    if given is not None and (account is None or len(given) != ID_LENGTH):
        given, account = await find_alert(given, account, settings)
    assert account is not None
    return given, account, await present(account, settings)


async def present(account: str, settings: Settings) -> int:
    """Return the time it is for an account, milliseconds UTC."""
    if settings.clock == "wall":
        return time.time_ns() // 1_000_000
    # Under a log clock it is whatever time the events have come to; our own would leave everybody silent for months.
    found = await find_account(settings, account)
    times = [alert["occurred_at"] for alert in found.alerts] + ([found.snapshot["at"]] if found.snapshot else [])
    if not times:
        raise Refusal(f"{account}: no score of it in Redis, so what time it is there is not known — check --account")
    return round(datetime.fromisoformat(max(times)).timestamp() * 1000)


async def find_alert(given: str, account: str | None, settings: Settings) -> tuple[str, str]:
    """Return the whole id and the account of the open alert whose id begins like this.

    Raises
    ------
    Refusal
        There is none, or more than one.
    """
    found = await find_open_alerts(settings, given)
    if account is not None:
        found = {identity: owner for identity, owner in found.items() if owner == account}
    if len(found) == 1:
        return next(iter(found.items()))
    if not found:
        raise Refusal(
            f"{given}: no open alert in Redis has this id — see `bellwether alerts tail`, or give --account and the whole id"
        )
    raise Refusal(f"{given}: expected one alert, {len(found)} begin like this ({_some(found)}) — give more of the id")


def _some(ids: Iterable[str]) -> str:
    return ", ".join(islice(sorted(ids), 3))


def _health(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100, got {text!r}")
    return points


def _until(text: str) -> timedelta | datetime:
    """Return a duration, or an RFC 3339 time with an offset."""
    duration_ms = parse_duration(text)
    if duration_ms is not None:
        return timedelta(milliseconds=duration_ms)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"expected a time with an offset such as 2026-03-01T09:00:00Z, or a duration such as 3d, got {text!r}"
        )
    return moment


def _instant(until: timedelta | datetime, now_ms: int) -> int:
    if isinstance(until, timedelta):
        return now_ms + round(until.total_seconds() * 1000)
    return round(until.timestamp() * 1000)


def user() -> str:
    """Return who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "command line"
