"""Hysteresis: which band a health belongs to, given the band the account is in.

Bands are numbered from the worst (0) to the best; the best has no thresholds of its own. A band is *entered* below
``enter_below`` and *left* at or above ``leave_above``, which is higher::

    health  0 ....... 40 ....... 45 ....... 65 ....... 70 ....... 100
    red     |<- enter ->|         |
            |<------- stay ------>|
    yellow              |<----- enter ------>|         |
                        |<---------- stay ------------>|
"""

from numba import njit

from scoring.arrays import Floats, Ints

INSUFFICIENT = -1
"""The band of an account with too little data: neither good nor bad."""


@njit(cache=True)
def band_of(health: float, current: int, enter_below: Floats, leave_above: Floats) -> int:
    """Return the band a health asks for.

    Parameters
    ----------
    health : float, 0-100
    current : int, the band the account is in, or INSUFFICIENT
    enter_below, leave_above : float64 arrays, band number (without the best) → points

    Returns
    -------
    int
        0 (worst) to ``len(enter_below)`` (best). Whether the move happens now is a matter of dwell, not decided here.
    """
    for band in range(enter_below.size):
        inside = current != INSUFFICIENT and current <= band
        if health < (leave_above[band] if inside else enter_below[band]):
            return band
    return enter_below.size


@njit(cache=True)
def dwell_of(current: int, target: int, dwell_ms: Ints) -> int:
    """Return how long a move must be wanted before it happens: the dwell of the worse of the two bands, milliseconds."""
    return dwell_ms[min(current, target)]
