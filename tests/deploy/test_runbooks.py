"""Runbooks: one for each alert, of one form, and every command and query in them exists."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from streams.cli import _parser
from tests.deploy.compose import read
from tests.deploy.programs import promtool
from tests.deploy.test_kubernetes import OBJECTS
from tests.deploy.test_rules import ALERTS, exported, run, series_in
from tests.sources import TOP

FOLDER = TOP / "deploy" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("*.md"))
PARTS = ["What it means", "Look at", "Do", "Verify"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def lines(path: Path, language: str) -> list[str]:
    """Return the lines of a runbook's blocks in a language."""
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [line for kind, block in blocks if kind == language for line in block.splitlines() if line]


COMMANDS = sorted({line for path in RUNBOOKS for line in lines(path, "sh")})
QUERIES = sorted({line for path in RUNBOOKS for line in lines(path, "promql")})


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_has_an_alert_and_the_agreed_parts(path: Path) -> None:
    """It names its alerts, and says what it means, what to look at, what to do and how to verify, in this order."""
    text = path.read_text(encoding="utf-8")
    where = path.relative_to(TOP).as_posix()
    named = set(re.findall(r"^`(Bellwether\w+)`|, `(Bellwether\w+)`", text, re.MULTILINE))
    assert {first or second for first, second in named} == {
        rule["alert"] for rule in ALERTS if rule["annotations"]["runbook"] == where
    }
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    assert lines(path, "promql")


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    """Every link of a runbook leads to a file."""
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (FOLDER / link).exists()] == []


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line: str) -> None:
    """Commands of ours parse; Compose's name a service, kubectl's an object or label of the example."""
    match shlex.split(line):
        case ["bellwether", *words]:
            parser, command = _parser(words)
            assert command is not None
            parser.parse_args(words)
        case ["docker", "compose", "ps" | "logs" | "up", *words]:
            scaled = [word.partition("=")[0] for word in words if "=" in word]
            services = [word for word in [*words, *scaled] if word.isalpha()]
            assert services
            assert set(services) <= set(read()["services"])
        case ["kubectl", "get" | "describe" | "logs" | "scale", *words]:
            names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in OBJECTS}
            labels = {f"{name}={value}" for each in OBJECTS for name, value in each["metadata"]["labels"].items()}
            assert any(word in names | labels for word in words)
        case other:
            pytest.fail(f"{other[0]}: a program that nothing is known of")


@pytest.mark.parametrize("query", QUERIES)
def test_queries_read_series_that_exist(query: str) -> None:
    """A query reads series that are exported or recorded."""
    assert sorted(series_in(query) - exported()) == []
    assert series_in(query)


def test_queries_are_promql(tmp_path: Path) -> None:
    """Each query parses, as the expression of a rule."""
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    run(promtool(), "check", "rules", tmp_path / "rules.yml")
