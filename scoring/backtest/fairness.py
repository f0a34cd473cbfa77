"""Whether a model treats the accounts of a segment unlike all others: sizes of difference, and whether chance explains them.

Every account counts once, with one number a measure, since its days are not independent. A segment is told of where the
difference is large *and* too unlikely by chance for as many comparisons as are made: in a large book small differences
are certain and mean nothing, in a small one large ones are common.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats
from scoring.backtest.ranking import auc, rank

FEWEST_ACCOUNTS: Final = 20
"""Of smaller segments nothing is claimed: the figures are shown."""
UNLIKELY: Final = 0.01
"""Chance, over all comparisons of a report together, that one is flagged where nothing differs."""
MEDIUM_EFFECT: Final = 0.14
"""How far the chance that an account of the segment scores above another lies from one half: Vargha and Delaney's "medium"."""
LEAST_POINTS: Final = 5.0
"""A level must also differ by so much in the mean: about what hysteresis takes for noise."""
FOUR_FIFTHS: Final = 0.8
"""Rates are unlike where one is less than four fifths of the other: the rule of thumb of adverse impact."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one segment differs from all other accounts in one measure.

    Parameters
    ----------
    segment, measure
        Which.
    inside, outside
        Means over the segment's accounts, and over all others.
    effect
        Of a level: the chance that an account of the segment lies above another, 0-1, ties counting half. Of a rate: inside
        / outside, ≥ 0, infinite where outside it is 0.
    chance
        0-1, probability of a difference like this between equals, after correction for the number of comparisons.
    is_unlike
        Whether both are beyond their limits.
    """

    segment: str
    measure: str
    inside: float
    outside: float
    effect: float
    chance: float
    is_unlike: bool


def differences(
    segment_of: NDArray[np.object_], levels: Mapping[str, Floats], rates: Mapping[str, Floats]
) -> list[Difference]:
    """Return how every large enough segment differs from the rest, by segment and measure.

    Parameters
    ----------
    segment_of
        Account → name of its segment.
    levels, rates
        Measure → number by account, without NaN: points, and numbers ≥ 0.

    References
    ----------
    Vargha and Delaney, "A Critique and Improvement of the CL Common Language Effect Size Statistics" (2000): the effect of
    levels. U.S. Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D: four fifths. Mann and Whitney (1947),
    with the normal approximation and correction for ties: the chance. Bonferroni: the correction.
    """
    chosen = [name for name in sorted(set(segment_of.tolist())) if _is_large(segment_of == name)]
    count = len(chosen) * (len(levels) + len(rates))
    found = []
    for name in chosen:
        is_inside = segment_of == name
        for measure, numbers in (*levels.items(), *rates.items()):
            inside, outside = float(numbers[is_inside].mean()), float(numbers[~is_inside].mean())
            above, chance = mann_whitney(numbers, is_inside)
            chance = min(chance * count, 1.0)
            if measure in levels:
                effect = above
                is_large = abs(above - 0.5) >= MEDIUM_EFFECT and abs(inside - outside) >= LEAST_POINTS
            else:
                effect = 1.0 if inside == outside else inside / outside if outside > 0.0 else math.inf
                is_large = not FOUR_FIFTHS <= effect <= 1.0 / FOUR_FIFTHS
            found.append(Difference(name, measure, inside, outside, effect, chance, is_large and chance < UNLIKELY))
    return found


def _is_large(is_inside: NDArray[np.bool_]) -> bool:
    return bool(is_inside.sum() >= FEWEST_ACCOUNTS and (~is_inside).sum() >= FEWEST_ACCOUNTS)


def mann_whitney(numbers: Floats, is_inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the chance that a number inside lies above one outside (ties half), and that of so unequal groups by chance.

    Examples
    --------
    >>> above, _ = mann_whitney(np.array([1.0, 2.0, 3.0, 3.0]), np.array([False, False, True, True]))
    >>> above
    1.0
    """
    ranking = rank(numbers)
    above = auc(ranking, is_inside.astype(np.float64), np.ones(numbers.size))
    assert above is not None, "both groups have accounts"
    n, inside = numbers.size, int(is_inside.sum())
    sizes = ranking.totals(np.ones(n))
    variance = (n + 1 - float((sizes**3 - sizes).sum()) / (n * (n - 1))) / (12.0 * inside * (n - inside))
    if variance <= 0.0:
        return above, 1.0
    return above, math.erfc(abs(above - 0.5) / math.sqrt(2.0 * variance))


def spread(numbers: Floats, shares: Sequence[float] = (0.1, 0.5, 0.9)) -> tuple[float, ...]:
    """Return quantiles, by default the tenth, the middle and the ninetieth percentile."""
    return tuple(float(each) for each in np.quantile(numbers, shares))
