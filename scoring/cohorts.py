"""How busy a day was for a cohort: the arithmetic behind values that count cohort days.

An account's *pace* on a day is what it did against its own habit, at most `PACE_LIMIT`. The mean pace of a cohort's living
accounts is the day's *busyness*: about 1 on a usual day, near 0 when everybody is away. As habits are themselves counted
in cohort days, the index is chained like a price index: a long holiday does not make the days after it look busier.

Every account weighs the same, and no account more than `PACE_LIMIT`, so one integration that runs day and night cannot
speak for a segment. Few accounts say little: a segment leans on everybody, everybody on 1, each with the weight of
`PRIOR_ACCOUNTS`. A day nobody has reported yet counts like the same weekday usually did.
"""

from typing import Final

from numba import njit

PACE_LIMIT: Final = 4.0
"""Times its habit: what one account can say about a day at most."""
PACE_UNIT: Final = 1_000
"""Paces are summed in thousandths, so that sums do not depend on their order."""
BUSYNESS_UNIT: Final = 1_000_000
PRIOR_ACCOUNTS: Final = 10
"""Accounts' worth of trust in the wider cohort: with ten of its own a segment counts half."""
LONG_SILENCE: Final = 6.0
LONG_SILENCE_DAYS: Final = 7.0
"""Events missed (6 are one in 400 by chance) and cohort days without any, beyond which an account says nothing about the
days any more: it is leaving. Events alone would not do: who comes hourly has missed dozens before a holiday is known."""
LEAST_EXPOSURE_DAYS: Final = 3.0
"""Cohort days below which a recent rate leans on the habit: in a holiday there is too little to tell."""
RELATIVE_DORMANT_DAYS: Final = 84
"""Calendar days of silence after which too little is left of the habit to compare with, however long the holidays were."""


def busyness(accounts: int, paces: int, prior: int) -> int:
    """Return a day's busyness in millionths.

    Parameters
    ----------
    accounts
        Accounts that were counted, ≥ 0.
    paces
        Sum of their paces, thousandths, ≥ 0.
    prior
        Busyness of the wider cohort, millionths; `BUSYNESS_UNIT` where there is none.

    Examples
    --------
    >>> busyness(0, 0, 1_000_000), busyness(10, 0, 1_000_000), busyness(990, 0, 1_000_000)
    (1000000, 500000, 10000)
    """
    return (paces * (BUSYNESS_UNIT // PACE_UNIT) + PRIOR_ACCOUNTS * prior) // (accounts + PRIOR_ACCOUNTS)


@njit(cache=True)
def middle_of(first: int, second: int, third: int) -> int:
    """Return the median of three numbers: one odd week among the last three does not count."""
    return max(min(first, second), min(max(first, second), third))


@njit(cache=True)
def leaned_rate(amount: float, exposure: float, calendar_exposure: float, habit: float) -> float:
    """Return a recent rate per cohort day that leans on the habit where cohort days are few.

    Parameters
    ----------
    amount : float, >= 0, events counted
    exposure : float, >= 0, cohort days they were counted over
    calendar_exposure : float, >= 0, calendar days they were counted over
    habit : float, >= 0, the usual rate per cohort day

    Returns
    -------
    float
        Events per cohort day. Up to `LEAST_EXPOSURE_DAYS` of the exposure (as far as the calendar has them) are filled
        up with the habit; a history shorter than a day counts as a day.
    """
    missing = max(min(LEAST_EXPOSURE_DAYS, calendar_exposure) - exposure, 0.0)
    return (amount + habit * missing) / max(exposure + missing, 1.0)
