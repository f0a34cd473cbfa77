"""The house style, where it can be checked cheaply and without doubt. Everything else is for reviewers."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

from tests.sources import ROOMS, TOP, Source, sources

LONGEST_FILE = 400
LONGER_FILES = {"state/partition.py": 475}
"""To be cut; no file may be added here, none may grow."""
VAGUE = ("Manager", "Helper", "Util", "Handler", "Processor", "Wrapper", "Base", "Common", "Misc")
OURS = sources(*ROOMS)
TESTS = sources("tests")
WITH_EXAMPLES = [source for source in OURS if ">>> " in source.text]
# A folder of one machine, or the host of a package index: neither means anything on another machine.
FOREIGN = re.compile(
    r"/(?:home|Users|root|work)/\w"
    r"|pypi\.org|pythonhosted\.org|registry\.npmjs|repo1?\.maven\.|proxy\.golang|index\.crates"
)
TEXTS = [
    path
    for pattern in ("*.md", "*.toml", "*.lock", "*.yml", "Makefile", ".ci/run")
    for path in sorted(TOP.glob(pattern))
    if path.is_file()
]


@pytest.mark.parametrize("source", OURS, ids=lambda source: source.module)
def test_modules_and_public_names_are_documented(source: Source) -> None:
    """Each module says its duty, each public function and class what it is (methods are left to the linter)."""
    silent = [
        f"{source.path}:{node.lineno} {node.name}"
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert ast.get_docstring(source.tree), f"{source.path}: no docstring"
    assert silent == []


@pytest.mark.parametrize("source", sources("scoring", "state", "streams"), ids=lambda source: source.module)
def test_files_stay_short(source: Source) -> None:
    """No file has more lines than a reader holds in mind."""
    assert source.text.count("\n") <= LONGER_FILES.get(source.path.as_posix(), LONGEST_FILE)


@pytest.mark.parametrize("source", OURS, ids=lambda source: source.module)
def test_names_say_what_a_thing_knows(source: Source) -> None:
    """No class is called after a vague role, no file is a drawer for what belongs nowhere."""
    vague = [
        node.name
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and any(re.search(rf"{word}s?(?![a-z])", node.name) for word in VAGUE)
    ]
    words = re.split(r"[._]", source.module)
    assert vague + [word for word in words if word.rstrip("s") in {each.lower() for each in VAGUE}] == []


@pytest.mark.parametrize("source", TESTS, ids=lambda source: source.path.as_posix())
def test_tests_state_their_expectation_and_mock_nothing(source: Source) -> None:
    """Every test has a docstring, and no test replaces a part by a mock."""
    silent = [
        f"{source.path}:{node.lineno} {node.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    mocks = [each.module for each in source.imports() if "mock" in each.module.lower()]
    assert silent + mocks == []


@pytest.mark.parametrize(
    "path", [*TEXTS, *(TOP / source.path for source in [*OURS, *TESTS])], ids=lambda path: path.name
)
def test_nothing_speaks_of_one_machine(path: Path) -> None:
    """No file names a folder of somebody's machine or the host of a package index."""
    if path.name == "test_house.py":
        return  # the pattern itself
    assert FOREIGN.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", WITH_EXAMPLES, ids=lambda source: source.module)
def test_examples_in_docstrings_are_true(source: Source) -> None:
    """Every example in a docstring gives what it says."""
    outcome = doctest.testmod(importlib.import_module(source.module), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0
