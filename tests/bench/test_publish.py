"""The figures people read are those of the file that the commands wrote."""

from pathlib import Path

import orjson

from streams.bench.results import record
from tests.bench.publish import (
    BEGIN,
    DOCUMENT,
    END,
    PEER_FIGURES,
    README,
    RESULTS,
    SCALE,
    SHOWN_PEERS,
    SPEED,
    publish,
    scale,
    speed,
    tables,
)


def test_the_documents_say_what_the_file_says() -> None:
    """Nobody has typed a figure, and no newer run stands unpublished: else run `make bench-publish`."""
    found = orjson.loads(RESULTS.read_bytes())
    shown = SPEED.search(README.read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[0] == speed(found)
    for document, text in ((DOCUMENT, tables(found)), (SCALE, scale(found))):
        assert document.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip() == text


def test_publishing_replaces_figures_and_nothing_else(tmp_path: Path) -> None:
    """What stands around them is the same afterwards, and a second time changes nothing."""
    found = orjson.loads(RESULTS.read_bytes())
    found["bench"]["figures"]["events_per_second"] = 123_456
    row = dict.fromkeys(PEER_FIGURES, 24_501)
    found["peers"] = found["bench"] | {"figures": {"systems": {SHOWN_PEERS["Quix Streams"]: row}}}
    readme, document, growth = (tmp_path / name for name in ("README.md", "results.md", "scale.md"))
    readme.write_text("before\n\n**Speed**, old\nfigures.\n\nafter\n")
    for path in (document, growth):
        path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        publish(found, readme, document, growth)
        assert readme.read_text() == f"before\n\n{speed(found)}\n\nafter\n"
        for path, text in ((document, tables(found)), (growth, scale(found))):
            assert path.read_text() == f"before\n{BEGIN}\n{text}\n{END}\nafter\n"
    told = readme.read_text().replace("\n", " ")
    assert "123 000 events/s" in told
    assert "Quix Streams 24 500" in told
    assert "| 24 500 |" in document.read_text()


def test_a_peers_figures_stand_under_their_titles() -> None:
    """A file's members are sorted by name; the table's columns are not, and the fastest system comes first."""
    found = orjson.loads(RESULTS.read_bytes())
    row = {
        "alerts_as_the_oracle": None,
        "bellwether_times_cheaper": 1.0,
        "bellwether_times_faster": 2.0,
        "cpu_seconds_per_million": 3.0,
    }
    systems = {"slow": {**row, "events_per_second": 4}, "fast": {**row, "events_per_second": 5}}
    lines = tables({**found, "peers": {**found["bench"], "figures": {"systems": systems}}}).splitlines()
    assert (
        lines[-4]
        == "| system | events/s | CPU s per million | Bellwether is faster | and takes less CPU | alerts, the oracle's |"
    )
    assert lines[-2:] == ["| fast | 5 | 3 | 2 | 1 | - |", "| slow | 4 | 3 | 2 | 1 | - |"]


def test_a_measurement_is_kept_with_where_it_comes_from(tmp_path: Path) -> None:
    """One name is replaced, the others stay; each says command, date, commit and machine."""
    path = tmp_path / "bench.json"
    record(path, "bench", ["bellwether", "bench"], {"events_per_second": 1})
    record(path, "peers", ["make", "bench-peers"], {"rounds": 1})
    record(path, "bench", ["bellwether", "bench"], {"events_per_second": 2})
    found = orjson.loads(path.read_bytes())
    assert found["bench"]["figures"] == {"events_per_second": 2}
    assert found["peers"]["command"] == "make bench-peers"
    assert found["bench"].keys() == {"command", "date", "commit", "machine", "figures"}
    assert {"cores", "processor", "python"} <= found["bench"]["machine"].keys()
