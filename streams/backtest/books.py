"""A preset calibrated on one simulated book and judged on another: `python -m streams.backtest.books [SEED …]`.

Real histories are few, and a way to fit that was found on them may be a way to fit them. In these books another preset term
is missing, and the truth is known to be the same on both sides.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scoring.compile import Compiled, compile_model
from scoring.model import Model
from scoring.presets import load_model
from streams.backtest.collect import Collected
from streams.backtest.fitting import calibrate, candidates, with_propensity
from streams.backtest.histories import HEADS, report_of, row
from streams.backtest.outcomes import Answers, read_answers
from streams.backtest.question import Question, parse_as_of, parse_horizon, parse_outcome
from streams.backtest.run import collect
from streams.demo.book import Book
from streams.replay import files_of

MODEL, OUTCOME, HORIZON, AS_OF = "saas-renewal", "churned", "30d", "weekly"
ACCOUNTS, DAYS = 1_000, 200
SEEDS = (601, 602, 603, 604)


def asked(seed: int, compiled: Compiled, accounts: int = ACCOUNTS) -> tuple[Collected, Answers]:
    """Return a book's rows and answers."""
    with tempfile.TemporaryDirectory() as folder:
        events: dict[str, list[bytes]] = {}
        for found in Book(seed, accounts, DAYS).events():
            events.setdefault(found.topic, []).append(found.value)
        for topic, lines in events.items():
            (Path(folder) / f"{topic}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        files = files_of(Path(folder))
        answers = read_answers(files, Question(parse_outcome(OUTCOME), parse_horizon(HORIZON)))
        return collect(files, compiled, answers, parse_as_of(AS_OF)), answers


def taught_by(seed: int, model: Model, accounts: int = ACCOUNTS) -> Model:
    """Return a model calibrated on a book; itself where that foretells nothing better."""
    wide = candidates(model, "risk")
    found = calibrate(*asked(seed, wide, accounts), wide, "risk")
    fitted = with_propensity(model, "risk", found.propensity) if found.improved else model
    return replace(fitted, version=model.version + 1)


def judged_on(seed: int, model: Model, accounts: int = ACCOUNTS) -> dict[str, Any]:
    """Return what a model reaches on a book."""
    compiled = compile_model(model)
    return report_of(*asked(seed, compiled, accounts), compiled, AS_OF)


def main(arguments: Sequence[str]) -> int:
    """Print a table: each book foretold by the preset, and by what the book before it taught."""
    seeds = [int(text) for text in arguments] or list(SEEDS)
    model = load_model(MODEL)
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    for before, seed in zip([seeds[-1], *seeds[:-1]], seeds, strict=True):
        print(row(f"book {seed}, preset", judged_on(seed, model), ""), flush=True)
        print(row(f"book {seed}, calibrated on {before}", judged_on(seed, taught_by(before, model)), ""), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
