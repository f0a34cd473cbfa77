"""How rounds of faults add up, and what the report says of them."""

from pathlib import Path

from tests.faults.classes import CLASSES
from tests.faults.results import BEGIN, END, Tally, bound, publish, read, table, write


def test_results_survive_the_file(tmp_path: Path) -> None:
    """What is written is read again, and classes stand in the table's order, whatever order they were played in."""
    tallies = {
        "freeze": Tally(rounds=1, violations=["lost"], sent={"good": 7}),
        "kill": Tally(rounds=2, missed=1, recoveries=[11.0, 13.5]),
    }
    path = tmp_path / "results.json"
    write(tallies, path)
    assert read(path) == tallies
    assert list(read(path)) == ["kill", "freeze"]
    assert read(tmp_path / "none.json") == {}


def test_rounds_of_two_stages_add_up() -> None:
    """What one stage played does not take the place of what another one wrote meanwhile."""
    tally = Tally(rounds=1, recoveries=[11.0], sent={"good": 7})
    tally.add(Tally(rounds=1, violations=["lost"], missed=2, sent={"good": 3, "bad": 1}))
    assert tally == Tally(rounds=2, violations=["lost"], missed=2, sent={"good": 10, "bad": 1}, recoveries=[11.0])


def test_the_report_gives_a_bound_only_where_nothing_was_violated() -> None:
    """Two clean rounds allow any probability, thirty allow 10 %; a violation allows no bound for its class or for all."""
    assert (bound(2), bound(30), bound(300)) == ("100 %", "10 %", "1 %")
    clean = Tally(rounds=30, recoveries=[10.0, 20.0, 12.0], sent={"good": 12_345, "bad": 6})
    report = table({"kill": clean})
    assert f"| {CLASSES['kill'].title} | 30 | 0 | 10 % | 12 s / 20 s |" in report
    assert "| **all** | **30** | **0** | **10 %** | |" in report
    assert "12 345 good events" in report
    worse = table({"kill": clean, "freeze": Tally(rounds=4, violations=["lost"])})
    assert f"| {CLASSES['freeze'].title} | 4 | 1 | - | - |" in worse
    assert "| **all** | **34** | **1** | **-** | |" in worse


def test_publishing_replaces_what_stands_between_the_marks(tmp_path: Path) -> None:
    """The document around the report stays as it is, however often it is published."""
    document = tmp_path / "results.md"
    document.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    tallies = {"kill": Tally(rounds=1, recoveries=[9.0])}
    publish(tallies, document)
    publish(tallies, document)
    assert document.read_text() == f"before\n\n{BEGIN}\n{table(tallies)}\n{END}\n\nafter\n"
