"""A model file with other coefficients: everything else of its text, comments included, stays as people wrote it."""

import re

from scoring.faults import ModelError
from scoring.model import Model, Propensity
from scoring.presets import parse_text
from streams.halt import Refusal

_HEADER = re.compile(r"\s*\[")


def rewritten(text: str, source: str, which: str, propensity: Propensity, note: str) -> str:
    """Return a model file's text as its next version, with another propensity.

    Parameters
    ----------
    text, source
        The file's text, and what faults call it.
    which
        `risk` or `expansion`.
    note
        One line: where the coefficients come from.

    Raises
    ------
    Refusal
        Where the file does not say the propensity in tables of its own, so that replacing them would not do.
    """
    old = parse_text(text, source)
    lines = _without(text.splitlines(), which)
    lines = [line for line in lines if not re.match(r"note\s*=", line)]
    for k, line in enumerate(lines):
        if re.match(r"version\s*=", line):
            lines[k : k + 1] = [f"version = {old.version + 1}", f"note = {_quoted(note)}"]
            break
    new = "\n".join(lines).rstrip() + "\n\n" + "\n".join(_tables(which, propensity)) + "\n"
    _require_same(old, new, source, which, propensity)
    return new


def _without(lines: list[str], which: str) -> list[str]:
    """Drop the propensity's tables; comments right before the next table stay with that one."""
    kept: list[str] = []
    dropped: list[str] = []
    is_ours = False
    for line in lines:
        if _HEADER.match(line):
            if is_ours:
                tail = next((k for k, each in enumerate(dropped[::-1]) if each.strip() and each.strip()[0] != "#"), 0)
                kept += dropped[len(dropped) - tail :]
            is_ours, dropped = bool(re.match(rf"\s*\[{which}(\.terms(\.\w+)?)?\]", line)), []
        (dropped if is_ours else kept).append(line)
    return kept


def _tables(which: str, propensity: Propensity) -> list[str]:
    terms = [f"{term.text} = {term.coefficient:g}" for term in propensity.terms]
    points = ", ".join(f"[{x:g}, {y:g}]" for x, y in propensity.calibration)
    bent = [f"calibration = [{points}]"] if points else []
    return [f"[{which}]", f"intercept = {propensity.intercept:g}", *bent, "", f"[{which}.terms]", *terms]


def _quoted(note: str) -> str:
    return '"' + note.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _require_same(old: Model, text: str, source: str, which: str, propensity: Propensity) -> None:
    """Refuse a text that does not say what it should: nothing but version, note and the propensity may differ."""
    try:
        new = parse_text(text, source)
    except ModelError as error:
        raise Refusal(f"{error}\n{source}: expected [{which}] and [{which}.terms] as tables - write them so") from error
    told = (new.version, new.expansion if which == "expansion" else new.risk, new.inputs, new.bands, new.rules)
    if told != (old.version + 1, propensity, old.inputs, old.bands, old.rules):
        raise Refusal(f"{source}: expected `version`, [{which}] and [{which}.terms] in the usual form - write them so")
