"""`bellwether model …`: is a model file right, what does it say, what would another change, and which one scores."""

import argparse
import sys

import orjson

from scoring.faults import ModelError
from scoring.model import Model
from scoring.presets import load_model, preset_names
from scoring.schema import json_schema
from scoring.words import describe
from streams.cli import model_diff, model_fairness, model_publish, model_shadow
from streams.cli.output import note, result
from streams.halt import FAILED
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions and options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="list every fault of a model file")
    show = actions.add_parser("show", help="say in plain words what a model file means")
    for action in (check, show):
        presets = ", ".join(preset_names())
        action.add_argument("model", metavar="FILE", help=f"a model file, or one of the presets {presets}")
        action.add_argument("--json", action="store_true", help="print the outcome as JSON")
    show.add_argument("--variables", action="store_true", help="list what rules and overrides may read instead")
    model_diff.arguments(actions.add_parser("diff", help="what another model says differently, and changes for whom"))
    model_fairness.arguments(actions.add_parser("fairness", help="is any segment treated unlike the rest"))
    model_publish.arguments(actions)
    model_shadow.arguments(actions.add_parser("shadow", help="what a model would say beside the one that scores"))
    actions.add_parser("schema", help="print the JSON Schema of model files, for editors")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked; 1 when the model has faults."""
    if options.action == "schema":
        sys.stdout.write(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    try:
        if options.action in ("diff", "fairness"):
            return (model_diff if options.action == "diff" else model_fairness).run(options)
        if options.action in ("publish", "rollback", "history"):
            return model_publish.run(options, settings)
        if options.action == "shadow":
            return model_shadow.run(options, settings)
        model = load_model(options.model)
    except ModelError as error:
        return _refuse(error, as_json=options.json)
    for sentence in model.warnings:
        note(f"{options.model}: warning: {sentence}")
    if options.action == "check":
        number = len(model.inputs)
        sentence = f"{model.name} version {model.version} is right: {number} inputs, fingerprint {model.fingerprint}"
        result({"ok": True, **_head(model), "warnings": list(model.warnings)}, as_json=options.json, sentence=sentence)
    else:
        words = "\n".join(model.variables) if options.variables else describe(model)
        value = {**_head(model), "variables": list(model.variables), "text": describe(model)}
        result(value, as_json=options.json, sentence=words)
    return 0


def _head(model: Model) -> dict[str, object]:
    return {"name": model.name, "version": model.version, "fingerprint": model.fingerprint, "baseline": model.baseline}


def _refuse(error: ModelError, *, as_json: bool) -> int:
    note(str(error))
    faults = [
        {"path": fault.path, "expected": fault.expected, "given": fault.given, "advice": fault.advice}
        for fault in error.faults
    ]
    sentence = f"{len(faults)} to correct"
    result({"ok": False, "file": error.source, "faults": faults}, as_json=as_json, sentence=sentence)
    return FAILED
