"""Daily tiles: 91 whole-day numbers a signal, and the window sums that follow from them exactly.

A window of w days holds the UTC days ``day - w + 1 .. day``, today included. A tile's place in the ring is its day
number modulo 91, and the tiles of one day lie side by side, signal after signal, for a midnight reads four days of all::

    day:      d-90  d-89  ....  d-1   d(today)
    90 d            |<------------------->|
    tile ring  kept for late events, all 91

Counts live in 32-bit tiles, sums of quantities and amounts in 64-bit ones. Sums are integers: adding and taking away
leave no rounding behind, so late and early events give the same state.
"""

import numpy as np

from scoring.jit import inlined, part
from scoring.plan import (
    OFFSET_SIGNALS,
    PLANE_NARROW,
    PLANE_NONE,
    PLANE_WIDE,
    SIGNAL_DECAY,
    SIGNAL_PLANE,
    SIGNAL_SLOT,
    Plan,
)
from state.layout import (
    ANCHOR,
    BURST,
    DAY,
    DAY_MS,
    DECAY_COLUMNS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    LAST_AT,
    SIGNAL_COLUMNS,
    SUMS,
    TILE_DAYS,
    WINDOWS,
)
from state.rows import Rows

WINDOW_DAYS = np.array([7, 14, 30, 90])


@inlined
def tile(plan: Plan, rows: Rows, row: int, signal: int, day: int) -> int:
    """Return what a signal counted on one UTC day, in its whole units; 0 for a signal without tiles."""
    plane = plan.signals[signal, SIGNAL_PLANE]
    slot = plan.signals[signal, SIGNAL_SLOT]
    if plane == PLANE_NARROW:
        return np.int64(rows.narrow[row, day % TILE_DAYS, slot])
    if plane == PLANE_WIDE:
        return rows.wide[row, day % TILE_DAYS, slot]
    return np.int64(0)


@inlined
def add_to_tile(plan: Plan, rows: Rows, row: int, signal: int, day: int, amount: int) -> None:
    """Add to one day's tile and to every window that covers the day. The day lies within the ring. O(1)."""
    slot = plan.signals[signal, SIGNAL_SLOT]
    if plan.signals[signal, SIGNAL_PLANE] == PLANE_NARROW:
        rows.narrow[row, day % TILE_DAYS, slot] += np.int32(amount)
    else:
        rows.wide[row, day % TILE_DAYS, slot] += amount
    age = rows.derived[row, DAY] - day
    base = DERIVED_FIXED + signal * DERIVED_SIGNAL + SUMS
    for window in range(WINDOWS):
        if age < WINDOW_DAYS[window]:
            rows.derived[row, base + window] += amount
    if age > 0 and plan.signals[signal, SIGNAL_DECAY] >= 0:
        decay_sealed(plan, rows, row, signal)


@part
def decay_sealed(plan: Plan, rows: Rows, row: int, signal: int) -> None:
    """Make the decayed sums of the sealed days again, oldest day first: a fixed order, so a fixed last bit. O(90).

    The sums count back from the last sealed day that is not 0 (`ANCHOR`), so a silent day changes none of them. Beside
    them goes the burst size, the sealed days' sum of squares over their sum: for events that come one by one it is the
    daily mean plus 1, for events that come by the dozen the mean plus the dozen.
    """
    day = rows.derived[row, DAY]
    today = day % TILE_DAYS
    plane = plan.signals[signal, SIGNAL_PLANE]
    slot = plan.signals[signal, SIGNAL_SLOT]
    first = 1
    while first < TILE_DAYS and ring_tile(rows, row, plane, slot, today, first) == 0:
        first += 1
    fast = middle = slow = total = squares = 0.0
    for age in range(TILE_DAYS - 1, first - 1, -1):
        amount = float(ring_tile(rows, row, plane, slot, today, age))
        if amount == 0.0:
            continue  # adds nothing, and most days of most accounts are such days
        fast += amount * plan.decay_power[0, age - first]
        middle += amount * plan.decay_power[1, age - first]
        slow += amount * plan.decay_power[2, age - first]
        total += amount
        squares += amount * amount
    base = plan.signals[signal, SIGNAL_DECAY] * DECAY_COLUMNS
    rows.decays[row, base] = fast
    rows.decays[row, base + 1] = middle
    rows.decays[row, base + 2] = slow
    rows.decays[row, base + BURST] = squares / total if total > 0.0 else 0.0
    rows.decays[row, base + ANCHOR] = day - first


@inlined
def decayed(plan: Plan, rows: Rows, row: int, signal: int, decay: int) -> float:
    """Return a decayed sum of the sealed days as of the row's day, in the signal's whole units; 0-2 is 7, 28, 90 days."""
    base = plan.signals[signal, SIGNAL_DECAY] * DECAY_COLUMNS
    age = np.int64(rows.derived[row, DAY] - rows.decays[row, base + ANCHOR])
    return rows.decays[row, base + decay] * plan.decay_power[decay, age] if age < TILE_DAYS else 0.0


@inlined
def ring_tile(rows: Rows, row: int, plane: int, slot: int, today: int, age: int) -> int:
    """Return the tile so many days (0 to 90) before the ring's place of today."""
    place = today - age
    if place < 0:
        place += TILE_DAYS
    return np.int64(rows.narrow[row, place, slot]) if plane == PLANE_NARROW else rows.wide[row, place, slot]


@inlined
def roll_day(plan: Plan, rows: Rows, row: int) -> None:
    """Seal today and open the next UTC day: the oldest tile falls out, sums lose the day that leaves their window."""
    day = rows.derived[row, DAY] + 1
    rows.derived[row, DAY] = day
    today = day % TILE_DAYS
    for signal in range(plan.signals.shape[0]):
        plane = plan.signals[signal, SIGNAL_PLANE]
        if plane == PLANE_NONE:
            continue
        last_at = rows.ints[row, plan.offsets[OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT]
        if last_at < (day - TILE_DAYS) * DAY_MS:
            continue  # all its tiles are 0
        base = DERIVED_FIXED + signal * DERIVED_SIGNAL + SUMS
        slot = plan.signals[signal, SIGNAL_SLOT]
        for window in range(WINDOWS):
            if rows.derived[row, base + window] != 0:
                rows.derived[row, base + window] -= ring_tile(rows, row, plane, slot, today, WINDOW_DAYS[window])
        fallen = ring_tile(rows, row, plane, slot, today, 0)
        if fallen != 0:
            if plane == PLANE_NARROW:
                rows.narrow[row, today, slot] = 0
            else:
                rows.wide[row, today, slot] = 0
        if plan.signals[signal, SIGNAL_DECAY] >= 0 and (
            fallen != 0 or ring_tile(rows, row, plane, slot, today, 1) != 0
        ):
            decay_sealed(plan, rows, row, signal)
