"""`calibrate`: a new version of the model file that says what the outcomes say, or a sentence why not."""

import json
from pathlib import Path

import numpy as np
import pytest

from scoring.model import Propensity, Term, TermKind
from scoring.presets import load_model, model_text, parse_text, preset_names
from state.moments import rfc3339
from streams.backtest.rewriting import rewritten
from streams.cli import main
from streams.halt import Refusal

DAY_MS = 86_400_000
START_MS = 1_772_323_200_000
MODEL = "ecommerce-rfm"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of 240 customers: half come every ten days for ever, half stop after a few purchases, whenever that was."""
    folder = tmp_path_factory.mktemp("shop")
    chance = np.random.default_rng(8)
    lines = []
    for number in range(240):
        day, last = chance.uniform(0, 120), 400.0 if number % 2 else chance.uniform(20, 250)
        while day < min(last, 365):
            at = rfc3339(START_MS + int(day * DAY_MS))
            body = {
                "id": f"{number}-{day}",
                "account_id": f"c{number}",
                "event": "purchase",
                "amount": 10,
                "occurred_at": at,
            }
            lines.append((at, json.dumps(body)))
            day += chance.exponential(10) + 1
    (folder / "billing.jsonl").write_text("\n".join(line for _, line in sorted(lines)) + "\n")
    return folder


def test_a_fit_is_written_as_the_next_version(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, note and risk change, nothing else; rows it was not fitted to are foretold better; it can be used at once."""
    out = tmp_path / "new.toml"
    asked = ["--horizon", "60d", "--outcome", "silence:billing:purchase:60d", "--as-of", "monthly"]
    assert (
        main(["calibrate", str(shop), "--model", MODEL, *asked, "--out", str(out), "--alerts-per-week", "5", "--json"])
        == 0
    )
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    old, new = load_model(MODEL), load_model(str(out))
    assert report["improved"]
    assert report["written"] == str(out)
    assert (new.version, new.inputs, new.rules, new.expansion) == (
        old.version + 1,
        old.inputs,
        old.rules,
        old.expansion,
    )
    assert new.note.startswith("calibrated on ")
    assert report["after"]["brier_skill"] > report["before"]["brier_skill"]
    assert all(term.coefficient <= 0 for term in new.risk.terms if term.kind is TermKind.INPUT)
    assert "interest" in report["without_data"]
    assert set(report["bands"]) == {"red", "yellow"}
    assert main(["backtest", str(shop), "--model", str(out), *asked, "--json"]) == 0


def test_too_few_outcomes_are_refused(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A history of forty customers says so in a sentence, and writes nothing."""
    lines = (shop / "billing.jsonl").read_text().splitlines()
    few = [line for line in lines if int(json.loads(line)["account_id"][1:]) < 40]
    (tmp_path / "billing.jsonl").write_text("\n".join(few) + "\n")
    out = tmp_path / "new.toml"
    asked = ["--horizon", "60d", "--outcome", "silence:billing:purchase:60d", "--as-of", "monthly"]
    assert main(["calibrate", str(tmp_path), "--model", MODEL, *asked, "--out", str(out)]) == 1
    assert (
        "expected at least 30 accounts with 'silence:billing:purchase:60d' and 30 without, got "
        in capsys.readouterr().err
    )
    assert not out.exists()


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("which", ["risk", "expansion"])
def test_rewriting_keeps_what_people_wrote(name: str, which: str) -> None:
    """Every comment outside the propensity's tables is still there, and the text says what it should."""
    terms = (Term(TermKind.HEALTH, "", -3.5), Term(TermKind.SLOPE, "", 0.125))
    propensity = Propensity(-1.25, terms, ((-5.0, -4.125), (1.0, 0.5)))
    text = model_text(name)
    new = rewritten(text, name, which, propensity, 'said "so"')
    model = parse_text(new, name)
    assert getattr(model, which) == propensity
    assert model.note == 'said "so"'
    start = text.index(f"[{which}]")
    kept = [line for line in text[:start].splitlines() if line.startswith("#")]
    assert [line for line in kept if line not in new.splitlines()] == []
    assert "# --- Playbooks" in new


def test_a_form_that_cannot_be_rewritten_is_refused() -> None:
    """Inline tables are not cut up: the sentence says what to write instead."""
    text = "risk = { intercept = -2.0, terms = { health = -3.0 } }\n" + model_text(MODEL)
    start, end = text.index("[risk]"), text.index("[expansion]")
    with pytest.raises(Refusal, match=r"\[risk\.terms\]"):
        rewritten(text[:start] + text[end:], "mine.toml", "risk", Propensity(-1.0, ()), "note")
