"""What is published of the bench stands under its own title, and is what the file of figures says."""

import orjson

from tests.bench.publish import BEGIN, DOCUMENT, END, README, RESULTS, speed, tables


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


def test_readme_and_results_say_what_was_measured() -> None:
    """Nobody typed the figures: both documents hold what the file of figures comes to."""
    found = orjson.loads(RESULTS.read_bytes())
    assert speed(found) in README.read_text(encoding="utf-8")
    assert f"{BEGIN}\n{tables(found)}\n{END}" in DOCUMENT.read_text(encoding="utf-8")
