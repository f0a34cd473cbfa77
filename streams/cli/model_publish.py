"""`bellwether model publish|rollback|history`: which model the workers score by, and since when."""

import argparse
import asyncio
import getpass
import time

from rich.console import Console
from rich.table import Table

from scoring.model import Model
from scoring.presets import load_model, model_text, parse_text
from state.models import Publication
from streams.cli.output import note, quiet_client, result
from streams.halt import Refusal
from streams.models import Takeover, arrived, highest_version, publications, publish, running, takeover
from streams.settings import Settings

WAIT_SECONDS = 60
POLL_SECONDS = 0.5


def arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the actions and their options."""
    new = actions.add_parser("publish", help="have all workers score by a model file, without a restart")
    new.add_argument("model", metavar="FILE", help="a model file whose approver is not its author")
    new.add_argument("--from-scratch", action="store_true", help="also where most of its weight begins without history")
    back = actions.add_parser("rollback", help="publish the model before again, or an earlier version")
    back.add_argument(
        "--to", type=int, metavar="VERSION", help="which version; without it, what the last change replaced"
    )
    for action in (new, back):
        action.add_argument("--by", default=getpass.getuser(), help="who does it (default: your login)")
        action.add_argument("--note", default="", help="why; for `model history`")
        action.add_argument(
            "--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help="for the workers (default: %(default)s)"
        )
    told = actions.add_parser("history", help="what was published, by whom, and how many partitions score by it")
    for action in (new, back, told):
        action.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked; raises `ModelError` for a wrong file."""
    quiet_client()
    if options.action == "history":
        return asyncio.run(_history(options, settings))
    return asyncio.run((_publish if options.action == "publish" else _roll_back)(options, settings))


async def _publish(options: argparse.Namespace, settings: Settings) -> int:
    text = model_text(options.model)
    model = parse_text(text, options.model)
    for sentence in model.warnings:
        note(f"{options.model}: warning: {sentence}")
    _require_approval(options, model)
    found = await publications(settings)
    before = await _present_text(settings, [each for _, each in found])
    old = parse_text(before, "the present model")
    highest = max(highest_version(model.name, found), old.version if old.name == model.name else 0)
    if model.version <= highest:
        raise Refusal(
            f"{options.model} $.version: expected more than {highest}, which {model.name} has had, got {model.version} —"
            " give it the next version, or use `bellwether model rollback --to` for one that was published"
        )
    brought = takeover(old, model)
    if brought.share < model.minimum_coverage and not options.from_scratch:
        raise Refusal(
            f"{options.model}: expected inputs with history for at least {model.minimum_coverage:.0%} of the weight"
            f" (minimum_coverage), got {brought.share:.0%}{_within(brought)}: every account{_within(brought)} would be"
            " without a score until the signals of"
            f" {', '.join(brought.young)} have history — publish a version first that adds them with little weight, or say"
            " --from-scratch"
        )
    return await _put(options, settings, text, before, len(found) + 1, back=False)


def _within(brought: Takeover) -> str:
    return f" in segment {brought.segment}" if brought.segment else ""


def _require_approval(options: argparse.Namespace, model: Model) -> None:
    if not model.approver:
        raise Refusal(f"{options.model} $.approver: expected who approved this version, got nothing — have it approved")
    if model.approver in (model.owner, options.by):
        author = "its owner" if model.approver == model.owner else "who publishes it"
        raise Refusal(
            f"{options.model} $.approver: expected somebody other than its author, got '{model.approver}', {author} —"
            " have somebody else approve it"
        )


async def _present_text(settings: Settings, found: list[Publication]) -> str:
    """Return the file of the model in use: as published last, else what BELLWETHER_MODEL names if workers use that."""
    if found:
        return found[-1].text
    text = model_text(settings.model)
    own = parse_text(text, settings.model)
    others = set((await running(settings)).values()) - {own.fingerprint}
    if others:
        raise Refusal(
            f"BELLWETHER_MODEL: expected the model the workers began with ({', '.join(sorted(others))}), so that it can be"
            f" returned to, got {own.name} {own.version} ({own.fingerprint}) — set it to that model's file"
        )
    return text


async def _roll_back(options: argparse.Namespace, settings: Settings) -> int:
    found = [each for _, each in await publications(settings)]
    if not found:
        raise Refusal("models: expected a published model to return from, found none — see `bellwether model history`")
    texts = {parse_text(text, "models").version: text for text in (found[0].before, *(each.text for each in found))}
    if options.to is not None and options.to not in texts:
        known = ", ".join(map(str, sorted(texts)))
        raise Refusal(f"--to: expected a version that was in use ({known}), got {options.to}")
    text = found[-1].before if options.to is None else texts[options.to]
    return await _put(options, settings, text, found[-1].text, len(found) + 1, back=True)


async def _put(
    options: argparse.Namespace, settings: Settings, text: str, before: str, number: int, *, back: bool
) -> int:
    model, old = parse_text(text, "models"), parse_text(before, "models")
    count = await publish(settings, text, before, number, options.by, options.note or model.note, back=back)
    lines = [f"{_named(model)} is published as number {number} in {count} partitions, in place of {_named(old)}"]
    lines += _brought(old, model)
    note("\n".join(lines))
    there = await _wait(settings, number, options.wait)
    sentence = f"{there} of {count} partitions score by {_named(model)}"
    if there < count:
        sentence += "; the others will once a worker reads it — `bellwether model history` shows how far it is"
    value = {"number": number, **_head(model), "before": _head(old), "rollback": back}
    brought = takeover(old, model)
    value |= {"partitions": count, "arrived": there, "without_history": list(brought.young)}
    result(value, as_json=options.json, sentence=sentence)
    return 0


def _brought(old: Model, new: Model) -> list[str]:
    """Return sentences about what the change means for accounts that are there."""
    brought, lines = takeover(old, new), []
    if old.fingerprint == new.fingerprint:
        return ["  both mean the same: no score, band or alert changes"]
    if brought.young:
        lines.append(
            f"  without history begin: {', '.join(brought.young)}; until they have it their weight is shared out"
            f" ({brought.share:.0%} of the weight{_within(brought)} has history)"
        )
    if brought.new_rules:
        lines.append(f"  new rules: {', '.join(brought.new_rules)}; where they hold already they raise nothing")
    if brought.gone_rules:
        lines.append(f"  gone rules: {', '.join(brought.gone_rules)}; their open alerts resolve with MODEL_CHANGED")
    return lines


async def _wait(settings: Settings, number: int, seconds: float) -> int:
    """Return how many partitions score by a publication, all of them or as many as do after some seconds."""
    deadline, told = time.monotonic() + seconds, -1
    while True:
        there, count = await arrived(settings, number)
        if there == count or time.monotonic() > deadline:
            return there
        if there != told:
            note(f"  {there} of {count} partitions …")
            told = there
        await asyncio.sleep(POLL_SECONDS)


async def _history(options: argparse.Namespace, settings: Settings) -> int:
    found = [each for _, each in await publications(settings)]
    there, count = await arrived(settings, found[-1].number) if found else (0, settings.partitions)
    lines = [
        {
            "number": each.number,
            "name": each.name,
            "version": each.version,
            "fingerprint": each.fingerprint,
            "published_at": each.published_at,
            "by": each.by,
            "approver": parse_text(each.text, "models").approver,
            "note": each.note,
            "rollback": each.is_rollback,
        }
        for each in found
    ]
    if options.json:
        result({"publications": lines, "arrived": there, "partitions": count}, as_json=True, sentence="")
        return 0
    if not found:
        model = load_model(settings.model)
        note(f"nothing is published: the workers began with {_named(model)}, unless BELLWETHER_MODEL was another then")
        return 0
    table = Table("number", "model", "version", "published", "by", "approver", "note")
    for line in lines:
        text = f"rollback: {line['note']}" if line["rollback"] else str(line["note"])
        cells = (
            line["number"],
            line["name"],
            line["version"],
            line["published_at"],
            line["by"],
            line["approver"],
            text,
        )
        table.add_row(*map(str, cells))
    Console(soft_wrap=True, highlight=False).print(table)
    note(f"{there} of {count} partitions score by number {found[-1].number}")
    return 0


def _head(model: Model) -> dict[str, object]:
    return {"name": model.name, "version": model.version, "fingerprint": model.fingerprint}


def _named(model: Model) -> str:
    return f"{model.name} {model.version} ({model.fingerprint})"
