"""Cohort days: how busy each day was for a row's cohort, and how many such days lie in a span.

The table holds the references of the last `REFERENCE_DAYS` days. A reference counts for evaluations from its own
`effective` day on and never for earlier ones, whenever those are run: a row that is brought to the clock again on
restore meets what it met before. What a row needs are sums over ages, which are made once for a cohort, signal and day::

    age      0 (today)   1 ..... q-1   q ............ sealed
             elapsed     quiet days    history
"""

from scoring.cohorts import BUSYNESS_UNIT, middle_of
from scoring.jit import inlined, part
from scoring.plan import Plan
from state.layout import DAY, NO_VALUE, SEGMENT, TILE_DAYS
from state.rows import Rows

REFERENCE_DAYS = 192
"""A row is written at least every `WRITTEN_DAYS`, then 91 days before, the three weeks a forecast looks back, and room."""
WRITTEN_DAYS = 28
SUM_DAYS = 4
"""Days for which sums are kept at once: rows stand on the clock's day or beside it."""
COHORTS = 32
"""Everybody, and the first 31 segments of a partition; the accounts of further ones are compared with everybody."""

# Places in `busy_days`.
REFERENCE_DAY = 0
EFFECTIVE_DAY = 1

# Rows of `busy_sums`: each age's busyness, and its sums over the ages from 1 on: decayed over 7 and 90 days, and plain.
DAILY = 0
FAST = 1
SLOW = 2
PLAIN = 3


@part
def reference(rows: Rows, column: int, day: int, as_of_day: int) -> int:
    """Return a day's busyness in millionths as an evaluation on `as_of_day` may know it, NO_VALUE where it may not."""
    place = day % REFERENCE_DAYS
    if rows.busy_days[place, REFERENCE_DAY] != day or rows.busy_days[place, EFFECTIVE_DAY] > as_of_day:
        return NO_VALUE
    return rows.busyness[place, column]


@part
def busyness_of(rows: Rows, column: int, day: int, as_of_day: int) -> float:
    """Return a day's busyness: as reported, else the middle of the same weekday's last three, else 1."""
    own = reference(rows, column, day, as_of_day)
    if own == NO_VALUE:
        first = reference(rows, column, day - 7, as_of_day)
        second = reference(rows, column, day - 14, as_of_day)
        third = reference(rows, column, day - 21, as_of_day)
        if first == NO_VALUE or second == NO_VALUE or third == NO_VALUE:
            return 1.0
        own = middle_of(first, second, third)
    return own / BUSYNESS_UNIT


@inlined
def sums_place(plan: Plan, rows: Rows, row: int, cohort_signal: int) -> int:
    """Return where the sums of a row's cohort on its day stand in `busy_sums`, made now if they are not there."""
    day = rows.derived[row, DAY]
    column = max(rows.ints[row, SEGMENT], 0) * (rows.busyness.shape[1] // COHORTS) + cohort_signal
    place = column * SUM_DAYS + day % SUM_DAYS
    if rows.busy_made[place] != day:
        fast = slow = plain = 0.0
        rows.busy_sums[place, DAILY, 0] = busyness_of(rows, column, day, day)
        for kind in (FAST, SLOW, PLAIN):
            rows.busy_sums[place, kind, 0] = 0.0
        for age in range(1, TILE_DAYS):
            busy = busyness_of(rows, column, day - age, day)
            fast += busy * plan.decay_power[0, age]
            slow += busy * plan.decay_power[2, age]
            plain += busy
            rows.busy_sums[place, DAILY, age] = busy
            rows.busy_sums[place, FAST, age] = fast
            rows.busy_sums[place, SLOW, age] = slow
            rows.busy_sums[place, PLAIN, age] = plain
        rows.busy_made[place] = day
    return place
