"""What a restored row is made whole by: everything that follows from what its records keep."""

import numpy as np

from scoring import plan as p
from scoring.jit import entry_without_gil, part
from scoring.plan import Plan
from state.advance import fit_trajectory, wait_for_next
from state.items import recount_distinct, recount_open
from state.judge import note_rest
from state.layout import (
    AS_OF,
    AWAKE,
    DAY,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    NO_VALUE,
    OPEN_COUNT,
    OPEN_OLDEST,
    SUMS,
    WINDOWS,
)
from state.rows import Rows
from state.tiles import WINDOW_DAYS, decay_sealed, tile


@part
def derive(plan: Plan, rows: Rows, row: int) -> None:
    """Make everything of a restored row that follows from what was kept: sums, open items, decays, slope, due time."""
    day = rows.derived[row, DAY]
    for signal in range(plan.signals.shape[0]):
        base = DERIVED_FIXED + signal * DERIVED_SIGNAL
        if plan.signals[signal, p.SIGNAL_MEASURE] == p.DISTINCT:
            recount_distinct(plan, rows, row, signal)
        for window in range(WINDOWS):
            total = np.int64(0)
            for age in range(WINDOW_DAYS[window]):
                total += tile(plan, rows, row, signal, day - age)
            rows.derived[row, base + SUMS + window] = total
        rows.derived[row, base + OPEN_COUNT] = 0
        rows.derived[row, base + OPEN_OLDEST] = NO_VALUE
        if plan.signals[signal, p.SIGNAL_MEASURE] == p.OPEN_ITEMS:
            recount_open(plan, rows, row, signal)
        if plan.signals[signal, p.SIGNAL_DECAY] >= 0:
            decay_sealed(plan, rows, row, signal)
    fit_trajectory(rows, row)
    rows.derived[row, AWAKE] = 0
    for rule in range(plan.rules.shape[0]):
        note_rest(plan, rows, row, rule, rows.ints[row, AS_OF])
    wait_for_next(plan, rows, row, rows.ints[row, AS_OF])


@entry_without_gil
def derive_all(plan: Plan, rows: Rows, first: int, last: int) -> None:
    """Make what follows from the kept columns of rows ``[first, last)``."""
    for row in range(first, last):
        derive(plan, rows, row)
