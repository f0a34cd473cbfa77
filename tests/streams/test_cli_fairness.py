"""`bellwether model fairness`: a segment treated unlike the rest is told of, one that is not is not."""

import json
from pathlib import Path
from random import Random

import pytest

from streams.cli import main

DAYS = 70
UNFAIR = """
name = "levels"
version = 1
[signals.visits]
from = "usage"
measure = "active_days"
[inputs.use]
value = "{value}"
curve = {curve}
weight = 1
[[bands]]
name = "red"
enter_below = 40
leave_above = 48
"""
BY_LEVEL = UNFAIR.format(value="rate(visits, 7d)", curve="[[0, 0], [0.29, 15], [0.4, 80], [1, 100]]")
BY_HABIT = UNFAIR.format(value="momentum(visits)", curve="[[-1.6, 0], [0, 80], [1, 100]]")


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Path:
    """Three healthy segments that visit in their own ways, one of them twice a week; and accounts that leave."""
    folder, random = tmp_path_factory.mktemp("history"), Random(4)
    paces = {"weekly": 2 / 7, "daily": 0.8, "often": 0.85}
    accounts, usage, outcomes = [], [], []
    for segment, pace in paces.items():
        for k in range(30):
            name = f"{segment}-{k}"
            accounts.append(
                {"account_id": name, "occurred_at": "2026-01-01T00:00:00Z", "segment": segment, "plan": "x"}
            )
            ends = 35 if k < 4 else DAYS
            days = [d for d in range(ends) if (d % 7 in (1, 4) if pace < 0.5 else random.random() < pace)]
            usage += [(d, name, n) for n, d in enumerate(days)]
            if ends < DAYS:
                outcomes.append({"id": name, "account_id": name, "occurred_at": _at(60), "outcome": "churned"})
    lines = [
        {"id": f"{name}-{n}", "account_id": name, "occurred_at": _at(d), "event": "visit"}
        for d, name, n in sorted(usage)
    ]
    for topic, found in (("accounts", accounts), ("usage", lines), ("outcomes", outcomes)):
        (folder / f"{topic}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in found))
    return folder


def _at(day: int) -> str:
    return f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T12:00:00Z"


def told(capsys, folder: Path, text: str, tmp_path: Path, *more: str) -> dict:
    """Return what the command says as JSON."""
    path = tmp_path / "m.toml"
    path.write_text(text)
    assert main(["model", "fairness", str(path), "--history", str(folder), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_segment_that_a_level_condemns_is_told_of(capsys, tmp_path, history):
    """Who comes twice a week by habit is alarmed by a fixed level although it stays: flagged, in every measure that shows it."""
    found = told(capsys, history, BY_LEVEL, tmp_path)
    unlike = {(each["segment"], each["measure"]) for each in found["differences"] if each["is_unlike"]}
    assert {("weekly", "health"), ("weekly", "alerts"), ("weekly", "quiet")} <= unlike
    assert found["harsher"] == ["weekly"]
    weekly = next(each for each in found["segments"] if each["segment"] == "weekly")
    assert (weekly["accounts"], weekly["left"], weekly["stayed"]) == (30, 4, 26)
    assert weekly["alarmed"] == 1.0
    assert weekly["bands"]["red"] > 0.5


def test_segments_measured_by_their_own_habits_are_alike(capsys, tmp_path, history):
    """The same book under a model that compares each account with itself: nobody is flagged."""
    found = told(capsys, history, BY_HABIT, tmp_path)
    assert found["unlike"] == []
    assert len(found["differences"]) == 3 * 4
    assert all(each["stayed"] == 26 for each in found["segments"])


def test_a_segment_of_the_model_makes_a_level_fair(capsys, tmp_path, history):
    """With bands of its own the weekly segment is treated like the others, compared by the model's own segments."""
    own = "[segments.weekly.bands.red]\nenter_below = 5\nleave_above = 15\n"
    found = told(capsys, history, BY_LEVEL + own, tmp_path, "--by", "model")
    assert {each["segment"] for each in found["segments"]} == {"weekly", "(none)"}
    alerts = [each["is_unlike"] for each in found["differences"] if each["measure"] in ("alerts", "quiet")]
    assert alerts == [False] * 4


def test_words_name_the_segment_and_the_numbers(capsys, tmp_path, history):
    """People read a table, who is unlike the rest and by how much, and what the limits were."""
    path = tmp_path / "m.toml"
    path.write_text(BY_LEVEL)
    assert main(["model", "fairness", str(path), "--history", str(history)]) == 0
    said = capsys.readouterr().out
    assert "HARSHER THAN THE REST: segment weekly, share of accounts never alarmed 0.0% against" in said
    assert "Flagged where a health lies above another's with less than 36% or more than 64% and 5 points" in said


def test_one_group_alone_is_nothing_to_compare(capsys, tmp_path, history):
    """By an attribute that all share there is one segment and no comparison."""
    found = told(capsys, history, BY_LEVEL, tmp_path, "--by", "plan")
    assert (len(found["segments"]), found["differences"], found["unlike"]) == (1, [], [])
