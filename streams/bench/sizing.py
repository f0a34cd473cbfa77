"""A plan on paper: what a book and a load need, from the figures that `bellwether bench --results FILE` kept.

``python -m streams.bench.sizing --bench bench.json --accounts 100e6 --events 1e6`` prints the table of docs/scale.md;
every assumption is an option. The formulas are `plan`'s, one line each.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from streams.cli.output import result

GIB: Final = 2**30
PROCESS_BYTES: Final = 400 * 2**20
"""A worker before it holds any account: interpreter, compiled kernel, fetch buffers."""

TICKS_A_DAY: Final = 24
"""The bench sweeps a day of hourly ticks and gives their mean; nearly all of a day's work falls on its midnight."""


@dataclass(frozen=True)
class Load:
    """What is to be carried, and how close to the limit.

    Attributes
    ----------
    accounts, events_per_second
        The book and its events, > 0.
    use
        Share of a worker's measured speed that is planned with; the rest is for bursts, restores and catching up.
    worker_gib
        Memory of a worker.
    restore_seconds
        How long the accounts of a worker that died may stand still at most, its session's 10 s not counted.
    event_bytes
        Size of an input record.
    copies
        Of every topic.
    broker_bytes
        What one broker writes a second, all copies counted.
    """

    accounts: float = 100e6
    events_per_second: float = 1e6
    use: float = 0.6
    worker_gib: float = 16.0
    restore_seconds: float = 120.0
    event_bytes: float = 200.0
    copies: int = 3
    broker_bytes: float = 200e6


def plan(load: Load, bench: Mapping[str, Any]) -> dict[str, float]:
    """Return what it takes, by the words that the table has.

    Parameters
    ----------
    load
        What is to be carried.
    bench
        Figures of one worker on the machine that is planned with.
    """
    by_rate = load.events_per_second / (bench["events_per_second"] * load.use)
    by_memory = load.accounts * bench["bytes_per_account"] / (load.worker_gib * GIB * 0.75 - PROCESS_BYTES)
    by_restore = load.accounts / (bench["restore_accounts_per_second"] * load.restore_seconds)
    workers = math.ceil(max(by_rate, by_memory, by_restore))
    accounts = load.accounts / workers
    written = load.events_per_second * (load.event_bytes + bench["output_bytes_per_event"]) * load.copies
    return {
        "workers for the events": math.ceil(by_rate),
        "workers for the memory": math.ceil(by_memory),
        "workers for the restore": math.ceil(by_restore),
        "workers": workers,
        "partitions": 2 ** math.ceil(math.log2(2 * workers)),
        "accounts of a worker": round(accounts),
        "memory of a worker, GiB": round((accounts * bench["bytes_per_account"] + PROCESS_BYTES) / GIB, 1),
        "cores for scoring": math.ceil(load.events_per_second * bench["cpu_seconds_per_million"] / 1e6 / load.use),
        "restore of a worker, s": round(accounts / bench["restore_accounts_per_second"]),
        "sweep of a worker at midnight, s": round(TICKS_A_DAY * accounts / bench["sweep_accounts_per_second"], 1),
        "changelog, MB/s before copies": round(load.events_per_second * bench["changelog_bytes_per_event"] / 1e6),
        "written to disks, MB/s": round(written / 1e6),
        "brokers": max(load.copies, math.ceil(written / load.broker_bytes)),
    }


def table(found: Mapping[str, float]) -> str:
    """Return a plan as a Markdown table."""
    return "\n".join(
        ["| what | how much |", "|---|---|", *(f"| {name} | {number:,} |" for name, number in found.items())]
    )


def main() -> int:
    """Print the plan as a Markdown table, or as JSON."""
    parser = argparse.ArgumentParser(description="Plans workers, partitions and brokers from the bench's figures.")
    parser.add_argument("--bench", type=Path, required=True, help="what `bellwether bench --results FILE` kept")
    default = Load()
    for name, meaning in (
        ("accounts", "accounts in the book"),
        ("events_per_second", "input records a second"),
        ("use", "share of the measured speed that is planned with"),
        ("worker_gib", "memory of a worker, GiB"),
        ("restore_seconds", "longest restore"),
        ("event_bytes", "bytes of an input record"),
        ("broker_bytes", "bytes a broker writes a second"),
    ):
        option = "--" + name.removesuffix("_per_second").replace("_", "-")
        parser.add_argument(option, dest=name, type=float, default=getattr(default, name), help=meaning)
    parser.add_argument("--copies", type=int, default=default.copies, help="copies of every topic")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    options = vars(parser.parse_args())
    is_json, path = options.pop("json"), options.pop("bench")
    try:
        figures = orjson.loads(path.read_bytes())["bench"]["figures"]
    except (OSError, ValueError, KeyError, TypeError):
        parser.error(f"{path}: expected the file that `bellwether bench --results {path}` keeps")
    found = plan(Load(**options), figures)
    result(found, as_json=is_json, sentence=table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
