"""Who may import whom: streams → state → scoring, never back; the two inner rooms know neither world nor clock."""

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.sources import ROOMS, TOP, Source, sources

MAY_IMPORT = {
    "scoring": {"scoring"},
    "state": {"scoring", "state"},
    "streams": {"scoring", "state", "streams", "deploy"},
    "deploy": {"deploy"},
}
PURE = ("scoring", "state")
PURE_LIBRARIES = {"numpy", "numba", "llvmlite", "msgspec", "orjson"}
PURE_STDLIB = {
    "abc", "ast", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal", "difflib", "enum",
    "fractions", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics", "string",
    "struct", "tomllib", "types", "typing",
}  # fmt: skip
"""Everything that is only arithmetic on values. What is not here (time, random, os, logging, socket, threading,
asyncio …) brings a clock, chance or the world with it."""
OPENS_FILES = {"scoring/presets.py": {"importlib", "pathlib"}}
"""Model files are read here and nowhere else; everything behind it takes a mapping."""
FITS = {"scoring/fitting/calibration.py": {"sklearn"}}
"""Fitting may use scikit-learn where it is installed; what scores never does."""
CLOCK_CALLS = {"now", "utcnow", "today", "fromtimestamp"}
WORLD_CALLS = {"open", "input", "print", "breakpoint"}


def roots(source: Source) -> set[str]:
    """Return the top names of what a file imports."""
    return {each.module.partition(".")[0] for each in source.imports()}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below_them(room: str) -> None:
    """Streams may import all, state only scoring, scoring and deploy nobody."""
    foreign = [
        f"{source.path}:{each.line} imports {each.module}"
        for source in sources(room)
        for each in source.imports()
        if each.module.partition(".")[0] in {*ROOMS, "tests"} - MAY_IMPORT[room]
    ]
    assert foreign == []


@pytest.mark.parametrize("source", sources(*PURE), ids=lambda source: source.module)
def test_the_inner_rooms_import_only_arithmetic(source: Source) -> None:
    """Scoring and state import no clock, chance, file, process, network or log: an allow-list, so that new ones are caught."""
    allowed = {
        *PURE,
        *PURE_LIBRARIES,
        *PURE_STDLIB,
        *OPENS_FILES.get(source.path.as_posix(), ()),
        *FITS.get(source.path.as_posix(), ()),
    }
    assert sorted(roots(source) - allowed) == []


@pytest.mark.parametrize("source", sources(*PURE), ids=lambda source: source.module)
def test_the_inner_rooms_ask_nobody_for_time_or_chance(source: Source) -> None:
    """No `datetime.now()`, `np.random`, `open` or `print`: time, randomness and text come and go as arguments and values."""
    found = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"np.random", "numpy.random"}:
            found.append(f"{source.path}:{node.lineno} {ast.unparse(node)}")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_clock = isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS
        if is_clock or called in WORLD_CALLS:
            found.append(f"{source.path}:{node.lineno} {called}")
    assert found == []


def test_no_module_imports_itself_by_a_detour() -> None:
    """The graph of imports made when a module is loaded has no cycle."""
    ours = sources(*ROOMS)
    names = {source.module for source in ours}
    graph = {
        source.module: {each.module for each in source.imports() if not each.is_deferred and each.module in names}
        - {source.module}
        for source in ours
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("source", sources(*ROOMS), ids=lambda source: source.module)
def test_loading_a_module_only_defines(source: Source) -> None:
    """At module level stand imports, definitions, constants and texts; a script's call stands under `__main__`."""
    definitions = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    deeds = [
        f"{source.path}:{node.lineno} {ast.unparse(node).splitlines()[0]}"
        for node in source.tree.body
        if not isinstance(node, definitions)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")
    ]
    assert deeds == []


WATCH = """
import importlib, sys, threading
deeds = []
def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove"}:
        deeds.append(f"{module}: {event} {arguments[:1]!r}")
for module in sys.argv[1:]:  # once unwatched: what other people's libraries do when they are loaded is not ours
    importlib.import_module(module)
for module in sys.argv[1:]:
    sys.modules.pop(module)
sys.addaudithook(watch)
for module in sys.argv[1:]:
    importlib.import_module(module)
    if threading.active_count() > 1:
        deeds.append(f"{module}: started a thread")
        break
print("\\n".join(deeds), end="")
"""


def test_loading_every_module_touches_nothing() -> None:
    """Importing all modules of ours opens no connection, starts no process or thread, makes and deletes no file."""
    modules = [source.module for source in sources(*ROOMS) if source.path.stem not in {"__main__", "guard"}]
    # With compilation switched off numba does not look for its cache folder, which it would otherwise make.
    quiet = {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        cwd=TOP, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_loading_a_room_does_not_load_numba() -> None:
    """The rooms' own `__init__` files load nothing, so the kernel's cache folder can be chosen before numba is imported."""
    program = "import scoring, state, streams, streams.cli, sys; print('numba' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "False\n"
