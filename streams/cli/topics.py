"""`bellwether topics create|check`: see `streams.topics` for the declaration."""

import argparse
import asyncio

from streams import topics
from streams.cli.output import note, quiet_client, result
from streams.halt import FAILED
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "action", choices=("create", "check"), help="create what is missing, or compare all with the declaration"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Create the missing topics, then compare all of them with the declaration; 1 when something differs."""
    quiet_client()
    created = asyncio.run(topics.create(settings)) if options.action == "create" else []
    findings = asyncio.run(topics.check(settings))
    for finding in findings:
        note(str(finding))
    value = {
        "created": created,
        "findings": [{"topic": finding.where, "what": finding.what, "advice": finding.advice} for finding in findings],
    }
    made = (
        f"{len(created)} topics created, {len(topics.TOPICS) - len(created)} were there; "
        if options.action == "create"
        else ""
    )
    result(value, as_json=options.json, sentence=f"{made}{len(findings) or 'nothing'} to correct")
    return FAILED if findings else 0
