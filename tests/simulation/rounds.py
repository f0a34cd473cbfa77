"""Many seeds over all cores; results add up in a file, a failing seed is told with the command that repeats it.

``python -m tests.simulation.rounds --seeds 300`` goes on where the last round ended; ``--seed N`` repeats one.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.simulation.simulate import Outcome, compiled_model, simulate

RESULTS = Path(__file__).parent / "results" / "rounds.jsonl"
CHUNK = 20
SUMS = ("events", "alerts", "flushes", "lives", "crashes")


def run_chunk(seeds: range) -> list[Outcome]:
    """Run some seeds in this process."""
    logging.disable(logging.CRITICAL)
    return [simulate(seed) for seed in seeds]


def rounds(first: int, count: int, jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes of ``count`` seeds from ``first`` on."""
    compiled_model()
    chunks = [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    run_chunk(range(first, first + 1))  # compiles the kernel once, before others would all do it
    with ProcessPoolExecutor(jobs) as pool:
        for outcomes in pool.map(run_chunk, chunks):
            yield from outcomes


class Tally:
    """Sums over outcomes."""

    def __init__(self) -> None:
        self.seeds = 0
        self.violations: list[tuple[int, str]] = []
        self.sums: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Add one."""
        self.seeds += 1
        if outcome.violation:
            self.violations.append((outcome.seed, outcome.violation))
        self.sums.update({name: getattr(outcome, name) for name in SUMS})
        self.faults.update(outcome.faults)
        self.exits.update(outcome.exits)

    def line(self, seconds: float, first: int) -> dict[str, object]:
        """Return one round's line of the results file."""
        return {
            "first_seed": first,
            "seeds": self.seeds,
            "violations": [seed for seed, _ in self.violations],
            "seconds": round(seconds, 1),
            **self.sums,
            "faults": dict(self.faults.most_common()),
            "exits": dict(self.exits.most_common()),
        }


def past(path: Path) -> list[dict[str, object]]:
    """Return the lines of former rounds."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report(lines: list[dict[str, object]]) -> str:
    """Say what all rounds together came to.

    Without any violation in n independent runs, the probability of one in a run is below 3/n with 95 % confidence.
    """
    seeds = sum(int(str(line["seeds"])) for line in lines)
    bad = sum(len(line["violations"]) for line in lines)  # type: ignore[arg-type]
    bound = f"below {3 / seeds:.2g} at 95 % (3/n)" if not bad else "not bounded: see the failing seeds"
    return f"all rounds: {seeds} seeds, {bad} with a violation; probability of one per run {bound}"


def main() -> int:
    """Run a round, or repeat a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=300, help="how many to run (300)")
    parser.add_argument("--first", type=int, help="first seed; without it, after the last one that was run")
    parser.add_argument("--seed", type=int, help="repeat one seed, with the log of its workers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one per core)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to which results are added")
    options = parser.parse_args()
    if options.seed is not None:
        logging.basicConfig(level="INFO", stream=sys.stderr, format="%(name)s: %(message)s")
        outcome = simulate(options.seed)
        print(json.dumps(asdict(outcome), indent=1))
        return int(bool(outcome.violation))
    former = past(options.results)
    ends = [int(str(line["first_seed"])) + int(str(line["seeds"])) for line in former]
    first = options.first if options.first is not None else max(ends, default=0)
    tally, began = Tally(), time.monotonic()
    for outcome in rounds(first, options.seeds, options.jobs):
        tally.add(outcome)
        if outcome.violation:
            print(f"seed {outcome.seed}: {outcome.violation[:600]}")
            print(f"  repeat it: python -m tests.simulation.rounds --seed {outcome.seed}")
    seconds = time.monotonic() - began
    line = tally.line(seconds, first)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with options.results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"seeds {first} to {first + tally.seeds - 1}: {len(tally.violations)} violations")
    print(
        f"  {tally.seeds / seconds:.1f} seeds/s; "
        + ", ".join(f"{number} {name}" for name, number in tally.sums.items())
    )
    print("  faults: " + ", ".join(f"{number} {name}" for name, number in tally.faults.most_common()))
    print(
        "  workers stopped themselves: "
        + (", ".join(f"{n} x {why}" for why, n in tally.exits.most_common()) or "never")
    )
    print(report([*former, line]))
    return int(bool(tally.violations))


if __name__ == "__main__":
    sys.exit(main())
