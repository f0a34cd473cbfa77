"""Grafana's boards and their provisioning: whole, readable, asking for series that exist. Data: test_monitoring.py."""

from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.deploy.boards import BOARDS, FOLDER, panels, queries
from tests.deploy.compose import read
from tests.deploy.test_rules import exported, series_in

PROVISIONING = FOLDER / "provisioning"


def area(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    at = panel["gridPos"]
    return {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_whole(name: str) -> None:
    """Ids are unique, panels lie beside each other in 24 columns, each says what it shows, in a unit, from Prometheus."""
    board = BOARDS[name]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert not [pair for pair in combinations(map(area, board["panels"]), 2) if pair[0] & pair[1]]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])
    for panel in panels(board):
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_boards_are_found_and_told_apart() -> None:
    """Three boards with ids of their own; the one on call sees first opens as Grafana's home."""
    assert set(BOARDS) == {"on-call", "pipeline", "scores"}
    assert len({board["uid"] for board in BOARDS.values()}) == 3
    grafana = read()["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "bellwether.yml").read_text())["providers"]
    assert provider["options"]["path"] == mounts["./deploy/grafana/boards"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{mounts['./deploy/grafana/boards']}/on-call.json"


def test_the_datasource_is_the_prometheus_of_compose() -> None:
    """The provisioned source has the uid that boards name and the address of the service."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"], source["url"]) == ("prometheus", "prometheus", "http://prometheus:9090")
    assert "prometheus" in read()["services"]


@pytest.mark.parametrize(("board", "panel", "query"), list(queries()))
def test_queries_ask_for_series_that_exist(board: str, panel: str, query: str) -> None:
    """Every query reads series that are exported, recorded, or Prometheus's own ALERTS."""
    del board, panel
    assert sorted(series_in(query) - exported()) == []
    assert series_in(query) or "ALERTS{" in query
