"""Piecewise-linear curves: a raw value becomes a sub-score between 0 and 100.

All curves of a model lie one after the other in two arrays, ``xs`` (rising) and ``ys`` (0-100); a curve is a
slice ``[start, start + length)`` of both. Knows nothing of accounts, signals or time.
"""

from numba import njit

from scoring.arrays import Floats


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


@njit(cache=True)
def interpolate_range(xs: Floats, ys: Floats, start: int, length: int, low: float, high: float) -> tuple[float, float]:
    """Return the least and greatest sub-score over all values in ``[low, high]``.

    Parameters
    ----------
    xs, ys, start, length
        As in :func:`interpolate`.
    low, high : float, low <= high

    Returns
    -------
    tuple of float
        ``(least, greatest)``, exact: between knots a curve is straight, so its extremes lie at the ends or at knots.
    """
    at_low = interpolate(xs, ys, start, length, low)
    at_high = interpolate(xs, ys, start, length, high)
    least = min(at_low, at_high)
    greatest = max(at_low, at_high)
    for k in range(start, start + length):
        if low < xs[k] < high:
            least = min(least, ys[k])
            greatest = max(greatest, ys[k])
    return least, greatest
