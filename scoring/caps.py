"""How many alerts an account began on each of the last seven days, kept in one whole number.

::

    bit   0 … 5   6 … 11      …   36 … 41      42 ...
          today   yesterday       6 days ago   the day that "today" speaks of
"""

from typing import Final

from numba import njit

SLOTS: Final = 7
SLOT_BITS: Final = 6
MOST: Final = (1 << SLOT_BITS) - 1
"""More in a day are not told apart: no cap is higher."""
DAY_UNIT: Final = 1 << (SLOTS * SLOT_BITS)


@njit(cache=True)
def days_before(begun: int, day: int) -> int:
    """Return the slots of the seven days that end with a day, whatever day the number was written on."""
    age = day - begun // DAY_UNIT
    return 0 if age >= SLOTS else ((begun % DAY_UNIT) << (SLOT_BITS * age)) % DAY_UNIT


@njit(cache=True)
def counted(begun: int, day: int) -> int:
    """Return the number with one more alert on a day."""
    slots = days_before(begun, day)
    return day * DAY_UNIT + (slots + 1 if slots & MOST < MOST else slots)


@njit(cache=True)
def total(begun: int, day: int, days: int) -> int:
    """Return how many began on the last ``days`` days, 1 to 7, the given one being the last."""
    slots, found = days_before(begun, day), 0
    for age in range(days):
        found += (slots >> (SLOT_BITS * age)) & MOST
    return found
