"""`bellwether model diff OLD NEW [--history DIR]`: what another model says differently, and what that changes for whom."""

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from scoring.model import Model
from scoring.presets import load_model
from state.moments import rfc3339
from streams.cli.output import note, result
from streams.compare import Change, Comparison, compared, said_differently
from streams.replay import files_of

SHOWN = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's options."""
    parser.add_argument("old", metavar="OLD", help="a model file or a preset's name")
    parser.add_argument("new", metavar="NEW", help="the one it is compared with")
    parser.add_argument("--history", type=Path, metavar="DIR", help="a folder of histories to score under both")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace) -> int:
    """Compare the models' words, and with a history their scores; raises `ModelError` for a wrong file."""
    old, new = load_model(options.old), load_model(options.new)
    words = said_differently(old, new)
    is_same = old.fingerprint == new.fingerprint
    value: dict[str, object] = {
        "same_meaning": is_same,
        "old": {"name": old.name, "version": old.version, "fingerprint": old.fingerprint},
        "new": {"name": new.name, "version": new.version, "fingerprint": new.fingerprint},
        "words": words,
    }
    sentences = [_heading(old, new), *words]
    if options.history is not None:
        found = compared(files_of(options.history), old, new, note)
        value |= _as_json(found)
        sentences += ["", *_sentences(found)]
    result(value, as_json=options.json, sentence="\n".join(sentences))
    return 0


def _heading(old: Model, new: Model) -> str:
    names = f"{old.name} {old.version} ({old.fingerprint}) and {new.name} {new.version} ({new.fingerprint})"
    if old.fingerprint == new.fingerprint:
        return f"{names} mean the same: no score, band, alert or proposed step changes"
    return f"{names} differ:"


def _as_json(found: Comparison) -> dict[str, object]:
    old, new = found.alerts
    return {
        "as_of": rfc3339(found.end_ms),
        "accounts": found.accounts,
        "changed": [asdict(change) for change in found.changes],
        "moves": found.moves,
        "alerts": {"old": _by_rule(old), "new": _by_rule(new)},
    }


def _by_rule(alerts: Counter[tuple[str, str]]) -> dict[str, int]:
    return {rule: number for (rule, _), number in alerts.most_common()}


def _sentences(found: Comparison) -> list[str]:
    share = len(found.changes) / max(found.accounts, 1)
    lines = [f"{len(found.changes)} of {found.accounts} accounts ({share:.1%}) end in another band"]
    lines += [f"  {number:>6}  {move}" for move, number in found.moves.items()]
    lines += [f"  {_line(change)}" for change in found.changes[:SHOWN]]
    if len(found.changes) > SHOWN:
        lines.append(f"  … and {len(found.changes) - SHOWN} more: --json lists them all")
    old, new = found.alerts
    lines.append(f"alerts fired: {old.total()} before, {new.total()} after")
    for rule, severity in sorted(old.keys() | new.keys()):
        before, after = old[rule, severity], new[rule, severity]
        if before != after:
            lines.append(f"  {rule} ({severity}): {before} → {after}")
    return lines


def _line(change: Change) -> str:
    health = " → ".join(
        "no score" if number is None else f"{number:.1f}" for number in (change.health_before, change.health_after)
    )
    return f"{change.account}: {change.before} → {change.after}, health {health}; {change.reason}"
