"""Piecewise-linear curves: a raw value becomes a sub-score between 0 and 100, or log-odds become calibrated ones.

All curves of a model lie one after the other in two arrays, ``xs`` (rising) and ``ys`` (0-100, or log-odds); a curve is a
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
