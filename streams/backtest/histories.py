"""The presets on real histories, as the table of `docs/results.md`: `python -m streams.backtest.histories DATA`.

DATA holds the folders `oulad-aaa` (students of two course runs; leaving is churn) and `retail` (an online shop; silence
is churn). They are no part of this repository; the folders' own README says where they come from.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scoring.arrays import Ints
from scoring.compile import Compiled, compile_model
from scoring.presets import load_model
from streams.backtest.collect import Collected, only_segment
from streams.backtest.fitting import calibrate, candidates, with_propensity
from streams.backtest.outcomes import Answers, read_answers
from streams.backtest.question import Question, parse_as_of, parse_horizon, parse_outcome
from streams.backtest.report import judge
from streams.backtest.run import collect
from streams.replay import files_of
from streams.sharing import processes_for

SEED = 20260101
SHOWN = ("auc", "average_precision", "brier_skill", "ece", "calibration_slope")
HEADS = (
    "history",
    "rows",
    "outcomes",
    "AUC",
    "average precision",
    "Brier skill",
    "ECE",
    "slope",
    "best signal alone",
    "before",
)
"""Of the columns of `row`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one history, and what is known of how others did on it.

    Parameters
    ----------
    folder, model, outcome, horizon, as_of
        As on the command line.
    baseline
        What was reached before, in words.
    """

    folder: str
    model: str
    outcome: str
    horizon: str
    as_of: str
    baseline: str


LEAVING = (
    "logistic regression on light features, on all courses: AUC .722, with missed deadlines .762; recency alone .700"
)
BUYING = "logistic regression on light features: AUC .737, AP .623; recency alone .683"
CASES = (
    Case("oulad-aaa", "saas-renewal", "churned", "7d", "weekly", LEAVING),
    Case("oulad-aaa", "saas-renewal", "churned", "30d", "weekly", ""),
    Case("retail", "ecommerce-rfm", "silence:billing:purchase:90d", "90d", "2011-09-10", BUYING),
    Case("retail", "ecommerce-rfm", "silence:billing:purchase:90d", "90d", "monthly", ""),
)
RUNS = ("AAA-2013J", "AAA-2014J")
"""Segments of `oulad-aaa`: one run of the course is fitted to, the other is foretold."""


def asked(case: Case, data: Path, compiled: Compiled) -> tuple[Collected, Answers]:
    """Return the rows and answers of a case."""
    files = files_of(data / case.folder)
    question = Question(parse_outcome(case.outcome), parse_horizon(case.horizon))
    answers = read_answers(files, question)
    return collect(files, compiled, answers, parse_as_of(case.as_of), processes=processes_for(files)), answers


def report_of(collected: Collected, answers: Answers, compiled: Compiled, as_of: str) -> dict[str, Any]:
    """Return the report, with the intervals that the command gives."""
    chance = np.random.default_rng(SEED)

    def draw(n: int) -> Ints:
        return chance.integers(0, n, n)

    return judge(collected, answers, compiled, as_of, draw)


def preset_report(case: Case, data: Path) -> dict[str, Any]:
    """Return what the preset reaches in a case."""
    compiled = compile_model(load_model(case.model))
    collected, answers = asked(case, data, compiled)
    return report_of(collected, answers, compiled, case.as_of)


def crossed_report(case: Case, data: Path, fitted_on: str, judged_on: str) -> dict[str, Any]:
    """Return what the preset, calibrated on one segment, reaches on another."""
    model = load_model(case.model)
    wide = candidates(model, "risk")
    collected, answers = asked(case, data, wide)
    found = calibrate(*only_segment(collected, answers, fitted_on), wide, "risk")
    fitted = with_propensity(model, "risk", found.propensity) if found.improved else model
    compiled = compile_model(replace(fitted, version=model.version + 1))
    return report_of(*only_segment(*asked(case, data, compiled), judged_on), compiled, case.as_of)


def row(name: str, report: dict[str, Any], baseline: str) -> str:
    """Return a line of the table."""
    cells = [name, f"{report['rows']:,}", f"{report['positives']:,}"]
    for key in SHOWN:
        interval = report["intervals"].get(key)
        digits = 4 if key in ("average_precision", "brier_skill") else 3
        spread = f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else ""
        cells.append("-" if report[key] is None else f"{report[key]:.{digits}f}{spread}")
    alone = [report["comparison"]["recency"], report["comparison"]["level"] or {}]
    alone += report["comparison"]["inputs"].values()
    best = max((found.get("auc") or 0.0 for found in alone), default=0.0)
    return "| " + " | ".join([*cells, f"{best:.3f}", baseline]) + " |"


def main(arguments: Sequence[str]) -> int:
    """Print the table; 2 without a folder."""
    if len(arguments) != 1:
        print("usage: python -m streams.backtest.histories DATA", file=sys.stderr)
        return 2
    data = Path(arguments[0])
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    for case in CASES:
        if (data / case.folder).is_dir():
            name = f"`{case.folder}`, {case.horizon}, {case.as_of}"
            print(row(name, preset_report(case, data), case.baseline), flush=True)
    if (data / CASES[0].folder).is_dir():
        for one, other in (RUNS, RUNS[::-1]):
            report = crossed_report(CASES[0], data, one, other)
            print(row(f"calibrated on {one}, judged on {other}", report, ""), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
