"""`bellwether model shadow FILE`: what a model would say beside the one that scores, without publishing it."""

import argparse
import asyncio
from dataclasses import asdict

from scoring.compile import compile_model
from scoring.presets import load_model
from streams.cli.output import note, quiet_client, result
from streams.settings import Settings
from streams.shadow import Report, Shadow

SHOWN = 20
EVERY_SECONDS = 10.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's options."""
    parser.add_argument("model", metavar="FILE", help="a model file or a preset's name")
    parser.add_argument("--follow", "-f", action="store_true", help="go on along the journal, until Ctrl-C")
    parser.add_argument(
        "--every", type=float, default=EVERY_SECONDS, metavar="SECONDS", help="between reports (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print each report as a line of JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Report once, or again and again; raises `ModelError` for a wrong file."""
    from streams.scorer import load_compiled  # noqa: PLC0415 - a second of imports that the other actions do not need

    quiet_client()
    new = compile_model(load_model(options.model))
    shadow = Shadow(settings, load_compiled(settings), new)
    try:
        asyncio.run(_watch(shadow, options))
    except KeyboardInterrupt:  # how following ends
        if not options.follow:
            raise
    return 0


async def _watch(shadow: Shadow, options: argparse.Namespace) -> None:
    await shadow.restore(lambda done, count: note(f"restoring {done + 1} of {count} partitions …"))
    _tell(shadow.report(), as_json=options.json)
    if options.follow:
        async for report in shadow.follow(options.every):
            _tell(report, as_json=options.json)


def _tell(report: Report, *, as_json: bool) -> None:
    share = len(report.differences) / max(report.accounts, 1)
    lines = [f"{len(report.differences)} of {report.accounts} accounts ({share:.1%}) would be in another band"]
    lines += [f"  {number:>6}  {move}" for move, number in report.moves.items()]
    for each in report.differences[:SHOWN]:
        healths = " → ".join("none" if h is None else f"{h:.1f}" for h in (each.live_health, each.shadow_health))
        lines.append(f"  {each.account}: {each.live} → {each.shadow} (health {healths})")
    if len(report.differences) > SHOWN:
        lines.append(f"  … and {len(report.differences) - SHOWN} more: --json lists them all")
    if report.flushes:
        lines.append(f"alerts fired in {report.records:,} records since: {_rules(report)}")
    value = {"accounts": report.accounts, "differing": len(report.differences), "moves": report.moves}
    value |= {"differences": [asdict(each) for each in report.differences], "records": report.records}
    value |= {"alerts": {"live": dict(report.live_alerts), "shadow": dict(report.shadow_alerts)}}
    began_after = {str(number): sequence for number, sequence in report.began_after.items()}
    value |= {"flushes": report.flushes, "began_after": began_after}
    result(value, as_json=as_json, sentence="\n".join(lines))


def _rules(report: Report) -> str:
    live, shadow = report.live_alerts, report.shadow_alerts
    names = sorted(live.keys() | shadow.keys())
    return ", ".join(f"{name} {live.get(name, 0)} → {shadow.get(name, 0)}" for name in names) or "none by either"
