"""The Grafana boards as data."""

import json
from collections.abc import Iterator
from typing import Any

from tests.sources import TOP

FOLDER = TOP / "deploy" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "boards").glob("*.json"))
}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a board's panels, rows left out."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str, str]]:
    """Yield (board, panel, expression) of every query."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield name, panel["title"], target["expr"]
