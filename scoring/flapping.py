"""Flapping: on how many of the last 21 days a rule changed, kept in one whole number beside what its episode is marked with.

::

    bit   0 ......... 20   21         22          23        24         25       26 ...
          today … 20 days  flapping   escalated   overdue   answered   capped   the day that bit 0 speaks of
          ago: 1 = changed

A day weighs from 1.2 (today) in equal steps down to 0.8, so the newest changes count half as much again as the oldest.

References
----------
Nagios Core, "Detection and Handling of State Flapping": 21 results, weights 0.8 to 1.2, two thresholds.
"""

from typing import Final

from numba import njit

SLOTS: Final = 21
DAYS: Final = (1 << SLOTS) - 1
FLAPPING: Final = 1 << 21
ESCALATED: Final = 1 << 22
OVERDUE: Final = 1 << 23
"""Its next step's date has passed, and that was told."""
ANSWERED: Final = 1 << 24
"""Somebody acknowledged it, did a step, or got in touch."""
CAPPED: Final = 1 << 25
"""The account had its share of alerts when it began."""
MARKS: Final = FLAPPING | ESCALATED | OVERDUE | ANSWERED | CAPPED
"""What belongs to one episode."""
DAY_UNIT: Final = 1 << 26
HEAVIEST: Final = 120
"""Weight of today, in hundredths; each day before weighs two less, so that all 21 together are 2100."""


@njit(cache=True)
def days_before(history: int, day: int) -> int:
    """Return the bits of the 21 days that end with a day, whatever day the history was written on."""
    age = day - history // DAY_UNIT
    return 0 if age >= SLOTS else ((history & DAYS) << age) & DAYS


@njit(cache=True)
def changed(history: int, day: int) -> int:
    """Return the history with a change noted on a day; its marks stay."""
    return day * DAY_UNIT + (history & MARKS) + (days_before(history, day) | 1)


@njit(cache=True)
def share(history: int, day: int) -> int:
    """Return the weight of the days with a change, 0 to 2100: 21 for each percent."""
    days, total = days_before(history, day), 0
    for age in range(SLOTS):
        if (days >> age) & 1:
            total += HEAVIEST - 2 * age
    return total
