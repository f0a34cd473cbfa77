"""`bellwether calibrate DIR`: fit a model's probabilities to what happened, as a new version to review.

The model's own coefficients are what is believed; outcomes move them as far as they bear out on rows not fitted to.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoring.fitting.calibration import ISOTONIC, NONE, PLATT
from scoring.model import Model
from scoring.presets import model_text
from state.moments import rfc3339
from streams.backtest.collect import Collected, only_segment
from streams.backtest.fitting import (
    Calibrated,
    band_proposals,
    calibrate,
    candidates,
    propensity_of,
)
from streams.backtest.outcomes import Answers, read_answers
from streams.backtest.question import parse_as_of
from streams.backtest.rewriting import rewritten
from streams.backtest.run import collect
from streams.cli.backtest import add_history, model_of, progress_of, question_of, require_outcomes
from streams.cli.files import EventFile
from streams.cli.output import note, result
from streams.halt import Refusal
from streams.replay import files_of
from streams.settings import Settings
from streams.sharing import processes_for

BENT = {NONE: "as fitted", PLATT: "stretched (Platt)", ISOTONIC: "bent (isotonic)"}
SHOWN = ("auc", "average_precision", "brier_skill", "ece", "calibration_slope")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_history(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the new version (default: NAME-vN.toml here)")
    parser.add_argument(
        "--alerts-per-week", type=float, metavar="N", help="propose thresholds at which each band is entered so often"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Fit, and write the new version unless the old one is as good."""
    name = options.model or settings.model
    model = model_of(name).model
    question = question_of(options, model_of(name))
    which = "expansion" if question.outcome == "expanded" else "risk"
    compiled = candidates(model, which)
    files = files_of(options.folder)
    answers = read_answers(files, question)
    require_outcomes(answers)
    shared = options.processes or processes_for(files)
    with progress_of(files, model.name) as passed:
        as_of = parse_as_of(options.as_of)
        collected = collect(files, compiled, answers, as_of, passed=passed, note=note, processes=shared)
    if options.segment is not None:
        collected, answers = only_segment(collected, answers, options.segment)
    found = calibrate(collected, answers, compiled, which)
    report = _report(found, model, which)
    if options.alerts_per_week:
        report["bands"] = band_proposals(collected, answers, model, options.alerts_per_week)
    if found.improved:
        text = rewritten(model_text(name), name, which, found.propensity, _origin(found, collected, answers, files))
        report["written"] = _write(options.out or Path(f"{model.name}-v{model.version + 1}.toml"), text)
    result(report, as_json=options.json, sentence=sentences(report))
    return 0


def _report(found: Calibrated, model: Model, which: str) -> dict[str, Any]:
    own = {term.text: term.coefficient for term in propensity_of(model, which).terms}
    fitted = {term.text: term.coefficient for term in found.propensity.terms}
    return {
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
        "propensity": which,
        "improved": found.improved,
        "moved": found.choice.reach.text,
        "penalty": None if found.choice.reach.penalty == float("inf") else found.choice.reach.penalty,
        "calibration": {"form": found.choice.bend.form, "log_loss": found.choice.bend_losses},
        "rows_not_fitted_to": int(found.choice.rows.size),
        "before": {key: found.before[key] for key in SHOWN},
        "after": {key: found.after[key] for key in SHOWN},
        "intercept": {"before": propensity_of(model, which).intercept, "after": found.propensity.intercept},
        "coefficients": {
            text: {"before": own.get(text, 0.0), "after": fitted.get(text, 0.0)} for text in sorted(own | fitted)
        },
        "add_nothing": sorted(found.pruned + found.useless),
        "without_data": found.without_data,
        "written": None,
    }


def _origin(found: Calibrated, collected: Collected, answers: Answers, files: Sequence[EventFile]) -> str:
    question = answers.question
    days = question.horizon_ms // 86_400_000
    span = f"{rfc3339(collected.start_ms)[:10]} to {rfc3339(collected.last_ms)[:10]}"
    before, after = (figures["auc"] for figures in (found.before, found.after))
    return (
        f"calibrated on {answers.positives} outcomes '{question.text}' within {days}d, {span}, data {_fingerprint(files)}; "
        f"AUC on rows not fitted to {_told(before)} before, {_told(after)} after"
    )


def _told(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "unknown"


def _fingerprint(files: Sequence[EventFile]) -> str:
    """Return 12 hex digits of the files' bytes, so that a version says which data it was fitted to."""
    digest = hashlib.sha256()
    for file in files:
        with Path(file.name).open("rb") as source:
            digest.update(hashlib.file_digest(source, "sha256").digest())
    return digest.hexdigest()[:12]


def _write(path: Path, text: str) -> str:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refusal(f"{path}: cannot be written ({error.strerror}) — check the path") from error
    return str(path)


def sentences(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [f"{report['rows_not_fitted_to']} rows not fitted to         before     after"]
    for key in SHOWN:
        before, after = (report[when][key] for when in ("before", "after"))
        lines.append(f"  {key.replace('_', ' '):<24} {_number(before)}  {_number(after)}")
    lines.append(f"moved: {report['moved']}; probabilities {BENT[report['calibration']['form']]}")
    lines.append("coefficients")
    for text, pair in {"intercept": report["intercept"], **report["coefficients"]}.items():
        lines.append(f"  {text:<24} {pair['before']:>9.3f} {pair['after']:>9.3f}")
    if report["add_nothing"]:
        lines.append(f"add nothing: {', '.join(report['add_nothing'])}")
    if report["without_data"]:
        lines.append(f"no data, left as they are: {', '.join(report['without_data'])}")
    for band, proposal in report.get("bands", {}).items():
        lines.append(f"band {band}: " + (f"enter_below = {proposal['enter_below']:g}, leave_above = "
                     f"{proposal['leave_above']:g}" if proposal else "no threshold keeps within the budget"))  # fmt: skip
    if report["written"]:
        lines.append(f"{report['written']}: written; compare it with `bellwether backtest --compare`, then use it")
    else:
        lines.append("the model's own coefficients foretell unseen rows as well: nothing written")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return f"{value:9.4f}" if value is not None else f"{'-':>9}"
