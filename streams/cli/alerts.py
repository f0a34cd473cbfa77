"""`bellwether alerts tail|ack|snooze|resolve`: read alerts from Kafka, answer them through the topic `commands`."""

import argparse
import asyncio
import getpass
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from rich.console import Console

from scoring.durations import parse_duration
from state.moments import rfc3339
from streams.alert_log import Choice, coming_alerts, past_alerts
from streams.cli.lines import SHORT_ID, alert_lines
from streams.cli.output import note, quiet_client, result
from streams.commands import command_event, send_command
from streams.halt import Refusal
from streams.lookup import find_account, find_open_alerts
from streams.settings import Settings

COMMANDS = {"ack": "acknowledge", "snooze": "snooze", "resolve": "resolve"}
MEANINGS = {"ack": "somebody is on it", "snooze": "be silent until a time", "resolve": "end it; it may fire anew"}
ANNOUNCED_NAMES = ("firing", "acknowledged", "snoozed", "resolved")
LAST = 20
ID_LENGTH = 32


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions and options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    tail = actions.add_parser("tail", help=f"show the last {LAST} alerts, or follow them")
    tail.add_argument("--follow", "-f", action="store_true", help="show alerts as they come, until Ctrl-C")
    tail.add_argument("--from-beginning", action="store_true", help="show all that the topic has, oldest first")
    tail.add_argument("--rule", help="only of this rule")
    tail.add_argument("--severity", choices=("critical", "warning", "info"), help="only of this severity")
    tail.add_argument("--state", choices=ANNOUNCED_NAMES, help="only what came to this state")
    tail.add_argument("--owner", help="only whose next step is this person's")
    tail.add_argument("--account", help="only of this account")
    tail.add_argument("--limit", type=_count, metavar="N", help="at most N; with --follow, end after N")
    tail.add_argument("--json", action="store_true", help="print one JSON object; with --follow one line per alert")
    for name, meaning in MEANINGS.items():
        action = actions.add_parser(name, help=meaning)
        action.add_argument("alert", metavar="ALERT_ID", help="its id; while it is open the beginning will do")
        action.add_argument("--account", help="its account; looked up in Redis when not given")
        action.add_argument("--by", default=_user(), help="who decides (default: you)")
        action.add_argument("--reason", help="why")
        action.add_argument("--json", action="store_true", help="print the event as JSON")
        if name == "snooze":
            action.add_argument(
                "--until", type=_until, required=True, metavar="TIME", help="2026-03-01T09:00:00Z, 3d, 8h"
            )


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Show alerts, or answer one."""
    quiet_client()
    if options.action != "tail":
        return _answer(options, settings)
    try:
        asyncio.run(_tail(options, settings))
    except KeyboardInterrupt:  # how following ends
        if not options.follow:
            raise
    return 0


async def _tail(options: argparse.Namespace, settings: Settings) -> None:
    choice = Choice(options.rule, options.severity, options.account, options.owner, options.state)
    console = Console(soft_wrap=True, highlight=False)
    if not options.follow:
        found = _cut(await past_alerts(settings, choice), options)
        if options.json:
            result({"count": len(found), "alerts": found}, as_json=True, sentence="")
        else:
            for alert in found:
                console.print(alert_lines(alert))
            note(f"{len(found)} alerts")
        return
    shown = 0
    async for alert in coming_alerts(settings, choice, is_from_beginning=options.from_beginning):
        if options.json:
            result(alert, as_json=True, sentence="")
        else:
            console.print(alert_lines(alert))
        shown += 1
        if shown == options.limit:
            return


def _cut(found: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.from_beginning:
        return list(islice(found, options.limit))
    return found[-(options.limit or LAST) :]


def _answer(options: argparse.Namespace, settings: Settings) -> int:
    alert, account, now_ms = asyncio.run(_identify(options.alert, options.account, settings))
    until = getattr(options, "until", None)
    until_ms = None if until is None else _instant(until, now_ms)
    if until_ms is not None and until_ms <= now_ms:
        raise Refusal(f"--until: expected a time after {rfc3339(now_ms)}, got {rfc3339(until_ms)}")
    details = {"by": options.by, "reason": options.reason, "until": None if until_ms is None else rfc3339(until_ms)}
    command = COMMANDS[options.action]
    event = command_event(command, account, alert, now_ms, **details)
    asyncio.run(send_command(settings, account, event, now_ms))
    if options.json:
        print(event.decode())
    else:
        end = f" until {details['until']}" if until_ms is not None else ""
        note(
            f"{account}: asked to {command} alert {alert[:SHORT_ID]}{end} by {options.by}; workers apply it in a moment"
        )
    return 0


async def _identify(given: str, account: str | None, settings: Settings) -> tuple[str, str, int]:
    """Return the whole id of an alert, its account, and the time it is there, milliseconds UTC."""
    if account is None or len(given) != ID_LENGTH:
        given, account = await _find(given, account, settings)
    if settings.clock == "wall":
        return given, account, time.time_ns() // 1_000_000
    # Under a log clock it is whatever time the events have come to; our own would leave everybody silent for months.
    found = await find_account(settings, account)
    times = [alert["occurred_at"] for alert in found.alerts] + ([found.snapshot["at"]] if found.snapshot else [])
    if not times:
        raise Refusal(f"{account}: no score of it in Redis, so what time it is there is not known — check --account")
    return given, account, round(datetime.fromisoformat(max(times)).timestamp() * 1000)


async def _find(given: str, account: str | None, settings: Settings) -> tuple[str, str]:
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
    return ", ".join(sorted(ids)[:3])


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "command line"
