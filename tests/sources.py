"""The project's own source files, parsed: what the tests of layering and of the house style look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ROOMS = ("scoring", "state", "streams", "deploy")


@dataclass(frozen=True)
class Import:
    """One import statement's target.

    Attributes
    ----------
    module
        Dotted name of the imported module; for `from a import b` where `a.b` is a module of ours, `a.b`.
    line
        Where it stands, from 1.
    is_deferred
        It stands inside a function.
    """

    module: str
    line: int
    is_deferred: bool


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the top folder."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The file's content."""
        return (TOP / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The file, parsed."""
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        """Dotted name."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The top folder it lies in."""
        return self.path.parts[0]

    def imports(self) -> Iterator[Import]:
        """Yield what it imports, inside functions too."""
        deferred = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno, id(node) in deferred)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, f"{self.path}:{node.lineno}: imports are absolute"
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    yield Import(name if is_module(name) else node.module, node.lineno, id(node) in deferred)


def is_module(name: str) -> bool:
    """Tell whether a dotted name is a module or package of ours."""
    place = TOP.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def sources(*rooms: str) -> list[Source]:
    """Return the Python files of these top folders, sorted by path."""
    paths = (path.relative_to(TOP) for room in rooms for path in (TOP / room).rglob("*.py"))
    return [Source(path) for path in sorted(paths)]
