"""`bellwether backtest DIR`: how well a model would have foreseen what happened, without ever looking ahead.

The folder is replayed through the live kernel; at each as-of date every account's score is taken down, and only after
the replay they are compared with what came.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from scoring.arrays import Ints
from scoring.compile import Compiled, compile_model
from scoring.durations import format_duration
from scoring.faults import ModelError
from scoring.presets import load_model
from state.moments import rfc3339
from streams.backtest.collect import only_segment
from streams.backtest.outcomes import Answers, read_answers
from streams.backtest.page import page_of
from streams.backtest.question import AsOf, Question, parse_as_of, parse_horizon, parse_outcome
from streams.backtest.report import judge
from streams.backtest.run import collect
from streams.cli.files import EventFile
from streams.cli.output import note, result
from streams.cli.replay import add_processes
from streams.halt import Refusal
from streams.replay import files_of
from streams.settings import Settings
from streams.sharing import processes_for

SEED = 20260101
"""Of the bootstrap: the same history gives the same intervals."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_history(parser)
    parser.add_argument(
        "--compare", action="append", default=[], metavar="M2", help="another model on the same rows; may be repeated"
    )
    parser.add_argument("--html", type=Path, metavar="OUT", help="write one page with plots here")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def add_history(parser: argparse.ArgumentParser, folders: str | None = None) -> None:
    """Declare what every command that learns from a history asks for; `folders` is how many, as argparse says it."""
    files = "holds files such as usage.jsonl or billing.jsonl.gz"
    parser.add_argument("folder", type=Path, metavar="DIR", nargs=folders, help=files)
    parser.add_argument("--model", metavar="M", help="a preset's name or a file (default: BELLWETHER_MODEL)")
    parser.add_argument("--horizon", metavar="30d", help="time ahead, 1d to 365d (default: the model's)")
    parser.add_argument("--segment", metavar="S", help="only accounts of this segment")
    parser.add_argument("--as-of", default="weekly", metavar="weekly", help="weekly, monthly, or dates 2026-03-01,…")
    parser.add_argument(
        "--outcome",
        metavar="churned",
        help="churned, contracted, … or silence:TOPIC[:EVENT]:DURATION (default: the model's)",
    )
    add_processes(parser)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Replay the folder and judge what the scores said."""
    compiled = model_of(options.model or settings.model)
    others = {name: model_of(name) for name in options.compare}
    question = question_of(options, compiled)
    is_as_of = parse_as_of(options.as_of)
    files = files_of(options.folder)
    answers = read_answers(files, question)
    require_outcomes(answers)
    report = _report(files, compiled, answers, is_as_of, options)
    models = {name: _report(files, other, answers, is_as_of, options) for name, other in others.items()}
    if models:
        report["comparison"]["models"] = {name: _headline(found) for name, found in models.items()}
    if options.html:
        write_page(options.html, page_of(report))
    result(report, as_json=options.json, sentence=sentences(report))
    return 0


def model_of(name: str) -> Compiled:
    """Return a model by preset name or path; a faulty one is refused with all its faults."""
    try:
        return compile_model(load_model(name))
    except ModelError as error:
        raise Refusal(str(error)) from error


def question_of(options: argparse.Namespace, compiled: Compiled) -> Question:
    """Return what is asked; the model says what the options leave out."""
    horizon_ms = parse_horizon(options.horizon or format_duration(compiled.model.horizon_ms))
    return Question(parse_outcome(options.outcome or compiled.model.outcome), horizon_ms)


def require_outcomes(answers: Answers) -> None:
    """Refuse a history in which the outcome never came: there is nothing to compare with."""
    if not answers.positives:
        wanted = answers.question.text
        advice = "add outcomes.jsonl, or ask for another --outcome, such as silence:billing:purchase:90d"
        raise Refusal(f"expected at least one outcome '{wanted}' in the history, found none — {advice}")


def write_page(path: Path, text: str) -> None:
    """Write a page."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{path}: cannot be written ({error.strerror}) — check the path") from error
    note(f"{path}: written")


@contextmanager
def progress_of(files: list[EventFile], name: str) -> Iterator[Any]:
    """Show on a terminal how far files are read; yield what is told the event time reached."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=sum(file.size or 0 for file in files))

        def passed(reached_ms: int) -> None:
            read = sum(file.bytes_read for file in files)
            progress.update(task, completed=read, description=f"{name} {rfc3339(reached_ms)[:10]}")

        yield passed


def _report(
    files: list[EventFile], compiled: Compiled, answers: Answers, is_as_of: AsOf, options: argparse.Namespace
) -> dict[str, Any]:
    with progress_of(files, compiled.model.name) as passed:
        shared = options.processes or processes_for(files)
        collected = collect(files, compiled, answers, is_as_of, passed=passed, note=note, processes=shared)
    if options.segment is not None:
        collected, answers = only_segment(collected, answers, options.segment)
    chance = np.random.default_rng(SEED)

    def draw(n: int) -> Ints:
        return chance.integers(0, n, n)

    return judge(collected, answers, compiled, options.as_of, draw)


def _headline(report: dict[str, Any]) -> dict[str, Any]:
    names = ("auc", "average_precision", "lift_at_10", "brier_skill", "ece", "calibration_slope")
    return {name: report[name] for name in names}


def sentences(report: dict[str, Any]) -> str:
    """Return the report for people: the figures, each beside what a simple rule reaches."""

    def figure(name: str, digits: int = 3) -> str:
        value, interval = report[name], report["intervals"].get(name)
        shown = "-" if value is None else f"{value:.{digits}f}"
        return shown + (f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else "")

    alone = {"recency": report["comparison"]["recency"], "level": report["comparison"]["level"] or {}}
    simple = ", ".join(f"{name} {found.get('auc') or 0.0:.3f}" for name, found in alone.items())
    lead, alerts = report["lead_time"], report["alerts"]
    asked = (
        f"{report['outcome']} within {report['horizon']}: {report['rows']} rows, {report['positives']} positives, "
        f"{report['as_of_times']} as-of times, {report['accounts']} accounts"
    )
    told = (
        f"  loud alert in the 90 days before: {(alerts['captured_ratio'] or 0.0):.1%}; "
        f"others ever alarmed: {(alerts['false_alarm_ratio'] or 0.0):.1%}"
    )
    lines = [
        asked,
        f"  AUC                {figure('auc')}   alone: {simple}",
        f"  average precision  {figure('average_precision', 4)}   base rate {report['base_rate'] or 0.0:.4f}",
        f"  lift at 10 %       {figure('lift_at_10', 2)}",
        f"  Brier skill        {figure('brier_skill', 4)}",
        f"  calibration error  {figure('ece', 4)}   slope {figure('calibration_slope', 2)}",
        f"  left green before  {lead['warned']} of {lead['outcomes']}, median {lead['median_days'] or 0:.0f} days",
        told,
        *(f"  {name}: AUC {found['auc'] or 0.0:.3f}" for name, found in report["comparison"].get("models", {}).items()),
        *(f"  ! {sentence}" for sentence in report["warnings"]),
    ]
    return "\n".join(lines)
