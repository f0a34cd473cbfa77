"""Model files by name or path: the presets that ship with Bellwether, and anybody's own."""

import tomllib
from importlib import resources
from pathlib import Path

from scoring.faults import Fault, ModelError
from scoring.model import Model
from scoring.parse import parse

_FOLDER = resources.files("scoring") / "models"


def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped models, sorted."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_model(name_or_path: str) -> Model:
    """Return the checked model of a preset name, or of a TOML file's path.

    Raises
    ------
    ModelError
        When there is no such preset or file, it is not TOML, or it has faults.
    """
    return parse_text(model_text(name_or_path), name_or_path)


def model_text(name_or_path: str) -> str:
    """Return the text of a preset or of a file, unchecked.

    Raises
    ------
    ModelError
        When there is no such preset or readable file.
    """
    if name_or_path in preset_names():
        return (_FOLDER / f"{name_or_path}.toml").read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        expected = f"a readable file or one of the presets {', '.join(preset_names())}"
        given = error.strerror if isinstance(error, OSError) and error.strerror else "no UTF-8 text"
        fault = Fault("$", expected, given.lower(), "check the name")
        raise ModelError(name_or_path, (fault,)) from error


def parse_text(text: str, source: str) -> Model:
    """Return the checked model of a TOML text; faults name `source`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault("$", "TOML", str(error), "correct it; the file's form is described in scoring/models/*.toml")
        raise ModelError(source, (fault,)) from error
    return parse(content, source)
