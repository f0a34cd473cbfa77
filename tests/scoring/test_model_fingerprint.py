"""Fingerprints change when a model's meaning does, and only then."""

import copy
import random
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.parse import parse
from scoring.presets import load_model, preset_names
from tests.scoring.model_files import SMALL, small


def shuffled(content: object, seed: random.Random) -> object:
    """Return the same mapping with the keys of every table in another order; lists keep theirs."""
    if isinstance(content, dict):
        keys = list(content)
        seed.shuffle(keys)
        return {key: shuffled(content[key], seed) for key in keys}
    return [shuffled(item, seed) for item in content] if isinstance(content, list) else content


@given(seed=st.randoms(use_true_random=False))
def test_order_of_keys_means_nothing(seed):
    """Any order of keys gives the same model in every part, fingerprint included."""
    assert parse(shuffled(small(), seed)) == parse(small())


SAME = {
    "comments and layout": lambda text: "# a comment\n" + text.replace(" = ", "    =    "),
    "name": lambda text: text.replace('"small"', '"other"'),
    "version, owner and note": lambda text: text.replace("version = 1", 'version = 2\nowner = "x"\nnote = "y"'),
    "titles and units": lambda text: text.replace(
        'from = "usage"', 'from = "usage"\ntitle = "clicks"\nunit = "clicks"'
    ),
    "numbers written otherwise": lambda text: text.replace("weight = 30", "weight = 30.0").replace('"90d"', '"2160h"'),
    "defaults written out": lambda text: text.replace('from = "usage"', 'from = "usage"\nmeasure = "count"'),
    "a signal's name": lambda text: text.replace("activity", "clicks"),
    "the spelling of a condition": lambda text: text.replace("age(invoices) > 30d", "(age( invoices )>720h)"),
    "one event as a list": lambda text: text.replace('open = "invoice_issued"', 'open = ["invoice_issued"]'),
}

OTHER = {
    "weight": ("weight = 30", "weight = 31"),
    "curve": ("[0, 80]", "[0, 81]"),
    "steps": ("curve = [[-1.5, 0], [0, 80]", "steps = [[-1.5, 0], [0, 80]"),
    "another step": ("curve = [[-1.5, 0], [0, 80]", "steps = [[-1.5, 0], [0, 81]"),
    "another edge": ("curve = [[-1.5, 0], [0, 80]", "steps = [[-1.5, 0], [0.1, 80]"),
    "what holds below the first edge": ("curve = [[-1.5, 0], [0, 80]", "steps = [[-1.5, 1], [0, 80]"),
    "category": ("at_risk = 40", "at_risk = 41"),
    "validity": ('valid_for = "90d"', 'valid_for = "91d"'),
    "value": ("momentum(activity)", "surprise(activity)"),
    "measure": ('from = "usage"', 'from = "usage"\nmeasure = "active_days"'),
    "events": ('from = "usage"', 'from = "usage"\nevents = ["login"]'),
    "dispersion": ('from = "usage"', 'from = "usage"\ndispersion = 2'),
    "topic": ('from = "usage"', 'from = "engagement"'),
    "severity": ('close = "invoice_paid"', 'close = "invoice_paid"\nseverity = "high"'),
    "band": ("enter_below = 40", "enter_below = 39"),
    "dwell": ("leave_above = 45", 'leave_above = 45\ndwell = "1h"'),
    "condition": ("> 30d", ">= 30d"),
    "debounce": ('name = "overdue"', 'name = "overdue"\nfor = "1h"'),
    "step": ('steps = ["call"]', 'steps = ["write"]'),
    "playbook of a band": ("leave_above = 45\n", 'leave_above = 45\nplaybook = "rescue"\n'),
    "horizon": ("version = 1", 'version = 1\nhorizon = "30d"'),
    "outcome": ("version = 1", 'version = 1\noutcome = "silence:usage:30d"'),
    "coverage": ("version = 1", "version = 1\nminimum_coverage = 0.5"),
    "risk": ("[playbooks", "[risk]\nintercept = -3.0\nterms = { health = -5 }\n[playbooks"),
    "calibration": ("[playbooks", "[risk]\nintercept = -3.0\nterms = { health = -4 }\ncalibration = [[-5, -6], [1, 0]]\n[playbooks"),
    "value of an expansion": ("[playbooks", "[value]\nexpected_uplift = 0.3\n[playbooks"),
    "override": ("[playbooks", '[[overrides]]\nname = "o"\nwhen = "contacts < 1"\ncap = 30\n[playbooks'),
}  # fmt: skip


@pytest.mark.parametrize("change", SAME)
def test_fingerprint_stays_when_only_words_change(change):
    """Comments, names of files and signals, titles and spelling leave the fingerprint as it is."""
    text = SAME[change](SMALL)
    assert text != SMALL
    assert parse(tomllib.loads(text)).fingerprint == parse(small()).fingerprint


@pytest.mark.parametrize("change", OTHER)
def test_fingerprint_changes_with_the_meaning(change):
    """Everything that decides a score, a band, an alert or a proposed step changes the fingerprint."""
    text = SMALL.replace(*OTHER[change])
    assert text != SMALL
    assert parse(tomllib.loads(text)).fingerprint != parse(small()).fingerprint


def test_no_two_changes_share_a_fingerprint():
    """All the changed models differ from each other too."""
    texts = [SMALL, *(SMALL.replace(*change) for change in OTHER.values())]
    assert len({parse(tomllib.loads(text)).fingerprint for text in texts}) == len(texts)


@given(
    weights=st.lists(st.floats(0.5, 100), min_size=2, max_size=2),
    other=st.lists(st.floats(0.5, 100), min_size=2, max_size=2),
)
def test_equal_weights_equal_fingerprints(weights, other):
    """Two models that differ at most in weights have one fingerprint exactly when the weights are equal."""
    prints = []
    for pair in (weights, other):
        content = copy.deepcopy(small())
        content["inputs"]["adoption"]["weight"], content["inputs"]["champion"]["weight"] = pair
        prints.append(parse(content).fingerprint)
    assert (prints[0] == prints[1]) == (weights == other)


def test_signal_keeps_its_fingerprint_when_the_rest_changes():
    """Columns survive a model change: a signal's print depends on its topic, measure and names alone."""
    before = parse(small()).signal("activity").fingerprint
    text = SMALL.replace("weight = 30", "weight = 3").replace(
        'from = "usage"', 'from = "usage"\ntitle = "x"\ndispersion = 3'
    )
    after = parse(tomllib.loads(text)).signal("activity").fingerprint
    assert after == before
    filtered = parse(tomllib.loads(SMALL.replace('from = "usage"', 'from = "usage"\nevents = "login"')))
    assert filtered.signal("activity").fingerprint != before


def test_event_names_are_a_set():
    """The order of event names and repetitions mean nothing."""
    texts = [
        SMALL.replace('from = "usage"', f'from = "usage"\nevents = {names}') for names in (["a", "b"], ["b", "a", "b"])
    ]
    assert len({parse(tomllib.loads(text)).fingerprint for text in texts}) == 1


def test_where_the_first_step_begins_means_nothing():
    """The first step holds below its value too, so another value there is the same model."""
    texts = [SMALL.replace("curve = [[-1.5, 0]", f"steps = [[{start}, 0]") for start in (-1.5, -9)]
    assert texts[0] != texts[1]
    assert len({parse(tomllib.loads(text)).fingerprint for text in texts}) == 1


def test_presets_fingerprints_are_recorded():
    """Whoever changes a preset's meaning sees it here, and raises its version once it is released."""
    assert {name: load_model(name).fingerprint for name in preset_names()} == {
        "b2b-lifecycle": "487d725a19a1ccbd",
        "ecommerce-rfm": "30ad2399ac561f3f",
        "saas-renewal": "c907519de5ba604e",
    }
