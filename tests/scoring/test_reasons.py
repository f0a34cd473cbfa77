"""Reasons: which are chosen, what they say, and that they add up."""

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.jit import entry
from scoring.parse import parse
from scoring.reasons import MISSING_DATA, OVERRIDE, Words, put_reasons, room_of, words_of


@entry
def _reasons(words: Words, buffer: Any, values: Any, points: Any, before: Any, days: int) -> int:
    return put_reasons(words, buffer, 0, values, points, before, days)


def model(**inputs: dict[str, Any]) -> Any:
    """Return a model of these inputs."""
    signals = {
        "activity": {"from": "usage", "measure": "count"},
        "overdue": {"from": "billing", "measure": "open_items", "open": "invoice_issued", "close": "invoice_paid"},
    }
    filled = {name: {"weight": 10, **given} for name, given in inputs.items()}
    bands = [{"name": "red", "enter_below": 40, "leave_above": 45}]
    return parse({"name": "m", "version": 1, "signals": signals, "inputs": filled, "bands": bands}, "m")


def reasons(words: Words, values: list[float], points: list[float], before: list[float], days: int) -> list[Any]:
    """Return what is written, read back."""
    buffer = np.zeros(9 * room_of(words), np.uint8)
    arrays = (np.array(numbers, np.float64) for numbers in (values, points, before))
    found = orjson.loads(buffer[: _reasons(words, buffer, *arrays, days)].tobytes())
    assert isinstance(found, list)
    return found


LINE = {"curve": [[0, 0], [1, 100]]}


@pytest.mark.parametrize(
    ("entry_of", "value", "said"),
    [
        ({"value": "momentum(activity)"}, math.log(0.58), "t down 42 % against the last 90 days"),
        ({"value": "momentum(activity)"}, 0.001, "t unchanged against the last 90 days"),
        ({"value": "ratio(activity, 7d, 30d)"}, 1.25, "t up 25 % in 7 days against 30"),
        ({"value": "surprise(activity)"}, -2.34, "t 2.3 standard deviations below its habit"),
        ({"value": "silence(activity)"}, 7.46, "t: 7.5 expected events did not come"),
        ({"value": "age(overdue)", "direction": "down"}, 34.2, "t: oldest 34 days"),
        ({"value": "age(overdue)", "direction": "down"}, 0.0, "t: none"),
        ({"value": "sum(activity, 30d)"}, 12345.6, "t: 12346 events in 30 days"),
        ({"value": "rate(activity, 7d)", "unit": "a day"}, 0.25, "t: 0.25 a day in 7 days"),
        ({"value": "momentum(activity)"}, math.nan, "t: no data"),
    ],
)
def test_sentence(entry_of, value, said):
    """A reason says its input's title, the number in its own unit, and its points."""
    curve = [[0, 100], [1, 0]] if entry_of.get("direction") == "down" else LINE["curve"]
    words = words_of(model(x={"title": "t", "curve": curve, **entry_of}))
    (reason,) = reasons(words, [value], [-12.34, 0.0, 0.0], [0.0] * 3, 0)
    assert reason == {"code": "X", "text": f"{said} (-12.3)", "contribution": -12.34}


def test_category_by_name():
    """A hand-entered state is called by its name."""
    entry_of = {"value": "relationship.champion", "categories": {"active": 100, "at_risk": 40, "missing": 0}}
    words = words_of(model(champion={"title": "champion", **entry_of}))
    (reason,) = reasons(words, [1.0], [-3.0, 0.0, 0.0], [0.0] * 3, 0)
    assert reason["text"] == "champion: at risk (-3.0)"


def test_missing_data_and_override_have_sentences():
    """What no input explains has words of its own, and says over how long."""
    words = words_of(model(x={"value": "momentum(activity)", **LINE}))
    found = reasons(words, [0.0], [0.0, -2.0, 5.0], [0.0, 0.0, 1.0], 14)
    assert [(reason["code"], reason["text"]) for reason in found] == [
        (OVERRIDE, "an override moves the score by +4.0 points over 14 days"),
        (MISSING_DATA, "data that is missing counts -2.0 points over 14 days"),
    ]


def test_title_is_escaped():
    """A title may hold quotes, line ends and any script: the record stays JSON and gives it back."""
    title = 'logins "daily"\n利用日数'
    words = words_of(model(x={"value": "momentum(activity)", "title": title, **LINE}))
    (reason,) = reasons(words, [0.001], [1.0, 0.0, 0.0], [0.0] * 3, 0)
    assert reason["text"].startswith(title)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=8, max_size=8))
def test_differences_are_the_largest_and_sum_to_the_move(pairs):
    """At most four differences, the largest first, none under half a point; with the rest they sum to the move."""
    words = words_of(model(**{name: {"value": "momentum(activity)", **LINE} for name in "abcdef"}))
    now, then = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = reasons(words, [0.0] * 6, now, then, 14)
    own = [reason["contribution"] for reason in found if reason["code"] != "OTHER"]
    sizes = sorted((abs(a - b) for a, b in pairs), reverse=True)
    assert [abs(points) for points in own] == pytest.approx([s for s in sizes[:4] if s >= 0.5], abs=1e-6)
    assert sum(reason["contribution"] for reason in found) == pytest.approx(sum(now) - sum(then), abs=1e-6)
