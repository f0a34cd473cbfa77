"""`bellwether model`: right files, wrong files, and what a program reads on the last line."""

import json
import os
import subprocess
import sys
from pathlib import Path

from streams.cli import main


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
