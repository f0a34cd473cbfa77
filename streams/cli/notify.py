"""`bellwether notify`: delivers alerts to webhooks, Slack, PagerDuty, Alertmanager and by mail."""

import argparse
import os
from pathlib import Path

from streams.cli.output import result
from streams.halt import FAILED, Refusal
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options; targets are in their file, everything else in the environment."""
    parser.add_argument("targets", type=Path, metavar="TARGETS.toml", help="who is told of alerts, and how")
    parser.add_argument(
        "--check", action="store_true", help="read the file, tell what is wrong with it, deliver nothing"
    )
    parser.add_argument(
        "--enable",
        action="append",
        default=[],
        metavar="TARGET",
        help="deliver again to a target that answered 410 Gone; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="with --check: print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Deliver until SIGTERM or Ctrl-C, or check the file; return the exit code."""
    from streams.notify.reading import TargetsError, read_delivery  # noqa: PLC0415 - imports that --help does not need
    from streams.notify.run import run as deliver  # noqa: PLC0415

    try:
        delivery = read_delivery(options.targets, os.environ)
    except TargetsError as error:
        if options.check and options.json:
            result({"ok": False, "faults": str(error).splitlines()}, as_json=True, sentence="")
            return FAILED
        raise Refusal(str(error)) from error
    names = [target.name for target in delivery.targets]
    if unknown := sorted(set(options.enable) - set(names)):
        raise Refusal(f"--enable: expected one of {', '.join(names)}, got {', '.join(unknown)} — see {options.targets}")
    if options.check:
        shown = {target.name: type(target.place).__name__.lower() for target in delivery.targets}
        sentence = f"{options.targets}: {len(names)} targets, all right: {', '.join(names)}"
        result({"ok": True, "targets": shown}, as_json=options.json, sentence=sentence)
        return 0
    return deliver(settings, delivery, frozenset(options.enable))
