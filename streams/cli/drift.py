"""`bellwether drift [DIR]`: is a model still right, and if not, what moved: by a history, or by the topics of a running application."""

import argparse
from typing import Any

from scoring.durations import parse_duration
from streams.backtest.collect import only_segment
from streams.backtest.drifting import drift_of
from streams.backtest.outcomes import read_answers
from streams.backtest.question import parse_as_of
from streams.backtest.run import collect
from streams.cli.backtest import add_history, model_of, progress_of, question_of, require_outcomes
from streams.cli.drift_live import add_following, show
from streams.cli.output import note, result
from streams.halt import Refusal
from streams.replay import files_of
from streams.settings import Settings
from streams.sharing import processes_for


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_history(parser, "?")
    parser.add_argument("--recent", default="90d", metavar="90d", help="how much of the history's end is looked at")
    add_following(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Compare the latest part with all before; warnings are sentences, not an exit code."""
    recent_ms = parse_duration(options.recent)
    if not recent_ms:
        raise Refusal(f"--recent: expected a duration, got '{options.recent}' — write for example 90d")
    if options.folder is None:
        return show(options, settings, recent_ms)
    if options.follow:
        raise Refusal("--follow: expected no folder with it, got one - a folder's history has ended")
    compiled = model_of(options.model or settings.model)
    files = files_of(options.folder)
    answers = read_answers(files, question_of(options, compiled))
    require_outcomes(answers)
    shared = options.processes or processes_for(files)
    with progress_of(files, compiled.model.name) as passed:
        as_of = parse_as_of(options.as_of)
        collected = collect(files, compiled, answers, as_of, passed=passed, note=note, processes=shared)
    if options.segment is not None:
        collected, answers = only_segment(collected, answers, options.segment)
    report = drift_of(collected, answers, compiled, recent_ms)
    result(report, as_json=options.json, sentence=sentences(report))
    return 0


def sentences(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [f"{report['outcome']} within {report['horizon']}; recent is from {report['recent_from'][:10]}"]
    for name, promise in report["kept_promises"].items():
        if promise["rows"]:
            lines.append(
                f"  {name:<8} said {promise['said']:.2%}, came {promise['came']:.2%} "
                f"({promise['positives']} of {promise['rows']}), AUC {promise['auc'] or 0.0:.3f}"
            )
    lines.append("  moved since (PSI; from 0.25 on it is another population):")
    for group in ("scores", "inputs"):
        for name, moved in report[group].items():
            index = "-" if moved["psi"] is None else f"{moved['psi']:.3f}"
            lines.append(f"    {name:<16} {index:>7}  {moved['verdict']}")
    return "\n".join([*lines, *(f"  ! {sentence}" for sentence in report["warnings"])])
