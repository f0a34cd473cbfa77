"""`bellwether bench`: measures throughput, cost and latency on this machine, beside what bounds them."""

import argparse
import sys
from pathlib import Path

from streams.cli.output import note, result
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--events", type=_count, default=600_000, metavar="N", help="size of the workload (600000)")
    parser.add_argument("--accounts", type=_count, default=20_000, metavar="N", help="accounts in it (20000)")
    parser.add_argument("--quick", action="store_true", help="30000 events, 2000 accounts: does everything still run?")
    parser.add_argument(
        "--restore",
        type=_count,
        metavar="N",
        help="only: how long a worker restores N accounts, and how fast it is with them",
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="also put the figures into this file, with machine and commit"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Measure on a Kafka of its own; print the figures."""
    from rich.console import Console  # noqa: PLC0415 - a second of imports that --help does not need

    from streams.bench.report import table  # noqa: PLC0415
    from streams.bench.results import record  # noqa: PLC0415
    from streams.bench.run import Plan, bench, bench_restore  # noqa: PLC0415

    plan = Plan(30_000, 2_000, 4, 4) if options.quick else Plan(options.events, options.accounts)
    value = bench_restore(options.restore, settings, note) if options.restore else bench(plan, settings, note)
    if options.results:
        record(options.results, "restore" if options.restore else "bench", ["bellwether", *sys.argv[1:]], value)
    Console(stderr=options.json).print(table(value))
    if options.json:
        result(value, as_json=True, sentence="")
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or not 1_000 <= int(text) <= 100_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1000 to 100000000, got {text!r}")
    return int(text)
