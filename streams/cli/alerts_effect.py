"""`bellwether alerts effect`: what came of each playbook, for people and as JSON."""

import argparse
import asyncio
from collections.abc import Iterator
from typing import Any

from scoring.faults import ModelError
from scoring.presets import load_model
from streams.cli.output import note, result
from streams.effect import PlaybookEffect, Share, read_effect
from streams.halt import FAILED, Refusal
from streams.settings import Settings


def add_effect(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the action."""
    parser = actions.add_parser("effect", help="what came of each playbook: answered how soon, recovered how often")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def show_effect(options: argparse.Namespace, settings: Settings) -> int:
    """Read the topics and tell what came of every playbook."""
    try:
        model = load_model(settings.model)
    except ModelError as error:
        raise Refusal(str(error), FAILED) from error
    found = asyncio.run(read_effect(settings, model))
    if options.json:
        result({"playbooks": [_plain(each) for each in found]}, as_json=True, sentence="")
        return 0
    for each in found:
        print("\n".join(_lines(each)))
    opened = sum(each.opened for each in found)
    note(f"{opened} alerts with a playbook, {sum(each.answered.count for each in found)} answered")
    return 0


def _lines(effect: PlaybookEffect) -> Iterator[str]:
    """Yield what came of a playbook: what was asked and answered, then whether it helped."""
    hours = effect.hours_to_answer
    soon = (
        "" if hours is None else f", median after {hours:.1f} h" if hours < 48 else f", median after {hours / 24:.1f} d"
    )
    yield f"{effect.playbook}: {effect.opened} opened, answered {_words(effect.answered)}{soon}"
    yield f"    {effect.overdue} overdue, {effect.suppressed} suppressed; recovered {_words(effect.recovered)}"
    if effect.held_out_recovered.of:
        yield f"    held out {_words(effect.held_out_recovered)}: {_difference(effect)}"


def _words(share: Share) -> str:
    return "nobody yet" if share.value is None else f"{share.count} of {share.of} ({share.value:.0%})"


def _difference(effect: PlaybookEffect) -> str:
    """Return by how many points accounts recovered more often, and whether chance alone may explain it."""
    found = effect.difference()
    if found is None:
        return "too early to compare"
    by, low, high = found
    doubt = "" if low > 0 or high < 0 else ", which may be chance"
    return f"{by * 100:+.0f} points ({low * 100:+.0f} to {high * 100:+.0f}){doubt}"


def _plain(effect: PlaybookEffect) -> dict[str, Any]:
    found = effect.difference()
    return {
        "playbook": effect.playbook,
        "opened": effect.opened,
        "overdue": effect.overdue,
        "suppressed": effect.suppressed,
        "answered": effect.answered.count,
        "hours_to_answer": effect.hours_to_answer,
        "recovered": {"count": effect.recovered.count, "of": effect.recovered.of},
        "held_out_recovered": {"count": effect.held_out_recovered.count, "of": effect.held_out_recovered.of},
        "difference": None if found is None else {"by": found[0], "low": found[1], "high": found[2]},
    }
