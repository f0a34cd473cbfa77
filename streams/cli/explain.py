"""`bellwether explain ACCOUNT`: why it scores as it does, from Redis."""

import argparse
import asyncio

from rich.console import Console

from streams.cli.lines import account_lines, remainder, risk_within
from streams.cli.output import note, result
from streams.halt import FAILED
from streams.lookup import find_account
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("account", metavar="ACCOUNT", help="the account's id")
    parser.add_argument("--json", action="store_true", help="print the score, its reasons and open alerts as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Explain an account; 1 when it is not known."""
    found = asyncio.run(find_account(settings, options.account))
    if found.snapshot is None:
        note(_unknown(options.account, is_filled=found.is_filled))
        if options.json:
            result({"account_id": options.account, "found": False}, as_json=True, sentence="")
        return FAILED
    if options.json:
        within = {str(days): risk for days, risk in risk_within(found.snapshot).items()}
        more = {
            "found": True,
            "risk_within_days": within,
            "remainder": remainder(found.snapshot),
            "open_alerts": found.alerts,
        }
        result({**found.snapshot, **more}, as_json=True, sentence="")
    else:
        Console(soft_wrap=True, highlight=False).print(account_lines(options.account, found.snapshot, found.alerts))
    return 0


def _unknown(account: str, *, is_filled: bool) -> str:
    if is_filled:
        return (
            f"{account}: no score of it in Redis — check the id; it may also be closed, erased, or have no events yet"
        )
    return f"{account}: Redis holds nothing of its partition yet — run `bellwether worker`, and see `bellwether doctor`"
