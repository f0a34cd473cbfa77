"""The documents say what the code says: a setting, topic, metric, code or command that is not documented fails here."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from scoring.compile import compile_model
from scoring.lifecycle import diagram
from scoring.presets import load_model, preset_names
from scoring.reasons import MISSING_DATA, OVERRIDE
from state.alerts import RESOLUTIONS
from state.deeds import MEANINGS, Effect
from state.rejections import RejectionCode
from streams.cli import COMMANDS, _parser
from streams.metrics import table
from streams.settings import SETTINGS
from streams.topics import TOPICS
from tests.sources import TOP

README = (TOP / "README.md").read_text(encoding="utf-8")
REFERENCE = (TOP / "docs" / "reference.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md")])
LONGEST_README = 150
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+?)\)")
NAMED_FILE = re.compile(r"`((?:scoring|state|streams|deploy|tests|docs)/[\w./-]*\.(?:py|lua|json|md|toml))`")


def module_exists(command: str) -> bool:
    """Tell whether a command has its module."""
    return importlib.util.find_spec(f"streams.cli.{command.replace('-', '_')}") is not None


def shell_lines() -> list[str]:
    """Return the command lines of README's shell blocks, without comments."""
    lines = [line for language, block in BLOCK.findall(README) if language == "sh" for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def test_readme_is_short() -> None:
    """A newcomer reads it in one sitting."""
    assert README.count("\n") <= LONGEST_README


@pytest.mark.parametrize("line", shell_lines())
def test_commands_of_the_readme_exist(line: str) -> None:
    """Every line of its shell blocks is a make target, or a command whose options are understood."""
    program, *words = shlex.split(line)
    if program == "make":
        makefile = (TOP / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words)
    else:
        assert program == "bellwether"
        parser, command = _parser(words)
        assert command is not None, f"{words[0]}: no such command"
        parser.parse_args(words)


@pytest.mark.parametrize("command", [command for command in COMMANDS if module_exists(command)])
def test_every_command_stands_in_the_readme(command: str) -> None:
    """A command that exists is in the table of commands."""
    assert re.search(rf"^\|.*`{command}\b", README, re.MULTILINE)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_stands_in_the_readme(topic) -> None:
    """A topic's row names who writes it and what it holds; how long it is kept is in the reference."""
    assert f"| `{topic.name}` | {topic.writer} | {topic.content} |" in README
    assert f"| `{topic.name}` |" in REFERENCE


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_stands_in_the_reference(setting) -> None:
    """Its row says the default, what is expected and what it means, as declared."""
    default = f"`{setting.default}`" if setting.default else "empty"
    assert f"| `{setting.variable}` | {default} | {setting.expected} | {setting.meaning} |" in REFERENCE


@pytest.mark.parametrize("code", RejectionCode, ids=str)
def test_every_rejection_code_stands_in_the_reference(code: RejectionCode) -> None:
    """Whoever reads `bw_reason` finds the code with its sentence."""
    assert f"| `{code}` | {code.meaning}" in REFERENCE


@pytest.mark.parametrize("effect", Effect, ids=str)
def test_every_effect_of_a_command_stands_in_its_page(effect: Effect) -> None:
    """Whoever reads a deed's effect finds it with its meaning."""
    assert f"| `{effect}` | {MEANINGS[effect]} |" in (TOP / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_the_diagram_of_an_alert_s_life_is_that_of_the_table() -> None:
    """`docs/alerts.md` shows what `scoring.lifecycle.diagram` draws."""
    drawing = "\n".join(diagram())
    assert f"```mermaid\n{drawing}\n```" in (TOP / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_every_reason_code_stands_in_the_reference() -> None:
    """Codes that every model has, those of the presets, and what ends an alert."""
    codes = {"INSUFFICIENT_DATA", "OTHER", MISSING_DATA, OVERRIDE, *RESOLUTIONS}
    for name in preset_names():
        compiled = compile_model(load_model(name))
        codes |= {entry.code for entry in compiled.model.inputs} | {rule.code for rule in compiled.rules}
    assert sorted(code for code in codes if f"`{code}`" not in REFERENCE) == []


def test_the_metrics_page_is_current() -> None:
    """`docs/metrics.md` is what `python -m streams.metrics` prints."""
    assert (TOP / "docs" / "metrics.md").read_text(encoding="utf-8") == table() + "\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_lead_somewhere(document: Path) -> None:
    """Links to files and names of files lead to files that exist."""
    text = document.read_text(encoding="utf-8")
    links = [document.parent / link for link in LINK.findall(text) if "://" not in link]
    named = [TOP / name for name in NAMED_FILE.findall(text) if "*" not in name and "<" not in name]
    assert [str(path.relative_to(TOP)) for path in links + named if not path.exists()] == []


@pytest.mark.parametrize("name", ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY"])
def test_root_documents_exist(name: str) -> None:
    """What a visitor looks for is there."""
    assert (TOP / f"{name}.md").stat().st_size > 500
