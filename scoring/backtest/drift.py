"""Whether numbers are still spread as they were: the population stability index."""

import numpy as np
from numpy.typing import NDArray

from scoring.arrays import Floats, Ints

BINS = 10
WATCH, ACT = 0.1, 0.25
"""Below the first nothing has moved; from the second on the model speaks of another population."""
FEWEST = 50
"""Rows on either side below which an index says more about chance."""
FLOOR = 1e-4
"""Share that an empty bin counts as, so that one rare value does not make the index infinite."""


def stability(reference: NDArray[np.floating], recent: NDArray[np.floating]) -> float | None:
    """Return the population stability index of two samples, >= 0, 0 = alike; NaN is a bin of its own.

    Bins are tenths of the reference; values that many rows share make fewer, wider ones. None with too few rows.

    References
    ----------
    Siddiqi: "Credit Risk Scorecards" (2006), chapter 9: sum of (p - q) * log(p / q).
    """
    if reference.size < FEWEST or recent.size < FEWEST:
        return None
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if known.size else np.empty(0)
    return _index(*(_counts(sample, edges) / sample.size for sample in (reference, recent)))


def stability_of_counts(reference: Ints, recent: Ints) -> float | None:
    """Return the same of samples of which only is kept how many values fell on each step of a scale.

    Parameters
    ----------
    reference, recent : int64 [step], >= 0, from the lowest step to the highest
    """
    rows = int(reference.sum())
    if rows < FEWEST or recent.sum() < FEWEST:
        return None
    reached = np.cumsum(reference)
    places = np.arange(1, BINS) / BINS * (rows - 1)
    low, high = (np.searchsorted(reached, ends(places), side="right") for ends in (np.floor, np.ceil))
    edges = np.unique(low + (high - low) * (places - np.floor(places)))
    which = np.searchsorted(edges, np.arange(reference.size), side="left")
    return _index(*(np.bincount(which, counts, edges.size + 1) / counts.sum() for counts in (reference, recent)))


def _index(reference: Floats, recent: Floats) -> float:
    """Return the index of two lists of shares."""
    expected, found = np.maximum(reference, FLOOR), np.maximum(recent, FLOOR)
    return float(((found - expected) * np.log(found / expected)).sum())


def _counts(sample: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.int64]:
    which = np.where(np.isnan(sample), edges.size + 1, np.searchsorted(edges, sample, side="left"))
    return np.bincount(which.astype(np.int64), minlength=edges.size + 2)


def verdict(index: float | None) -> str:
    """Return `unknown`, `steady`, `watch` or `moved` for a stability index."""
    if index is None:
        return "unknown"
    return "steady" if index < WATCH else "watch" if index < ACT else "moved"
