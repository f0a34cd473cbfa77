"""`bellwether model fairness MODEL --history DIR`: whether any segment is treated unlike the rest."""

import argparse
import math
from dataclasses import asdict
from pathlib import Path

from scoring.backtest.fairness import FEWEST_ACCOUNTS, FOUR_FIFTHS, LEAST_POINTS, MEDIUM_EFFECT, UNLIKELY, Difference
from scoring.presets import load_model
from state.moments import rfc3339
from streams.cli.output import note, result
from streams.fairness import BY, Fairness, SegmentFigures, fairness
from streams.replay import files_of

HARSH = {"health": -1, "band changes": 1, "alerts": 1, "quiet": -1}
"""Measure → the direction in which a segment is treated more harshly."""
MEANING = {
    "health": "mean health",
    "band changes": "band changes an account and month",
    "alerts": "loud alerts an account and month",
    "quiet": "share of accounts never alarmed",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's options."""
    parser.add_argument("model", metavar="MODEL", help="a model file or a preset's name")
    parser.add_argument("--history", type=Path, metavar="DIR", required=True, help="a folder of histories")
    parser.add_argument(
        "--by", choices=BY, default=BY[0], help="what tells segments apart (default: %(default)s; model: its own ones)"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace) -> int:
    """Compare the segments of a history; raises `ModelError` for a wrong file."""
    model = load_model(options.model)
    found = fairness(files_of(options.history), model, options.by, note)
    value = {
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
        "by": options.by,
        "from": rfc3339(found.start_ms),
        "to": rfc3339(found.end_ms),
        "segments": [asdict(each) for each in found.segments],
        "differences": [_as_json(each) for each in found.differences],
        "unlike": sorted({each.segment for each in found.differences if each.is_unlike}),
        "harsher": sorted({each.segment for each in found.differences if each.is_unlike and _is_harsher(each)}),
        "limits": {
            "fewest_accounts": FEWEST_ACCOUNTS,
            "effect": MEDIUM_EFFECT,
            "points": LEAST_POINTS,
            "ratio": FOUR_FIFTHS,
            "chance": UNLIKELY,
        },
    }
    result(value, as_json=options.json, sentence="\n".join(_sentences(found, options.by)))
    return 0


def _is_harsher(each: Difference) -> bool:
    return HARSH[each.measure] * (each.inside - each.outside) > 0


def _as_json(each: Difference) -> dict[str, object]:
    return asdict(each) | {"effect": None if math.isinf(each.effect) else round(each.effect, 4)}


def _sentences(found: Fairness, by: str) -> list[str]:
    lines = [
        f"{'segment':<20} {'accounts':>8} {'stayed':>7} {'health 10/50/90 %':>19} {'alarmed':>8} {'changes':>8} {'alerts':>7}"
    ]
    lines += [_line(each) for each in found.segments]
    lines += ["  changes and alerts: for each account that stayed and 30 days; alerts: warning and critical", ""]
    unlike = [each for each in found.differences if each.is_unlike]
    for each in sorted(unlike, key=lambda each: (not _is_harsher(each), each.chance)):
        said = "HARSHER THAN THE REST" if _is_harsher(each) else "milder than the rest"
        lines.append(f"{said}: {by} {each.segment}, {MEANING[each.measure]} {_numbers(each)}")
    if not unlike and found.differences:
        lines.append("no segment is treated unlike the rest")
    if not found.differences:
        lines.append(f"nothing to compare: no two groups of {FEWEST_ACCOUNTS} accounts that stayed for four weeks")
    lines.append(
        f"Flagged where a health lies above another's with less than {0.5 - MEDIUM_EFFECT:.0%} or more than "
        f"{0.5 + MEDIUM_EFFECT:.0%} and {LEAST_POINTS:g} points lie between the means, or one rate is below {FOUR_FIFTHS:g} of the other, and chance alone would do so "
        f"in less than {UNLIKELY:.0%} of reports."
    )
    return lines


def _line(each: SegmentFigures) -> str:
    health = " / ".join(f"{number:.0f}" for number in each.health) or "-"
    start = f"{each.segment[:20]:<20} {each.accounts:>8} {each.stayed:>7} {health:>19}"
    if not each.stayed:
        return start
    return f"{start} {each.alarmed:>8.1%} {each.changes_per_month:>8.2f} {each.alerts_per_month:>7.2f}"


def _numbers(each: Difference) -> str:
    share = "{:.1%}" if each.measure == "quiet" else "{:.2f}"
    inside, outside = (share.format(number) for number in (each.inside, each.outside))
    return f"{inside} against {outside} (by chance: {each.chance:.1g})"
