"""A partition against the oracle: the compiled, skipping, rolling kernel must equal the naive recomputation exactly."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.model import Model
from scoring.presets import load_model, preset_names
from tests.oracle import Oracle
from tests.state.journals import Run, Traffic, book_journal, cut, signals_of
from tests.state.looking import assert_equal, dead_of, feed, partition_for, sums_of
from tests.state.random_models import random_model


def rule_names(model: Model) -> list[str]:
    """Return the names alerts of a model go by."""
    return [f"band-{band.name}" for band in model.bands] + [rule.name for rule in model.rules]


def compare(model: Model, journal: list[Run], random: Random, *, generation: int = 1 << 16, lines: int = 4096) -> None:
    """Feed both the journal, the partition in random chunks, and compare all they show."""
    oracle = Oracle(model, remembered=generation)
    for topic, records in journal:
        oracle.feed(topic, records)
    partition = partition_for(model, generation=generation, lines=lines)
    feed(partition, cut(journal, random, 20))
    flush = partition.take_flush()
    flushes = [] if flush is None else [flush]
    assert_equal(partition, flushes, oracle)
    assert dead_of(flushes) == sorted(oracle.dead)
    assert sums_of(flushes) == oracle.sums
    assert sum(n for (_, result), n in partition.counts.items() if result == "duplicate") == oracle.duplicates


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, derandomize=True)
@example(seed=0)
@example(seed=10257)
def test_random_model_on_random_traffic_equals_the_oracle(seed):
    """Whatever the model and the traffic: the same sums, scores, bands, rules, alerts and dead letters."""
    random = Random(seed)
    model = random_model(random)
    compare(model, Traffic(random, rule_names(model), signals=signals_of(model)).journal(60), random, generation=32)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", preset_names())
def test_preset_on_random_traffic_equals_the_oracle(name, seed):
    """The shipped models, on traffic with silences of 200 days, late events, commands and closed accounts."""
    random = Random(f"{name} {seed}")
    model = load_model(name)
    compare(model, Traffic(random, rule_names(model), signals=signals_of(model)).journal(60), random)


@pytest.mark.parametrize("seed", range(3))
def test_little_room_for_moves_changes_nothing(seed):
    """When the kernel's room for moves is full every few events, it is emptied and the event tried again, once."""
    random = Random(seed)
    model = load_model("saas-renewal")
    compare(model, Traffic(random, rule_names(model), signals=signals_of(model)).journal(45), random, lines=0)


@pytest.mark.parametrize("name", preset_names())
def test_book_of_business_equals_the_oracle(name):
    """Thirty accounts of the demo over sixteen weeks, with its late, repeated and broken events."""
    compare(load_model(name), book_journal(7, accounts=30, days=110), Random(7))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_random_books_equal_the_oracle(seed):
    """The long round: more seeds, longer journals."""
    random = Random(seed)
    model = random_model(random)
    compare(
        model,
        Traffic(random, rule_names(model), ("a", "b", "c"), signals_of(model)).journal(200),
        random,
        generation=32,
    )
