"""Where the time of applying goes, function by function: one partition fed in this process, under Python's profiler.

A compiled function counts as one: what it calls is compiled into it. Python functions look dearer than they are, for the
profiler stops at every call; what the worker does around the state (fetching, sending, Kafka) is not part of it.
"""

import argparse
import cProfile
import os
import pstats
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from streams.bench.stages import PARTITION, feed, prepared
from streams.bench.workload import Workload
from streams.kernel_cache import use_kernel_cache
from streams.scorer import new_partition
from streams.settings import Settings

LINES = 30
TOP = Path(__file__).resolve().parent.parent.parent


def lines_of(profile: cProfile.Profile, events: int) -> list[str]:
    """Return a table of the functions that cost most: microseconds an event by themselves, calls a thousand events."""
    found = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    dearest = sorted(((own, calls, *place) for place, (_, calls, own, _, _) in found), reverse=True)[:LINES]
    return [
        f"{own / events * 1e6:10.2f} {calls / events * 1e3:12.1f}  {name} ({_shown(file)})"
        for own, calls, file, _, name in dearest
    ]


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(TOP)) if path.is_relative_to(TOP) else path.name


def main() -> None:
    """Feed the workload and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=300_000, metavar="N", help="size of the workload (300000)")
    parser.add_argument("--accounts", type=int, default=20_000, metavar="N", help="accounts in it (20000)")
    given = parser.parse_args()
    settings = Settings.from_environ(os.environ)
    workload = Workload(events=given.events, accounts=given.accounts)
    compiled, work = prepared(settings, workload, partial(print, flush=True))
    profile = cProfile.Profile()
    partition = new_partition(PARTITION, settings, compiled)
    spent = profile.runcall(feed, partition, work, nullcontext())
    print(f"{spent.events} events of partition {PARTITION}\n us an event  calls/1000  function")
    print("\n".join(lines_of(profile, spent.events)))


if __name__ == "__main__":
    use_kernel_cache(os.environ)
    main()
