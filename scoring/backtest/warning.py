"""What the bands said in the days before an outcome: confusion, lead time, who was warned."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOOKBACK_DAYS = 180
"""Days before an outcome that are looked at."""
CONFUSION_DAYS = (60, 90)
LEAD_DAYS = (7, 14, 30, 60, 90)
UNSEEN = -2
"""The account did not exist yet, or the history had not begun."""
INSUFFICIENT = -1

Bands = NDArray[np.int8]


def confusion(bands: Bands, kinds: Sequence[str], names: Sequence[str], days: int) -> dict[str, dict[str, int]]:
    """Return outcome kind → band → accounts that stood in it `days` before their outcome.

    Parameters
    ----------
    bands : int8 [outcome, days before it: 0..LOOKBACK_DAYS], number of the band, INSUFFICIENT or UNSEEN
    kinds : kind of each outcome
    names : names of the bands, the worst first
    days : 0..LOOKBACK_DAYS
    """
    found: dict[str, dict[str, int]] = {}
    for kind in sorted(set(kinds)):
        column = bands[[k for k, own in enumerate(kinds) if own == kind], days]
        counts = {name: int((column == number).sum()) for number, name in enumerate(names)}
        counts["insufficient_data"] = int((column == INSUFFICIENT).sum())
        counts["not_seen_yet"] = int((column == UNSEEN).sum())
        found[kind] = counts
    return found


def lead_days(bands: Bands, green: int) -> NDArray[np.int64]:
    """Return for each outcome how many days before it the account had last left green and stayed out of it.

    0 = it was green, or unknown, on the last day; LOOKBACK_DAYS + 1 = longer than is looked at.
    """
    is_warned = (bands >= 0) & (bands < green)
    ended = ~is_warned
    return np.where(ended.any(axis=1), ended.argmax(axis=1), bands.shape[1]).astype(np.int64)


def lead_time(days: NDArray[np.int64]) -> dict[str, object]:
    """Return how early the warnings came: over those warned, median and quartiles; and the share warned by each lead."""
    warned = days[days > 0]
    quartiles = np.percentile(warned, (25, 50, 75)).tolist() if warned.size else [None] * 3
    return {
        "outcomes": int(days.size),
        "warned": int(warned.size),
        "lower_quartile_days": quartiles[0],
        "median_days": quartiles[1],
        "upper_quartile_days": quartiles[2],
        "warned_ratio_by_days": {str(k): float((days >= k).mean()) if days.size else None for k in LEAD_DAYS},
    }


def band_shares(bands: Bands, names: Sequence[str], every: int = 5) -> dict[str, list[float | None]]:
    """Return band → its share among the known accounts, for every fifth day before the outcome, the nearest first."""
    columns = bands[:, ::every]
    known = (columns >= 0).sum(axis=0)
    return {
        name: [float((columns[:, k] == number).sum() / known[k]) if known[k] else None for k in range(columns.shape[1])]
        for number, name in enumerate(names)
    }
