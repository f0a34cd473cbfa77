"""Laws of a score: it is bounded, adds up, moves the way it was declared to, and is published when it is news."""

import json
import math
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from scoring.jit import handle
from scoring.model import Direction
from scoring.parse import parse
from scoring.plan import BASELINE
from scoring.presets import load_model, preset_names
from scoring.weighing import scales_of
from state.layout import MODEL_SEGMENT
from state.score import score_many
from state.work import (
    MOVE_BEFORE_DAYS,
    MOVE_SEGMENT,
    PICTURE_COVERAGE,
    PICTURE_EXPANSION,
    PICTURE_FIXED,
    PICTURE_HEALTH,
    PICTURE_RISK,
    make_work,
)
from tests.state.journals import DAY, HOUR, START, Log, Traffic, cut
from tests.state.looking import feed, partition_for, plan_of, seen
from tests.state.random_models import SIGNALS, random_model

SEEDS = range(10)


def model_for(random: Random, seed: int):
    """Return a preset or a random model."""
    names = preset_names()
    return load_model(names[seed % 3]) if seed < 3 else random_model(random)


@pytest.mark.parametrize("seed", SEEDS)
def test_baseline_and_contributions_are_the_health(seed):
    """Health = baseline + inputs + missing data + override and clamp, to 1e-9; everything lies in its range."""
    random = Random(seed)
    model = model_for(random, seed)
    partition = partition_for(model)
    scored = 0
    for run in cut(Traffic(random, [], ("a", "b", "c")).journal(60), random, 5):
        feed(partition, [run])
        count = len(partition.store)
        pictures = np.empty((count, partition.scratch.pictures.shape[1]))
        work = handle(make_work(plan_of(partition), partition.layout, 1))
        at = np.empty(count, np.int64)
        score_many(partition.plan, partition.store.handle, work, np.arange(count), partition.clock_ms, pictures, at)
        start = PICTURE_FIXED + len(partition.compiled.values) + len(model.inputs)
        segments = partition.store.rows.derived[:count, MODEL_SEGMENT]
        for line, baseline in zip(pictures.tolist(), scales_of(model)[segments, BASELINE], strict=True):
            health, contributions = line[PICTURE_HEALTH], line[start : start + len(model.inputs) + 2]
            assert 0 <= line[PICTURE_COVERAGE] <= 1
            if math.isnan(health):
                assert set(contributions) == {0.0}
                continue
            scored += 1
            assert 0 <= health <= 100
            assert 0 <= line[PICTURE_RISK] <= 1
            assert 0 <= line[PICTURE_EXPANSION] <= 1
            assert abs(baseline + sum(contributions) - health) < 1e-9
    assert scored or model.minimum_coverage > 0.3, "only a model that asks for much may score nobody"


@pytest.mark.parametrize("seed", SEEDS)
def test_why_it_moved_adds_up_to_the_move(seed):
    """The differences an alert names, the rest included, are what health moved by since the close it compares with."""
    random = Random(seed)
    model = model_for(random, seed)
    partition = partition_for(model)
    for run in cut(Traffic(random, [], ("a", "b")).journal(60), random, 5):
        feed(partition, [run])
    width = len(model.inputs) + 2
    moves, pictures = partition._outflow.moves()
    flush = partition.take_flush()
    assert flush is not None
    for move, line, alert in zip(moves, pictures, flush.alerts, strict=True):
        assert alert.value is not None
        body = json.loads(alert.value)
        assert len(body["reasons"]) <= 4
        health, before = line[PICTURE_HEALTH], line[-width:]
        if move[MOVE_BEFORE_DAYS] and not math.isnan(health):
            moved = health - (scales_of(model)[move[MOVE_SEGMENT], BASELINE] + sum(before))
            assert abs(sum(reason["contribution"] for reason in body["why_it_moved"]) - moved) < 1e-6
            assert len(body["why_it_moved"]) <= 5


@pytest.mark.parametrize("form", ["curve", "steps"])
@pytest.mark.parametrize(("direction", "ys"), [("up", (0, 30, 100)), ("down", (100, 30, 0))])
def test_health_moves_as_declared(direction, ys, form):
    """A greater value of an input declared `up` never lowers health, of one declared `down` never raises it."""
    points = [[x, y] for x, y in zip((0, 4, 10), ys, strict=True)]
    inputs = {
        "n": {"value": "last(nps)", form: points, "weight": 3, "direction": direction},
        "m": {"value": "last(mrr)", "curve": [[0, 0], [5000, 100]], "weight": 5},
    }
    bands = [{"name": "red", "enter_below": 40, "leave_above": 45}]
    model = parse({"name": "m", "version": 1, "signals": dict(SIGNALS), "inputs": inputs, "bands": bands}, "m")
    assert {entry.name: entry.direction for entry in model.inputs}["n"] is Direction(direction)
    log = Log()
    for k, score in enumerate(range(-2, 13)):
        log.event("billing", f"a{k:02}", START, event="changed", mrr=2000)
        log.event("support", f"a{k:02}", START, event="nps", score=score)
    view = seen(feed(partition_for(model), log.journal))
    healths = [view[name]["health"] for name in sorted(view)]
    assert healths == sorted(healths, reverse=direction == "down")
    assert len(set(healths)) == (3 if form == "steps" else 11)


@pytest.mark.parametrize("seed", SEEDS)
def test_latest_record_on_scores_is_true(seed):
    """After every flush the last record of each account tells its band, is a tombstone where it is closed, and nears its health."""
    random = Random(seed)
    model = model_for(random, seed)
    partition = partition_for(model)
    latest = {}
    for run in cut(Traffic(random, [], ("a", "b", "c")).journal(80), random, 10):
        feed(partition, [run])
        flush = partition.take_flush()
        latest |= {message.key.decode(): message.value for message in flush.scores} if flush else {}
        for account, view in seen(partition).items():
            if view["closed"]:
                assert latest[account] is None
                continue
            if account not in latest:
                assert view["health"] is None
                continue
            body = json.loads(latest[account])
            names = (*model.band_names, "insufficient_data")
            assert body["band"] == names[view["band"]]
            assert (body["health"] is None) == (view["health"] is None)


def test_silence_alone_is_published_once_a_day():
    """A score that only sinks is written at midnights: a reader sees it sink, the topic does not fill with it."""
    partition = partition_for(load_model("saas-renewal"))
    log = Log()
    for k in range(40):
        log.event("usage", "a", START + k * DAY // 2)
    feed(partition, log.journal)
    partition.take_flush()
    written = []
    for hour in range(1, 10 * 24):
        log.journal.clear()
        log.tick(START + 20 * DAY + hour * HOUR)
        band = partition.band_of("a")
        flush = feed(partition, log.journal).take_flush()
        if not flush.alerts and partition.band_of("a") == band:
            written += [json.loads(message.value)["at"][:10] for message in flush.scores]
    assert len(written) > 3
    assert len(written) == len(set(written))


@pytest.mark.parametrize("seed", SEEDS)
def test_health_falls_under_silence_to_its_floor(seed):
    """Once nothing comes any more, health never rises from one midnight to the next, and ends where the curves end."""
    random = Random(seed)
    shapes = {
        "momentum(days)": [[-2, 0], [random.uniform(-1, -0.2), random.uniform(20, 60)], [0, 80], [1, 100]],
        "surprise(clicks)": [[-4, 0], [random.uniform(-2, -1), random.uniform(30, 70)], [0, 90]],
        "silence(clicks)": [[0, 100], [random.uniform(2, 5), random.uniform(20, 80)], [8, 0]],
        "days_since(clicks)": [[0, 100], [random.uniform(5, 70), 0]],
        "rate(days, 30d)": [[0, 0], [random.uniform(0.1, 0.6), 100]],
        "level(clicks)": [[0, 0], [random.uniform(1, 9), 100]],
    }
    chosen = random.sample(sorted(shapes), random.randrange(1, 5))
    inputs = {
        f"n{k}": {"value": value, "curve": shapes[value], "weight": random.choice((1, 4))}
        for k, value in enumerate(chosen)
    }
    bands = [{"name": "red", "enter_below": 40, "leave_above": 45}]
    signals = {name: SIGNALS[name] for name in ("clicks", "days")}
    model = parse({"name": "m", "version": 1, "signals": signals, "inputs": inputs, "bands": bands}, "m")
    log, days, pace = Log(), random.randrange(14, 80), random.uniform(0.4, 6)
    for _ in range(int(days * pace)):
        log.event("usage", "a", START + int(random.uniform(0, days) * DAY), written_at=START + days * DAY)
    partition = partition_for(model)
    feed(partition, log.journal)
    healths = []
    first = START // DAY + days + 1
    for day in range(first, first + 75):
        log.journal.clear()
        log.tick(day * DAY)
        feed(partition, log.journal)
        told = partition.take_flush()
        healths += [] if told is None else [json.loads(score.value)["health"] for score in told.scores if score.value]
    assert all(later <= sooner + 1e-9 for sooner, later in pairwise(healths))
    assert healths[-1] < 1.0
