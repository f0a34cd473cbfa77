"""The arrays of one partition's accounts, as the kernel sees them. Widths come from `state.layout.Layout`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ITEM = np.dtype(
    [
        ("hash", "<u8"),  # the user's, event name's, invoice's or ticket's id
        ("row", "<i4"),
        ("next", "<i4"),  # next item of the same row and kind, -1 = last
        ("link", "<i4"),  # next item of the same hash place, as `slots` counts
        ("signal", "i1"),
        ("opened", "i1"),
        ("severity", "i1"),
        ("touched", "i1"),  # 1 = changed since the cold part of its row was written, so it belongs to the hot part
        ("at", "<i8"),  # distinct: last UTC day seen; open item: due (or opened) at, ms
        ("closed", "<i8"),  # latest close, ms, or NO_VALUE
        ("reopened", "<i8"),  # latest reopening, ms, or NO_VALUE
    ]
)


ITEMS = 0
MASK = 1


class Rows(NamedTuple):
    """The arrays a kernel works on; the first axis of the first nine is the row number.

    Axes: ``ints[row, column]`` and ``derived[row, column]`` (see `state.layout`), ``decays[row, slot*5 + decay]``,
    ``narrow``/``wide[row, day % 91, slot]``, ``closes[row, (day % 15)*contributions + contribution]`` in 1/256 points and ``totals[row, day % 91]``, their sums,
    ``next_due[row]`` ms, ``dirty[row]`` bits; ``items[item]``, ``slots[hash place]`` → item + 1 or 0 (see `state.items`),
    ``used[ITEMS]`` = items in use, ``used[MASK]`` = half of the hash places less one; of `state.busyness`: ``busy_days[day % 192, REFERENCE_DAY|EFFECTIVE_DAY]``,
    ``busyness[day % 192, cohort*signals + signal]`` millionths or NO_VALUE, ``busy_sums[place, DAILY|FAST|SLOW|PLAIN, age]``
    and ``busy_made[place]``, the day they speak of.
    """

    ints: NDArray[np.int64]
    derived: NDArray[np.int64]
    decays: NDArray[np.float64]
    narrow: NDArray[np.int32]
    wide: NDArray[np.int64]
    closes: NDArray[np.int16]
    totals: NDArray[np.int16]
    next_due: NDArray[np.int64]
    dirty: NDArray[np.uint8]
    items: NDArray[np.void]
    slots: NDArray[np.int32]
    used: NDArray[np.int64]
    busy_days: NDArray[np.int64]
    busyness: NDArray[np.int64]
    busy_sums: NDArray[np.float64]
    busy_made: NDArray[np.int64]
