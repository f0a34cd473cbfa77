"""Intervals by a bootstrap over accounts: rows of one account come and go together, since they are not independent."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from scoring.arrays import Floats, Ints

Draw: TypeAlias = Callable[[int], Ints]
"""Given n, returns n random numbers of 0 … n - 1, each as likely as the next, with repeats."""
ROUNDS = 200
FEWEST_ROUNDS = 20
"""A figure that fewer resamples could give (a rare outcome may be missing from most) gets no interval."""


def intervals(
    figures: Callable[[Floats], Mapping[str, float | None]],
    accounts: Ints,
    draw: Draw,
    rounds: int = ROUNDS,
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each figure.

    Parameters
    ----------
    figures
        Takes the weights of the rows, gives name → figure; None = has no value with these rows.
    accounts
        int64 [row], number of the account a row is of, from 0.
    draw
        Source of chance; the same one gives the same intervals.
    rounds
        Resamples, > 0.

    References
    ----------
    Davison and Hinkley: "Bootstrap Methods and their Application" (1997), 3.8: resampling whole clusters.
    """
    n_accounts = int(accounts.max()) + 1 if accounts.size else 0
    found: dict[str, list[float]] = {}
    for _ in range(rounds if n_accounts else 0):
        drawn = np.bincount(draw(n_accounts), minlength=n_accounts)
        for name, figure in figures(drawn[accounts].astype(np.float64)).items():
            if figure is not None:
                found.setdefault(name, []).append(figure)
    return {
        name: (float(np.quantile(each, 0.025)), float(np.quantile(each, 0.975)))
        for name, each in found.items()
        if len(each) >= FEWEST_ROUNDS
    }
