"""`bellwether demo`: a simulated book of accounts, or real histories, through the whole system on this machine."""

import argparse
from pathlib import Path

from streams.cli.output import quiet_client
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--accounts", type=int, default=2_000, metavar="N", help="accounts of the book (default 2000, at least 20)"
    )
    parser.add_argument("--days", type=int, default=120, metavar="N", help="days of the book (default 120; 110 to 730)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which book (default 1)")
    parser.add_argument(
        "--seconds", type=_seconds, default=120.0, metavar="S", help="how long the days take (default 120)"
    )
    parser.add_argument(
        "--workers", type=int, default=2, choices=range(1, 9), metavar="N", help="worker processes (default 2)"
    )
    parser.add_argument(
        "--input", type=Path, metavar="DIR", help="replay the histories in DIR instead of a simulated book"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Start everything, let the days go by, print what the alerts made of them, leave nothing behind."""
    from streams.demo.run import Options, demonstrate  # noqa: PLC0415 (numpy and the stack, which --help does not need)

    quiet_client()
    wanted = Options(
        accounts=options.accounts,
        days=options.days,
        seed=options.seed,
        seconds=options.seconds,
        workers=options.workers,
        folder=options.input,
        as_json=options.json,
    )
    return demonstrate(wanted, settings)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"expected more than 0 and at most 86400 seconds, got {text}")
    return seconds
