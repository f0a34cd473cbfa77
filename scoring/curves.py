"""Piecewise-linear curves: a raw value becomes a sub-score between 0 and 100, or log-odds become calibrated ones.

All curves of a model lie one after the other in two arrays, ``xs`` (rising) and ``ys`` (0-100, or log-odds); a curve is a
slice ``[start, start + length)`` of both. Where the sub-score jumps, two knots share an x. Knows nothing of accounts,
signals or time.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from numba import njit

from scoring.arrays import Floats
from scoring.model import Input

Points = Sequence[tuple[float, float]]


@njit(cache=True)
def interpolate(xs: Floats, ys: Floats, start: int, length: int, x: float) -> float:
    """Return the sub-score of one value; flat beyond the curve's ends.

    Parameters
    ----------
    xs, ys : float64 arrays, knots of all curves (value in its own unit, sub-score 0-100)
    start, length : int, the slice that is this curve; length > 0
    x : float, the value; not NaN

    Returns
    -------
    float
        Sub-score, 0-100.
    """
    if x <= xs[start]:
        return ys[start]
    last = start + length - 1
    if x >= xs[last]:
        return ys[last]
    k = start
    while xs[k + 1] < x:
        k += 1
    return ys[k] + (ys[k + 1] - ys[k]) * (x - xs[k]) / (xs[k + 1] - xs[k])


def line_of(entry: Input) -> Points:
    """Return an input's knots; categories become knots at 0, 1, 2 …, their numbers."""
    if entry.steps:
        return knots_of_steps(entry.steps)
    return entry.curve or [(float(number), y) for number, (_, y) in enumerate(entry.categories)]


def knots_of_steps(steps: Points) -> Points:
    """Return the knots by which `interpolate` says what steps say, to the last bit.

    Both knots of an edge stand at the greatest number below it, since a value on a knot has what lies to the left of it.
    With the second one on the edge itself the value there would be interpolated across the smallest of distances, which
    at an edge of 0 rounds the jump to whole points. Only the last edge has a knot, for what lies beyond the end.

    Parameters
    ----------
    steps
        Two or more points (x, y), x rising: from x on the sub-score is y, below the first x it is the first y.

    Examples
    --------
    >>> [y for _, y in knots_of_steps([(0.0, 20.0), (3.0, 60.0), (10.0, 100.0)])]
    [20.0, 60.0, 60.0, 100.0, 100.0]
    """
    edges = [(math.nextafter(x, -math.inf), before, y) for (_, before), (x, y) in pairwise(steps)]
    return [*((x, y) for x, before, after in edges for y in (before, after)), steps[-1]]
