"""`bellwether dead-letters list|replay`."""

import argparse
import asyncio
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from state.rejections import RejectionCode
from streams import dead_letters
from streams.cli.output import note, quiet_client, result
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "action", choices=("list", "replay"), help="show them, or send them again to the topics they came from"
    )
    parser.add_argument(
        "--reason",
        choices=[*(str(code) for code in RejectionCode), dead_letters.UNDELIVERED],
        metavar="CODE",
        help="only those with this reason",
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="list at most the N newest of each partition (default 100)"
    )
    parser.add_argument("--dry-run", action="store_true", help="replay: count, send nothing")
    parser.add_argument("--again", action="store_true", help="replay: also what an earlier replay sent")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """List or replay dead letters."""
    quiet_client()
    return (_list if options.action == "list" else _replay)(options, settings)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    letters = asyncio.run(dead_letters.find(settings, options.reason))
    counts = Counter(letter.reason for letter in letters)
    by_partition = Counter[int]()
    newest = []
    for letter in reversed(letters):
        by_partition[letter.partition] += 1
        if by_partition[letter.partition] <= options.limit:
            newest.append(letter)
    newest.reverse()
    if options.json:
        shown = [
            {
                name: getattr(letter, name)
                for name in ("topic", "source_partition", "source_offset", "reason", "path", "given")
            }
            for letter in newest
        ]
        result({"total": len(letters), "reasons": dict(counts), "dead_letters": shown}, as_json=True, sentence="")
        return 0
    table = Table("record", "reason", "path", "given", box=None)
    for letter in newest:
        where = f"{letter.topic}[{letter.source_partition}]@{letter.source_offset}"
        table.add_row(*map(Text, (where, letter.reason, letter.path, letter.given)))  # Text: brackets are no markup
    if newest:
        Console(soft_wrap=True).print(table)
    summary = ", ".join(f"{reason} {n}" for reason, n in counts.most_common())
    note(f"{len(letters)} dead letters{': ' if summary else ''}{summary}")
    return 0


def _replay(options: argparse.Namespace, settings: Settings) -> int:
    outcome = asyncio.run(dead_letters.replay(settings, options.reason, dry_run=options.dry_run, again=options.again))
    sent = outcome.sent.total()
    value = {
        "sent": 0 if options.dry_run else sent,
        "would_send": sent,
        "reasons": dict(outcome.sent),
        "already_sent": outcome.already_sent,
        "internal": outcome.internal,
    }
    verb = "would be sent" if options.dry_run else "sent"
    sentence = f"{sent} {verb} again; {outcome.already_sent} were before (--again repeats them); {outcome.internal} of internal topics are left alone"
    result(value, as_json=options.json, sentence=sentence)
    return 0
