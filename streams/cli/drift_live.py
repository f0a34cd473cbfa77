"""`bellwether drift` without a folder: what a running application said, beside what came, from its topics."""

import argparse
import asyncio
from typing import Any

from streams.backtest.question import parse_horizon, parse_outcome
from streams.cli.output import note, quiet_client, result
from streams.feedback.exporting import Exporting, expose
from streams.feedback.following import reports
from streams.feedback.joining import Question
from streams.settings import Settings

EVERY_SECONDS = 3_600.0


def add_following(parser: argparse.ArgumentParser) -> None:
    """Declare what only goes without a folder."""
    parser.add_argument(
        "--follow", "-f", action="store_true", help="without DIR: go on, and export the figures as metrics"
    )
    parser.add_argument(
        "--every", type=float, default=EVERY_SECONDS, metavar="SECONDS", help="between reports (default: %(default)s)"
    )


def show(options: argparse.Namespace, settings: Settings, recent_ms: int) -> int:
    """Report once, or again and again."""
    if options.outcome is not None:
        parse_outcome(options.outcome)
    horizon_ms = parse_horizon(options.horizon) if options.horizon else None
    quiet_client()
    exporting = expose(settings) if options.follow else None
    question = Question(options.outcome, horizon_ms, recent_ms)
    try:
        asyncio.run(_watch(options, settings, question, exporting))
    except KeyboardInterrupt:  # how following ends
        if not options.follow:
            raise
    return 0


async def _watch(
    options: argparse.Namespace, settings: Settings, question: Question, exporting: Exporting | None
) -> None:
    every = options.every if options.follow else None
    async for report in reports(settings, question, every, lambda count: note(f"{count:,} records read")):
        if exporting:
            exporting.show(report)
        result(report, as_json=options.json, sentence=sentences(report))


def sentences(report: dict[str, Any]) -> str:
    """Return the report for people."""
    if not report["accounts"]:
        return "`score-history` tells of no risk yet: start workers with BELLWETHER_SCORE_HISTORY=on, and ask again in a week"
    lines = [f"{report['outcome']} within {report['horizon']}, {report['accounts']} accounts, to {report['to'][:10]}"]
    for name, kept in (*report["kept_promises"].items(), *report["bands"].items()):
        ranked = f", AUC {kept['auc']:.3f}" if kept.get("auc") is not None else ""
        lines.append(f"  {name:<10} {_kept(kept)}{ranked}")
    if not report["kept_promises"]["recent"]["rows"]:
        lines.append(f"  no prediction of {report['model']['name']} {report['model']['version']} is old enough yet")
    if report["silence"]:
        since = report["silence"]["heard_from"]
        deleted = f"; events before {since[:10]} are not all known, so what they decide is left out" if since else ""
        lines.append(f"  {report['silence']['silent']} accounts are silent{deleted}")
    lines.append("  before each outcome of late: band, and mean risk said")
    for days, kinds in report["said_before_outcomes"].items():
        for kind, words in kinds.items():
            bands = ", ".join(f"{band} {count}" for band, count in words["bands"].items() if count)
            lines.append(f"    {days:>3} days, {kind:<11} {words['outcomes']:>5}: {bands}; {words['mean_risk']:.2%}")
    green = ", ".join(
        f"{each['count']} of {each['of']} within {days} days" for days, each in report["red_to_green"].items()
    )
    lines.append(f"  from the worst band to the best: {green}")
    lines += [_playbook(each) for each in report["playbooks"]]
    lines.append("  moved since the model's first weeks (PSI; from 0.25 on it is another population):")
    for group in ("scores", "inputs"):
        for name, moved in report[group].items():
            index = "-" if moved["psi"] is None else f"{moved['psi']:.3f}"
            lines.append(f"    {name:<16} {index:>7}  {moved['verdict']}")
    return "\n".join([*lines, *(f"  ! {sentence}" for sentence in report["warnings"])])


def _kept(kept: dict[str, Any]) -> str:
    if not kept["rows"]:
        return "nothing to judge yet"
    return f"said {kept['said']:.2%}, came {kept['came']:.2%} ({kept['outcomes']} accounts, {kept['rows']} predictions)"


def _playbook(each: dict[str, Any]) -> str:
    shares = ", ".join(
        f"{name.replace('_', ' ')} {each[name]['count']} of {each[name]['of']}"
        for name in ("answered", "recovered", "recovered_answered", "red_to_green", "held_out_recovered")
        if each[name]["of"]
    )
    return f"  {each['playbook']}: {shares}"
