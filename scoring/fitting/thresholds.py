"""Band thresholds for a number of calls that people can make."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats, Ints

LOWEST, HIGHEST = 5, 95
MOST_INSIDE = 0.5


@dataclass(frozen=True, slots=True)
class Threshold:
    """A proposal: enter a band below a score, leave it above another.

    Parameters
    ----------
    enter_below, leave_above
        0-100.
    entries_per_step
        Accounts that enter in the mean from one as-of time to the next.
    captured_ratio
        Share of the rows with the outcome that stand in the band, 0-1; None without any.
    """

    enter_below: float
    leave_above: float
    entries_per_step: float
    captured_ratio: float | None


def threshold_for(
    health: Floats, accounts: Ints, at_ms: Ints, happened: Floats, gap: float, budget: float
) -> Threshold | None:
    """Return the highest whole threshold up to which nothing is entered more than `budget` times a step.

    None where even the lowest is. A band that held more than half of the rows would tell nothing, so it ends there too.

    Parameters
    ----------
    health : float64 [row], 0-100, without NaN
    accounts, at_ms : int64 [row]
    happened : float64 [row], 1 where the outcome came
    gap : float, > 0, points between entering and leaving
    budget : float, > 0, entries from one as-of time to the next
    """
    order = np.lexsort((at_ms, accounts))
    sorted_health, sorted_accounts = health[order], accounts[order]
    steps = max(np.unique(at_ms).size, 1)
    positives = happened[order] > 0
    found = None
    for enter in range(LOWEST, HIGHEST + 1):
        inside, entries = _walk(sorted_health, sorted_accounts, enter, enter + gap)
        if entries / steps > budget or inside.sum() > MOST_INSIDE * inside.size:
            break
        captured = float(inside[positives].mean()) if positives.any() else None
        found = Threshold(float(enter), min(enter + gap, 100.0), entries / steps, captured)
    return found


def _walk(health: Floats, accounts: Ints, enter: float, leave: float) -> tuple[NDArray[np.bool_], int]:
    """Return whether each row stands in the band, rows of an account in the order of time, and how often it was entered."""
    # What a row says by itself: in (1), out (-1), or as before (0); "as before" takes the nearest of the same account.
    says = np.where(health < enter, 1, np.where(health >= leave, -1, 0))
    is_first = np.append(True, accounts[1:] != accounts[:-1]) if accounts.size else np.empty(0, bool)
    says = np.where(is_first & (says == 0), -1, says)
    decided = np.maximum.accumulate(np.where(says != 0, np.arange(says.size), 0)) if says.size else np.empty(0, int)
    inside = says[decided] > 0
    entered = inside & (is_first | ~np.append(False, inside[:-1]))
    return inside, int(entered.sum())
