"""Groups and segments of a model file: what is refused, what is meant, and what people read."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.compile import compile_model
from scoring.parse import parse
from scoring.plan import BASELINE, TOTAL_WEIGHT
from scoring.schema import json_schema
from scoring.segments import Segment, segment_of
from scoring.words import describe
from tests.scoring.model_files import SMALL, faults_of

SEGMENTS = """
[segments.large]
where = { segment = ["large", "key"], plan = "gold" }
weights = { adoption = 10, champion = 30 }
[segments.large.bands.red]
enter_below = 50
leave_above = 57
dwell = "12h"

[segments.trial]
where = { plan = "trial" }
weights = { champion = 0 }
"""


def content(more: str) -> dict[str, Any]:
    """Return the small model with more in it."""
    return tomllib.loads(SMALL + more)


def test_a_segment_states_what_differs_and_inherits_the_rest():
    """Weights and thresholds it does not state are the model's; its baseline follows from its weights."""
    model = parse(content(SEGMENTS))
    large, trial = model.segments
    assert large.where == (("plan", ("gold",)), ("segment", ("key", "large")))
    assert large.weights == (10, 30)
    assert large.baseline == (10 * 80 + 30 * 100) / 40
    assert [(b.enter_below, b.leave_above, b.dwell_ms) for b in large.bands] == [
        (50, 57, 12 * 3_600_000),
        (60, 66, 24 * 3_600_000),
    ]
    assert trial.weights == (30, 0)
    assert trial.baseline == 80
    assert [b.enter_below for b in trial.bands] == [40, 60]


def test_a_segment_is_a_line_of_the_plan():
    """The kernel reads line 0 for accounts in no segment and one line a segment; without segments there is one."""
    plan = compile_model(parse(content(SEGMENTS))).plan
    assert plan.weights.tolist() == [[30, 10], [10, 30], [30, 0]]
    assert plan.enter_below.tolist() == [[40, 60], [50, 60], [40, 60]]
    assert plan.scales[:, TOTAL_WEIGHT].tolist() == [40, 40, 30]
    assert plan.scales[:, BASELINE].tolist() == [85, 95, 80]
    assert compile_model(parse(content(""))).plan.weights.shape == (1, 2)


def test_without_where_it_is_the_segment_of_that_name():
    """`[segments.large]` alone means accounts whose segment is large."""
    model = parse(content("[segments.large.weights]\nchampion = 5\n"))
    assert [segment_of(model.segments, each) for each in ({"segment": "large"}, {"segment": "Large"}, {})] == [1, 0, 0]


FAULTS = {
    "unknown attribute": (
        "[segments.a]\nwhere = { colour = 'red' }\nweights = { champion = 1 }\n",
        "m.toml $.segments.a.where.colour: expected one of industry, plan, region, segment, size, stage, got 'colour' — remove it",
    ),
    "unknown input": (
        "[segments.a]\nweights = { champoin = 1 }\n",
        "m.toml $.segments.a.weights.champoin: expected a declared input, got 'champoin' — did you mean 'champion'?",
    ),
    "unknown band": (
        "[segments.a.bands.rde]\nenter_below = 10\n",
        "m.toml $.segments.a.bands.rde: expected a declared band, got 'rde' — did you mean 'red'?",
    ),
    "negative weight": (
        "[segments.a]\nweights = { champion = -1 }\n",
        "m.toml $.segments.a.weights.champion: expected a number from 0 to 1000, got -1 — change it",
    ),
    "nothing counts": (
        "[segments.a]\nweights = { champion = 0, adoption = 0 }\n",
        "m.toml $.segments.a.weights: expected at least one input that counts, got none — leave one above 0",
    ),
    "nothing differs": (
        "[segments.a]\nwhere = { plan = 'x' }\n",
        "m.toml $.segments.a.weights: expected weights, groups or bands of its own, got nothing — say what is different here",
    ),
    "no gap": (
        "[segments.a.bands.red]\nenter_below = 45\n",
        "m.toml $.segments.a.bands.red.leave_above: expected more than 45 (enter_below), got 45 — without a gap noise makes the band flap",
    ),
    "bands that do not rise": (
        "[segments.a.bands.red]\nenter_below = 62\nleave_above = 65\n",
        "m.toml $.segments.a.bands.yellow.enter_below: expected thresholds above 62 and 65 (the band below), got 60 and 66 — bands must rise, worst first",
    ),
    "two that fit one account": (
        "[segments.a]\nwhere = { plan = ['x', 'y'] }\nweights = { champion = 1 }\n[segments.b]\nwhere = { plan = 'y', region = 'eu' }\nweights = { champion = 2 }\n",
        "m.toml $.segments.b.where: expected no account that is in 'a' too, got plan y and region eu — give both an attribute with other values",
    ),
    "a group's weight where groups weigh nothing": (
        "[segments.a]\ngroups = { money = 3 }\n",
        "m.toml $.segments.a.groups.money: expected a declared group with a weight, got 'money' — use one of none",
    ),
    "an empty group": (
        "[groups.money]\n",
        'm.toml $.groups.money.title: expected at least one input, got none — write group = "money" under an input',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_told_with_its_path(case):
    """Each mistake is one line: where, what was expected, what was given, what to do."""
    more, line = FAULTS[case]
    assert faults_of(content(more)) == [line]


GROUPED = SMALL.replace("weight = 30", 'weight = 30\ngroup = "use"').replace(
    "weight = 10", 'weight = 10\ngroup = "people"'
)


def test_a_group_shares_its_weight_out():
    """A group's weight is split by its inputs' own; a segment may weigh groups otherwise."""
    text = GROUPED + "[inputs.spare]\nvalue = 'contacts'\ncurve = [[0, 0], [4, 100]]\nweight = 30\ngroup = 'people'\n"
    text += "[groups.use]\nweight = 60\n[groups.people]\nweight = 40\n[segments.key]\ngroups = { people = 180 }\n"
    model = parse(tomllib.loads(text))
    assert {entry.name: entry.weight for entry in model.inputs} == {"adoption": 60, "champion": 10, "spare": 30}
    assert model.segments[0].weights == (60, 45, 135)


def test_groups_without_weights_leave_weights_as_they_are():
    """They only gather: the same scores, told by group."""
    model = parse(tomllib.loads(GROUPED + "[groups.use]\n[groups.people]\n"))
    assert [entry.weight for entry in model.inputs] == [30, 10]
    assert compile_model(model).plan.groups.tolist() == [1, 0]


def test_an_input_outside_all_groups_is_refused_where_groups_weigh():
    """Nobody could tell what its own weight means beside the groups'."""
    text = SMALL.replace("weight = 30", 'weight = 30\ngroup = "use"') + "[groups.use]\nweight = 3\n"
    assert faults_of(tomllib.loads(text)) == [
        "m.toml $.inputs.champion.group: expected one of use, for groups weigh, got nothing — put the input into a group"
    ]


def test_words_say_groups_and_what_is_different_in_a_segment():
    """People read the weight of a group before its inputs', and of a segment only what differs."""
    text = GROUPED + '[groups.use]\ntitle = "use of the product"\n[groups.people]\n' + SEGMENTS
    said = describe(parse(tomllib.loads(text)))
    assert "   75%  use of the product, of which\n       75%  adoption [ADOPTION]" in said.replace(
        "  75%  use", "   75%  use", 1
    )
    assert "Accounts whose plan is gold and segment is key or large (segment large); a healthy one scores 95.0" in said
    assert "   25%  adoption [ADOPTION] instead of 75%" in said
    assert "  red: entered below 50, left above 57 after 12h instead of 40 and 45" in said
    assert "  none  champion [CHAMPION] instead of 25%" in said


MEANINGS = {
    "a weight": ("champion = 30 }", "champion = 31 }"),
    "a threshold": ("enter_below = 50", "enter_below = 51"),
    "a dwell": ('dwell = "12h"', 'dwell = "13h"'),
    "who": ('plan = "trial"', 'plan = "free"'),
}


@pytest.mark.parametrize("case", MEANINGS)
def test_a_segment_belongs_to_the_meaning(case):
    """The fingerprint changes with a segment's weights, thresholds and members, and not with the order of its values."""
    before, after = MEANINGS[case]
    own = parse(content(SEGMENTS)).fingerprint
    assert parse(content(SEGMENTS.replace(before, after))).fingerprint != own
    assert parse(content(SEGMENTS.replace('["large", "key"]', '["key", "large", "key"]'))).fingerprint == own
    assert parse(content("")).fingerprint != own


def test_the_schema_knows_groups_and_segments():
    """Editors complete both."""
    keys = json_schema()["properties"]
    assert {"groups", "segments"} <= set(keys)  # type: ignore[arg-type]


WORDS = st.dictionaries(st.sampled_from(("segment", "plan", "region")), st.sampled_from("abc"), max_size=3)


@given(profile=WORDS, values=st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True))
def test_an_account_is_in_a_segment_when_every_attribute_fits(profile, values):
    """All attributes must have one of their values; one that is missing fits none."""
    segment = Segment("s", (("plan", tuple(values)), ("segment", ("a",))), (1.0,), (), 50.0)
    fits = profile.get("plan") in values and profile.get("segment") == "a"
    assert segment_of([segment], profile) == int(fits)
