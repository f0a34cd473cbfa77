"""`bellwether topics create|check|acl`: see `streams.topics` for the declaration, `streams.acl` for permissions."""

import argparse
import asyncio
from dataclasses import asdict

from streams import topics
from streams.acl import ROLES
from streams.cli.output import note, quiet_client, result
from streams.halt import FAILED
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "action",
        choices=("create", "check", "acl"),
        help="create what is missing, compare all with the declaration, or list the permissions that processes need",
    )
    parser.add_argument("--role", choices=tuple(ROLES), help="acl: of this kind of process only")
    parser.add_argument("--principal", metavar="USER", help="acl: who is granted them (default: bellwether-ROLE)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Create the missing topics, then compare all of them with the declaration; 1 when something differs."""
    if options.action == "acl":
        return _list_permissions(options, settings)
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


def _list_permissions(options: argparse.Namespace, settings: Settings) -> int:
    """Print one command of Kafka's own tool for each permission."""
    roles = [options.role] if options.role else list(ROLES)
    lines, grants = [], []
    for role in roles:
        principal = options.principal or f"bellwether-{role}"
        lines.append(f"# {role}: User:{principal}")
        for grant in ROLES[role](settings):
            lines.append(grant.command(settings.kafka, principal))
            grants.append({"role": role, "principal": principal, **asdict(grant)})
    result({"grants": grants}, as_json=options.json, sentence="\n".join(lines))
    return 0
