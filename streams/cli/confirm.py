"""`bellwether confirm ACCOUNT`: what people know of an account, stated or confirmed, as an event of the topic `accounts`."""

import argparse
import asyncio
import time
from typing import Any, Final

import orjson

from scoring.variables import CATEGORIES
from state.moments import rfc3339
from streams.cli.answering import POLL_SECONDS, WAIT_SECONDS, present, user
from streams.cli.lines import relationship_line
from streams.cli.output import quiet_client, result
from streams.commands import send_event
from streams.halt import Refusal
from streams.lookup import find_account
from streams.settings import Settings

FACTS: Final = {name.removeprefix("relationship."): said for name, said in CATEGORIES.items()}
"""Fact → what may be said of it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("account", metavar="ACCOUNT", help="the account's id")
    for fact, choices in FACTS.items():
        parser.add_argument(f"--{fact}", choices=choices, help="what it is now; without it, as it was")
    parser.add_argument("--by", default=user(), help="who says so (default: you)")
    parser.add_argument(
        "--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help="how long to wait for its effect (5)"
    )
    parser.add_argument("--json", action="store_true", help="print the event, and what is known then, as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Send what was said and tell what is known of the account then."""
    quiet_client()
    stated = {fact: getattr(options, fact) for fact in FACTS if getattr(options, fact)}
    return asyncio.run(_confirm(options, settings, stated))


async def _confirm(options: argparse.Namespace, settings: Settings, stated: dict[str, str]) -> int:
    account = options.account
    if not stated:
        found = await find_account(settings, account)
        if "relationship" not in (found.snapshot or {}):
            facts = ", ".join(f"--{fact}" for fact in FACTS)
            raise Refusal(f"{account}: expected something to confirm, but its score shows nothing stated — say {facts}")
    now_ms = await present(account, settings)
    moment = rfc3339(now_ms)
    event = {"account_id": account, "occurred_at": moment, "relationship": {**stated, "by": options.by}}
    await send_event(settings, "accounts", account, orjson.dumps(event), now_ms)
    known = await _known(settings, account, moment, options.wait)
    sentence = f"{account}: sent; workers apply it in a moment"
    if known is not None:
        sentence = f"{account}: {relationship_line(known)}"
    result({**event, "known": known}, as_json=options.json, sentence=sentence)
    return 0


async def _known(settings: Settings, account: str, moment: str, seconds: float) -> dict[str, Any] | None:
    """Return what is known of an account once Redis tells of what was said at a moment; None where it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = await find_account(settings, account)
        except Refusal:  # it is sent; only its effect cannot be seen
            return None
        known = (found.snapshot or {}).get("relationship")
        if known is not None and known["confirmed"]["at"] == moment:
            return dict(known)
        await asyncio.sleep(POLL_SECONDS)
    return None
