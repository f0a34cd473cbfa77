"""When a segment counts as treated unlike the rest."""

from random import Random

import numpy as np

from scoring.backtest.fairness import differences, mann_whitney


def names(*sizes: tuple[str, int]) -> np.ndarray:
    """Return the segment of each account."""
    return np.array([name for name, size in sizes for _ in range(size)], object)


def test_mann_whitney_agrees_with_counting_pairs():
    """The chance to lie above is the share of pairs, ties half; its probability is that of the textbook's formula."""
    random = Random(3)
    numbers = np.array([random.choice((1.0, 2.0, 3.0, 5.0)) for _ in range(40)])
    is_inside = np.array([random.random() < 0.4 for _ in range(40)])
    inside, outside = numbers[is_inside], numbers[~is_inside]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    above, chance = mann_whitney(numbers, is_inside)
    assert abs(above - sum(pairs) / len(pairs)) < 1e-12
    _, counts = np.unique(numbers, return_counts=True)
    n, size = 40, inside.size * outside.size
    sigma = np.sqrt(size / 12 * (n + 1 - (counts**3 - counts).sum() / (n * (n - 1))))
    z = abs(sum(pairs) - size / 2) / sigma
    # The normal distribution's two tails, by summing its density.
    x = np.linspace(z, z + 12, 200_001)
    tails = 2 * np.trapezoid(np.exp(-x * x / 2) / np.sqrt(2 * np.pi), x)
    assert abs(chance - tails) < 1e-9


def test_equal_groups_are_not_told_of():
    """Over many draws of equal groups hardly any report flags something: the promised one in a hundred."""
    random = np.random.default_rng(5)
    segments = names(("a", 60), ("b", 40), ("c", 50))
    flagged = 0
    for _ in range(300):
        rates = {"alerts": random.poisson(1.0, 150).astype(float), "changes": random.poisson(0.5, 150).astype(float)}
        found = differences(segments, {"health": random.normal(70, 10, 150)}, rates)
        flagged += any(each.is_unlike for each in found)
    assert flagged <= 7


def test_a_certain_but_small_difference_is_not_told_of():
    """In a large book a point of health is certain, and no reason to change a model."""
    random = np.random.default_rng(1)
    numbers = np.concatenate([random.normal(70, 10, 20_000), random.normal(71, 10, 20_000)])
    found = differences(names(("a", 20_000), ("b", 20_000)), {"health": numbers}, {})
    assert [(each.chance < 1e-6, each.is_unlike) for each in found] == [(True, False)] * 2


def test_a_large_difference_is_told_of_both_sides_of_it():
    """Three times the alerts, and twenty points of health, are told of, with direction."""
    random = np.random.default_rng(2)
    health = np.concatenate([random.normal(50, 8, 60), random.normal(70, 8, 80)])
    alerts = np.concatenate([random.poisson(3.0, 60), random.poisson(1.0, 80)]).astype(float)
    found = {
        (d.segment, d.measure): d
        for d in differences(names(("a", 60), ("b", 80)), {"health": health}, {"alerts": alerts})
    }
    assert all(each.is_unlike for each in found.values())
    assert found["a", "health"].effect < 0.2
    assert found["b", "health"].effect > 0.8
    assert 2 < found["a", "alerts"].effect < 4


def test_nothing_is_claimed_of_few_accounts():
    """A segment of 19 accounts is not judged, however it differs; with two such groups there is nothing to compare."""
    numbers = np.concatenate([np.full(19, 10.0), np.full(30, 90.0)])
    assert differences(names(("few", 19), ("rest", 30)), {"health": numbers}, {}) == []
