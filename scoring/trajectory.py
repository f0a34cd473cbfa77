"""Direction and speed: rates, momentum, surprise, silence, slope, expected crossing.

Every function takes numbers and returns numbers. Days are UTC days; a *sealed* day is over, today is not. ``NaN``
means "no data". None of them looks at a clock: the as-of time enters as ``elapsed`` (the part of today that is over).

References
----------
Forward decay with bias removal: Cormode et al., ICDE 2009; irregular EWMA: Movellan, arXiv 1502.03465.
"""

import math

import numpy as np
from numba import njit

from scoring.arrays import Shorts

MINIMUM_EXPOSURE_DAYS = 1.0
"""A rate over less than a day of history would say more about the hour of the first event than about the account."""
HABIT_MINIMUM_DAYS = 7
"""Days before there is a habit to compare with: the working days before a first weekend, or a busy first day, are none.
Until then an account is as usual, and its habit is spread over at least that long."""
RATE_FLOOR = 0.05
"""Events per day below which two rates count as alike; keeps the logarithm finite for nearly silent accounts."""
MOMENTUM_LIMIT = 2.0
"""Momentum is clamped to e^2, a sevenfold change: beyond that the size says nothing more."""
SURPRISE_LIMIT = 10.0
"""Surprise is clamped here: beyond ten standard deviations the size says nothing more."""
DORMANT_DAYS = 60
"""After so many silent days too little of the 90-day memory is left to tell the habit: momentum and surprise stay at
their lower limits and the habit counts as at least one event a day, so that a dead account can never look well."""
FOR_GOOD_DAYS = 180
"""Silence of so many days is no pause any more: whoever has not left by then rarely does so soon."""
FAST_DECAY_DAYS = 7.0
MIDDLE_DECAY_DAYS = 28.0
SLOW_DECAY_DAYS = 90.0
SLOPE_DAYS = 14
"""Day closes a slope is fitted to; two weeks hold two full weekly rhythms."""
SLOPE_MINIMUM_DAYS = 7
FLAT_SLOPE = 0.02
"""Points per day below which a fall is noise: 50 days a point."""


@njit(cache=True)
def exposure_days(window_days: int, elapsed: float, history_days: float) -> float:
    """Return how many days a window really covers: its sealed days and the elapsed part of today, within the history.

    Parameters
    ----------
    window_days : int, the window's length in days
    elapsed : float, 0-1, part of today that is over
    history_days : float, days since the account was first seen

    Returns
    -------
    float
        Days, at least ``MINIMUM_EXPOSURE_DAYS``. Continuous over midnight.
    """
    return max(min(window_days - 1.0 + elapsed, history_days), MINIMUM_EXPOSURE_DAYS)


@njit(cache=True)
def momentum(fast_rate: float, slow_rate: float) -> float:
    """Return the logarithm of a fast over a slow rate, clamped to +-2: below 0 activity falls."""
    ratio = math.log((fast_rate + RATE_FLOOR) / (slow_rate + RATE_FLOOR))
    return min(max(ratio, -MOMENTUM_LIMIT), MOMENTUM_LIMIT)


@njit(cache=True)
def surprise(fast_rate: float, slow_rate: float, dispersion: float) -> float:
    """Return how many standard deviations the fast rate lies from the slow one, were the traffic over-dispersed Poisson.

    Parameters
    ----------
    fast_rate, slow_rate : float, events per day, decayed over 7 and 90 days
    dispersion : float, >= 1, variance over mean of the daily numbers (1 = Poisson)

    Returns
    -------
    float
        A z value; below 0 activity is lower than the account's own habit explains. Small accounts hardly move it.

    Notes
    -----
    The variance of the difference of two exponentially decayed rates of one Poisson stream of rate r is
    ``r * (1/(2 f) + 1/(2 s) - 2/(f + s))``, f and s the decay times.
    """
    spread = 1.0 / (2.0 * FAST_DECAY_DAYS) + 1.0 / (2.0 * SLOW_DECAY_DAYS) - 2.0 / (FAST_DECAY_DAYS + SLOW_DECAY_DAYS)
    z = (fast_rate - slow_rate) / math.sqrt(dispersion * max(slow_rate, RATE_FLOOR) * spread)
    return min(max(z, -SURPRISE_LIMIT), SURPRISE_LIMIT)


@njit(cache=True)
def silence(slow_rate: float, quiet_days: float, dispersion: float) -> float:
    """Return the events missed since the last one: ``exp(-value)`` is the chance of such a gap in Poisson traffic."""
    return slow_rate * quiet_days / dispersion


@njit(cache=True)
def slope_per_day(closes: Shorts, newest: int, none: int) -> float:
    """Return the least-squares slope of the last ``SLOPE_DAYS`` day closes, in units of a close per day.

    Parameters
    ----------
    closes : int16 array, a ring of the healths at the end of each day
    newest : int, the place in the ring of the newest close
    none : int, stands where a day had no score

    Returns
    -------
    float
        NaN where fewer than ``SLOPE_MINIMUM_DAYS`` days have a score. The sums are whole numbers, so exact.
    """
    n = sum_x = sum_y = sum_xx = sum_xy = np.int64(0)
    for x in range(0, -SLOPE_DAYS, -1):
        place = newest + x
        y = np.int64(closes[place if place >= 0 else place + closes.size])
        if y != none:
            n += 1
            sum_x += x
            sum_y += y
            sum_xx += x * x
            sum_xy += x * y
    if n < SLOPE_MINIMUM_DAYS:
        return math.nan
    return (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x)


@njit(cache=True)
def days_to_cross(health: float, threshold: float, slope: float) -> float:
    """Return the days until a falling health meets a threshold below it.

    Parameters
    ----------
    health, threshold : float, points
    slope : float, points per day; NaN = unknown

    Returns
    -------
    float
        Days, 0 where health is below already; NaN where it does not fall faster than ``FLAT_SLOPE``.
    """
    if health < threshold:
        return 0.0
    if not slope < -FLAT_SLOPE:
        return math.nan
    return (health - threshold) / -slope


@njit(cache=True)
def dormancy(days: float) -> float:
    """Return how far silence is beyond a pause, 0-1: 0 up to 60 days, 1 from 180 on.

    Examples
    --------
    >>> [dormancy(days) for days in (10.0, 60.0, 120.0, 400.0)]
    [0.0, 0.0, 0.5, 1.0]
    """
    return min(max((days - DORMANT_DAYS) / (FOR_GOOD_DAYS - DORMANT_DAYS), 0.0), 1.0)
