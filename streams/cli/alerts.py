"""`bellwether alerts`: read alerts from Kafka, show what became of one, answer them through the topic `commands`."""

import argparse
import asyncio
from dataclasses import asdict
from itertools import islice
from typing import Any

from rich.console import Console

from streams.alert_log import Choice, coming_alerts, past_alerts
from streams.cli.alerts_effect import add_effect, show_effect
from streams.cli.answering import add_actions, answer
from streams.cli.lines import alert_lines, deed_lines, moved_line
from streams.cli.output import note, quiet_client, result
from streams.halt import FAILED, Refusal
from streams.lookup import find_account
from streams.settings import Settings

ANNOUNCED_NAMES = ("firing", "acknowledged", "snoozed", "resolved")
LAST = 20
FLUSHES_TOLD = 1000


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
    show = actions.add_parser("show", help="one alert: its states, and who did what about it")
    show.add_argument("alert", metavar="ALERT_ID", help="its id, or the beginning of it")
    show.add_argument("--json", action="store_true", help="print its records and deeds as JSON")
    proof = actions.add_parser("verify", help="compute an alert anew from the logs, and say whether it was right")
    proof.add_argument("alert", metavar="ALERT_ID", help="its id, or the beginning of it")
    proof.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    add_effect(actions)
    add_actions(actions)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Show alerts, or answer one."""
    quiet_client()
    if options.action == "show":
        return asyncio.run(_show(options, settings))
    if options.action == "verify":
        return _verify(options, settings)
    if options.action == "effect":
        return show_effect(options, settings)
    if options.action != "tail":
        return answer(options, settings)
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


async def _show(options: argparse.Namespace, settings: Settings) -> int:
    every = await past_alerts(settings, Choice())
    records = [alert for alert in every if alert["alert_id"].startswith(options.alert)]
    ids = sorted({alert["alert_id"] for alert in records})
    if len(ids) != 1:
        some = f"{len(ids)} begin like this ({', '.join(ids[:3])})" if ids else "none begins like this"
        raise Refusal(f"{options.alert}: expected one alert, {some} — see `bellwether alerts tail`")
    (identity,) = ids
    found = await find_account(settings, records[0]["account_id"])
    deeds = [deed for deed in (found.snapshot or {}).get("deeds", []) if deed.get("alert_id") == identity]
    if options.json:
        value = {"alert_id": identity, "account_id": records[0]["account_id"], "records": records, "deeds": deeds}
        result(value, as_json=True, sentence="")
        return 0
    console = Console(soft_wrap=True, highlight=False)
    for record in records:
        console.print(alert_lines(record).append(moved_line(record), "dim"))
    console.print(deed_lines(deeds))
    return 0


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from streams.scorer import load_compiled  # noqa: PLC0415 - a second of imports that the other actions do not need
    from streams.verifying import verify  # noqa: PLC0415

    def tell(done: int, last: int) -> None:
        if done % FLUSHES_TOLD == 0:
            note(f"applied {done:,} of {last:,} flushes")

    found = asyncio.run(verify(settings, load_compiled(settings), options.alert, tell))
    if options.json:
        value = {"alert_id": found.alert_id, "account_id": found.account_id, "right": found.is_right}
        value |= {"known": found.is_known, "guessed": found.guessed, "missing": list(found.missing)}
        verdicts = [asdict(verdict) | {"right": not verdict.differences} for verdict in found.verdicts]
        result({**value, "folded": found.folded, "records": verdicts}, as_json=True, sentence="")
        return 0 if found.is_right else FAILED
    for verdict in found.verdicts:
        outcome = "differs" if verdict.differences else "right"
        print(f"{verdict.state:<12}  sequence {verdict.sequence}, flush {verdict.journal_sequence}: {outcome}")
        for line in verdict.differences:
            print(f"    {line}")
    outcome = "right, byte for byte" if found.is_right else "not what the log gives"
    if not found.is_known:
        outcome = "not proved: what is left of the log gives another, which need not be what workers met"
    note(f"{found.account_id}: alert {found.alert_id} is {outcome} ({found.folded:,} records applied again)")
    if found.guessed:
        note(
            f"the journal is kept for 30 days: {found.guessed:,} records before it were applied in the order of their times"
        )
    for sentence in found.missing:
        note(sentence)
    return 0 if found.is_right else FAILED


def _cut(found: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.from_beginning:
        return list(islice(found, options.limit))
    return found[-(options.limit or LAST) :]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
