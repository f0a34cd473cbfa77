"""The shipped models, the words they are told in, and the schema editors read."""

import re
from pathlib import Path

import pytest

from scoring.durations import UNITS_MS, format_duration, parse_duration
from scoring.faults import ModelError
from scoring.presets import load_model, parse_text, preset_names
from scoring.reading_inputs import curve_at
from scoring.schema import json_schema
from scoring.words import describe
from tests.scoring.model_files import SMALL


@pytest.mark.parametrize("name", preset_names())
def test_preset_is_right_and_has_no_warnings(name):
    """Every shipped model parses, is named like its file and leaves nothing doubtful."""
    model = load_model(name)
    assert (model.name, model.warnings) == (name, ())
    assert sum(item.weight >= 3 for item in model.inputs) <= 8


@pytest.mark.parametrize("name", preset_names())
def test_preset_scores_a_history_it_has_never_seen(name):
    """Inputs that need no event names carry at least the coverage a score needs."""
    model = load_model(name)
    nameless = [
        item.weight
        for item in model.inputs
        if item.value.signal and not model.signal(item.value.signal).events and not model.signal(item.value.signal).open
    ]
    assert sum(nameless) / sum(item.weight for item in model.inputs) >= model.minimum_coverage


@pytest.mark.parametrize("name", preset_names())
def test_preset_puts_a_healthy_account_in_green(name):
    """The baseline lies above every band's exit."""
    model = load_model(name)
    assert all(model.baseline > band.leave_above for band in model.bands)


@pytest.mark.parametrize("name", preset_names())
def test_preset_words_tell_every_part(name):
    """`model show` names every reason code, band, rule and step."""
    model = load_model(name)
    words = describe(model)
    parts = [item.code for item in model.inputs] + [rule.code for rule in model.rules]
    parts += [band.name for band in model.bands] + [step for playbook in model.playbooks for step in playbook.steps]
    assert [part for part in parts if part not in words] == []


def test_saas_renewal_reads_quiet_weeks_of_small_accounts_mildly():
    """Half the visits of a quarter cost under half the adoption points; one standard deviation costs next to nothing."""
    inputs = {item.name: item for item in load_model("saas-renewal").inputs}
    assert curve_at(inputs["adoption"].curve, -0.7) > 40
    assert curve_at(inputs["volume"].curve, -1.0) >= 80
    assert curve_at(inputs["presence"].curve, 1.0) > 95


def test_words_of_a_small_model():
    """The whole text of a small model, so that a change of wording is a decision."""
    text = describe(parse_text(SMALL, "small"))
    assert text.splitlines()[1:] == [
        "Lost means: the outcome 'churned' was recorded. Risk looks 90d ahead.",
        "A healthy account scores 85.0.",
        "An account with less than 40% of the weight known gets no score.",
        "",
        "Measured",
        "  activity: number of all usage events",
        "  invoices: opened by invoice_issued, closed by invoice_paid (billing)",
        "",
        "Health is the weighted mean of",
        "   75%  adoption [ADOPTION]: activity now against the last quarter (log ratio, 0 = as usual)",
        "        -1.5 → 0, 0 → 80, 0.5 → 100 (healthy: 80)",
        "   25%  champion [CHAMPION]: the account's champion",
        "        active 100, at_risk 40, missing 0 (healthy: 100); trusted for 90d, then fading",
        "",
        "Bands",
        "  red: entered below 40, left above 45 after 1d; critical alert",
        "  yellow: entered below 60, left above 66 after 1d; warning alert, playbook rescue",
        "  green: everything above",
        "",
        "Alerts",
        "  warning: overdue [OVERDUE]: age(invoices) > 30d, until false for 1d → rescue",
        "",
        "Risk: log-odds = -3 - 6 * health - 1 * slope",
        "Expansion: log-odds = -2.5 + 3 * health",
        (
            "Value: 100% of revenue is kept, an expansion adds 20%, working an account costs 0; to rescue from risk 20%, "
            "to grow from expansion 15%, to protect from both"
        ),
        "",
        "Playbooks",
        "  rescue (account_owner, within 7d)",
        "    1. call",
        "Warning: the model has no owner: the next steps of accounts without one are nobody's",
    ]


def test_steps_in_words():
    """Steps are told by where each begins; the first is what lies below the second."""
    text = describe(parse_text(SMALL.replace("curve = [[-1.5, 0]", "steps = [[-1.5, 10]"), "small"))
    assert "below 0 → 10, from 0 → 80, from 0.5 → 100 (healthy: 80)" in text


def test_model_that_does_not_exist_is_told_with_the_presets():
    """A wrong name lists what there is."""
    with pytest.raises(ModelError) as told:
        load_model("nowhere.toml")
    presets = ", ".join(preset_names())
    expected = f"a readable file or one of the presets {presets}"
    assert str(told.value) == f"nowhere.toml $: expected {expected}, got no such file or directory — check the name"


def test_text_that_is_no_toml_is_told_with_its_line(tmp_path: Path):
    """A syntax error is a fault like any other."""
    path = tmp_path / "m.toml"
    path.write_text("name = \n")
    with pytest.raises(ModelError) as told:
        load_model(str(path))
    assert str(told.value) == (
        f"{path} $: expected TOML, got Invalid value (at line 1, column 8) — correct it; the file's form is described in "
        "scoring/models/*.toml"
    )


def test_file_loads_like_a_preset(tmp_path: Path):
    """A path gives the same model as its text."""
    path = tmp_path / "m.toml"
    path.write_text(SMALL)
    assert load_model(str(path)) == parse_text(SMALL, "small")


def properties_of(schema: dict, *way: str) -> set[str]:
    """Return the keys a schema allows at a place."""
    for step in way:
        schema = schema["properties"][step]
        schema = schema.get("items", schema)
        for below in schema.get("patternProperties", {}).values():
            schema = below
    return set(schema["properties"])


@pytest.mark.parametrize(
    "way",
    [(), ("signals",), ("inputs",), ("overrides",), ("bands",), ("rules",), ("playbooks",), ("risk",), ("value",)],
)
def test_schema_allows_exactly_the_keys_the_parser_reads(way):
    """The list in the parser's own message about an unknown key is the schema's list."""
    table = {"": "zz = 1\n", "signals": "[signals.a]\nzz = 1\n", "inputs": "[inputs.a]\nzz = 1\n"}
    table |= {name: f"[[{name}]]\nzz = 1\n" for name in ("overrides", "bands", "rules")}
    table |= {"playbooks": "[playbooks.a]\nzz = 1\n", "risk": "[risk]\nzz = 1\n", "value": "[value]\nzz = 1\n"}
    with pytest.raises(ModelError) as told:
        parse_text(table[way[0] if way else ""], "m.toml")
    listed = re.search(r"\.zz: expected one of (.*), got 'zz'", str(told.value))[1].split(", ")
    assert set(listed) == properties_of(json_schema(), *way)


@pytest.mark.parametrize("unit", UNITS_MS)
def test_duration_round_trip(unit):
    """What is formatted parses back to the same milliseconds, in every unit."""
    for number in (1, 7, 36, 1000):
        milliseconds = number * UNITS_MS[unit]
        assert parse_duration(f"{number}{unit}") == milliseconds
        assert parse_duration(format_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5d", "7 d", "1y", "1d2h", "9999999d"])
def test_what_is_no_duration(text):
    """A duration is one whole number and one unit."""
    assert parse_duration(text) is None
