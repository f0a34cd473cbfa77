"""`drift`: a shop whose customers change in the last quarter is told of, one that goes on as before is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from state.moments import rfc3339
from streams.cli import main

DAY_MS = 86_400_000
START_MS = 1_772_323_200_000


def shop(folder: Path, gap_after: float, days: int = 420, change: int = 330) -> Path:
    """Write 200 customers who buy every 20 days or so, and after the change every `gap_after`."""
    chance = np.random.default_rng(3)
    lines = []
    for number in range(200):
        day = chance.uniform(0, 60)
        while day < days:
            at = rfc3339(START_MS + int(day * DAY_MS))
            body = {
                "id": f"{number}-{day}",
                "account_id": f"c{number}",
                "event": "purchase",
                "amount": 5,
                "occurred_at": at,
            }
            lines.append((at, json.dumps(body)))
            day += chance.exponential(20.0 if day < change else gap_after) + 1
    (folder / "billing.jsonl").write_text("\n".join(line for _, line in sorted(lines)) + "\n")
    return folder


def report(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    """Return the command's report."""
    asked = ["--model", "ecommerce-rfm", "--outcome", "silence:billing:purchase:30d", "--horizon", "30d"]
    assert main(["drift", str(folder), *asked, "--recent", "60d", "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_customers_who_slow_down_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their frequency has moved, and the sentence names it."""
    found = report(shop(tmp_path, gap_after=90.0), capsys)
    assert found["inputs"]["frequency"]["verdict"] == "moved"
    assert any(sentence.startswith("frequency has moved (PSI ") for sentence in found["warnings"])


def test_customers_who_go_on_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What follows the customers' own rhythm is steady when they are."""
    found = report(shop(tmp_path, gap_after=20.0), capsys)
    assert found["inputs"]["frequency"]["verdict"] == "steady"
    assert found["inputs"]["recency"]["verdict"] == "steady"
    promises = found["kept_promises"]
    assert promises["before"]["rows"] > 0 < promises["recent"]["rows"]
    months = found["by_month"].values()
    assert sum(month["rows"] for month in months) == promises["before"]["rows"] + promises["recent"]["rows"]


def test_outcomes_meet_what_was_said_before_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each outcome is joined with one score at least 30 days before it, in one band."""
    found = report(shop(tmp_path, gap_after=90.0), capsys)
    silent = found["said_before_outcomes"]["30"]["silent"]
    assert silent["outcomes"] > 20
    assert sum(silent["bands"].values()) == silent["outcomes"]
    assert 0 < silent["mean_risk"] < 1
