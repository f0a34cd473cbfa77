"""What compiled code relies on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import TOP

COMPILED = {"entry", "part", "inlined", "entry_without_gil", "njit"}


def compiled_functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield every function that is compiled, with its file."""
    for path in sorted([*(TOP / "scoring").rglob("*.py"), *(TOP / "state").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and COMPILED & {_name(each) for each in node.decorator_list}:
                yield path, node


def _name(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.id if isinstance(called, ast.Name) else ""


@pytest.mark.parametrize(("path", "function"), [pytest.param(p, f, id=f.name) for p, f in compiled_functions()])
def test_no_compiled_function_counts_from_an_end(path: Path, function: ast.FunctionDef):
    """An index is compiled as it stands, so a negative one would read before its array: none is written down."""
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript):
            indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            assert not any(isinstance(each, ast.UnaryOp) and isinstance(each.op, ast.USub) for each in indices), (
                f"{path.name}:{node.lineno}: {ast.unparse(node)}"
            )


def test_there_are_compiled_functions_to_look_at():
    """The search finds the kernel: its two doors, a part of every evaluation and a part of few are among what it looked at."""
    assert {"apply_events", "sweep", "value_at", "enter_band"} <= {
        function.name for _, function in compiled_functions()
    }
