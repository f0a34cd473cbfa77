"""`bellwether model`: right files, wrong files, and what a program reads on the last line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from streams.cli import main
from streams.cli.lines import account_lines


def test_check_of_a_preset_is_ok(capsys):
    """A shipped model is right: exit 0, name and fingerprint as JSON on the last line."""
    assert main(["model", "check", "saas-renewal", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["ok"], told["name"], told["warnings"]) == (True, "saas-renewal", [])


def test_check_of_a_wrong_file_lists_every_fault(capsys, tmp_path: Path):
    """Exit 1, one line per fault for people, the same as JSON for programs."""
    path = tmp_path / "m.toml"
    path.write_text('name = "m"\nversion = 0\n')
    assert main(["model", "check", str(path), "--json"]) == 1
    output = capsys.readouterr()
    assert output.err.splitlines() == [
        f"{path} $.version: expected a whole number from 1 to 1000000000, got 0 — change it",
        f"{path} $.inputs: expected at least one input, got none — add [inputs.NAME] with value, curve and weight",
        f"{path} $.bands: expected at least one band, got none — add [[bands]] with name, enter_below and leave_above",
    ]
    told = json.loads(output.out.splitlines()[-1])
    assert [fault["path"] for fault in told["faults"]] == ["$.version", "$.inputs", "$.bands"]


def test_show_speaks_plainly(capsys):
    """The text starts with the model's name; --variables lists what conditions may read."""
    assert main(["model", "show", "saas-renewal"]) == 0
    assert capsys.readouterr().out.startswith("saas-renewal, version 1 (fingerprint ")
    assert main(["model", "show", "saas-renewal", "--variables"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["health", "risk"]


def test_schema_is_json(capsys):
    """Editors get a JSON Schema of the draft they know."""
    assert main(["model", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_presets_are_found_from_anywhere(tmp_path: Path):
    """The shipped models belong to the package, not to the directory one stands in."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "model", "check", "saas-renewal"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split(" is right")[0]) == (0, "saas-renewal version 1")


HISTORY = [
    {"id": f"{day}-{name}", "account_id": name, "occurred_at": f"2026-03-{day:02d}T09:00:00Z", "event": "login"}
    for day in range(1, 29)
    for name in ("steady", "gone")
    if name == "steady" or day < 15
]
MODEL = """
name = "pair"
version = {version}
[signals.visits]
from = "usage"
[inputs.silence]
value = "days_since(visits)"
curve = [[0, 100], [{days}, 0]]
weight = 1
[[bands]]
name = "red"
enter_below = 40
leave_above = 50
"""


def pair(folder: Path, days: int, new_days: int) -> tuple[str, str]:
    """Write two models that differ in how long a silence they forgive, days."""
    paths = folder / "old.toml", folder / "new.toml"
    for version, (path, forgiven) in enumerate(zip(paths, (days, new_days), strict=True), 1):
        path.write_text(MODEL.format(version=version, days=forgiven))
    return str(paths[0]), str(paths[1])


def test_diff_lists_the_accounts_that_change_band(capsys, tmp_path: Path):
    """A stricter curve turns the silent account red and leaves the steady one alone; the alert it raises is counted."""
    old, new = pair(tmp_path, 60, 14)
    book = tmp_path / "book"
    book.mkdir()
    (book / "usage.jsonl").write_text("".join(json.dumps(event) + "\n" for event in HISTORY))
    assert main(["model", "diff", old, new, "--history", str(book), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["same_meaning"], told["accounts"], told["moves"]) == (False, 2, {"green → red": 1})
    assert [(change["account"], change["before"], change["after"]) for change in told["changed"]] == [
        ("gone", "green", "red")
    ]
    assert told["alerts"] == {"old": {}, "new": {"band-red": 1}}
    assert "- 0 → 100, 60 → 0 (healthy: 75)" in told["words"]


def test_diff_says_it_in_sentences(capsys, tmp_path: Path):
    """People read what is said differently and who moves where; two files that mean the same are told so."""
    old, new = pair(tmp_path, 60, 14)
    book = tmp_path / "book"
    book.mkdir()
    (book / "usage.jsonl").write_text("".join(json.dumps(event) + "\n" for event in HISTORY))
    assert main(["model", "diff", old, new, "--history", str(book)]) == 0
    told = capsys.readouterr().out
    assert "1 of 2 accounts (50.0%) end in another band" in told
    assert "gone: green → red, health 76.7 → 0.0" in told
    assert "band-red (critical): 0 → 1" in told
    assert main(["model", "diff", old, old]) == 0
    assert "mean the same" in capsys.readouterr().out


def test_diff_of_a_wrong_file_tells_its_faults(capsys, tmp_path: Path):
    """A file with faults is refused with exit 1, as by `model check`."""
    path = tmp_path / "m.toml"
    path.write_text('name = "m"\n')
    assert main(["model", "diff", "saas-renewal", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] is False


def test_explain_says_what_changed_and_sums_groups():
    """A score that follows from a change of model or segment says from which, and how the account stood; groups have sums."""
    before = {"name": "m", "version": 1, "fingerprint": "f"}
    snapshot = {
        "at": "2026-03-01T00:00:00.000Z",
        "health": 40.0,
        "band": "red",
        "risk": 0.2,
        "expansion": 0.1,
        "coverage": 1.0,
        "slope_per_day": None,
        "value": None,
        "reasons": [],
        "model": {**before, "version": 2},
        "model_change": {"code": "MODEL_CHANGED", "from": before, "band": "yellow", "health": 55.25},
    }
    assert "MODEL_CHANGED: under m 1 it was yellow, health 55.2" in account_lines("acme", snapshot, []).plain
    moved = {"code": "SEGMENT_CHANGED", "from": None, "to": "large", "band": "green", "health": 81.0}
    snapshot |= {"segment_change": moved, "groups": {"money": -12.25, "use": 3.0}}
    said = account_lines("acme", snapshot, []).plain
    assert "SEGMENT_CHANGED: in no segment it was green, health 81.0" in said
    assert "by group: money -12.2, use +3.0" in said
