"""What working an account is worth, and which kind of work it asks for: expected value, and risk against expansion.

::

    expansion
        ^   grow     |  protect      where both are high, the most is at stake
        |------------+-----------
        |  maintain  |  rescue
        +------------------------->  risk
"""

import math
from dataclasses import dataclass
from typing import Final

from numba import njit

QUADRANTS: Final = ("maintain", "rescue", "grow", "protect")
MAINTAIN: Final = 0
RESCUE: Final = 1
GROW: Final = 2
PROTECT: Final = 3


@dataclass(frozen=True, slots=True)
class Economics:
    """Figures for expected value where the account names none of its own, and the lines between the quadrants.

    Parameters
    ----------
    expected_uplift
        ≥ 0, extra revenue of an expansion as a share of the account's yearly revenue.
    engagement_cost
        ≥ 0, cost of working one account for one horizon, in the account's currency.
    margin
        0..1, share of revenue that is kept.
    risky_from, expanding_from
        0..1, the risk and the expansion from which an account lies in the upper half of each.
    """

    expected_uplift: float
    engagement_cost: float
    margin: float
    risky_from: float
    expanding_from: float


@njit(cache=True)
def expected_value(risk: float, expansion: float, yearly: float, uplift: float, margin: float, cost: float) -> float:
    """Return P(renew) * net revenue + P(expand) * incremental revenue - cost of engagement.

    Parameters
    ----------
    risk, expansion : float, 0-1, within the model's horizon; NaN = no score
    yearly, uplift : float, >= 0, revenue of a year, and of an expansion, account currency
    margin : float, 0-1, share of revenue that is kept
    cost : float, >= 0, of working the account for one horizon

    Returns
    -------
    float
        Account currency, NaN without a score. Below 0 the work costs more than it may bring.

    Examples
    --------
    >>> expected_value(0.25, 0.5, 1000.0, 200.0, 0.5, 100.0)
    325.0
    """
    return (1.0 - risk) * yearly * margin + expansion * uplift * margin - cost


@njit(cache=True)
def quadrant(risk: float, expansion: float, risky_from: float, expanding_from: float) -> int:
    """Return the number of an account's quadrant in `QUADRANTS`, -1 without a score."""
    if math.isnan(risk) or math.isnan(expansion):
        return -1
    if risk >= risky_from:
        return PROTECT if expansion >= expanding_from else RESCUE
    return GROW if expansion >= expanding_from else MAINTAIN
