"""The models that simulated people publish: the one the simulation begins with, one that decides otherwise, one that counts otherwise."""

from pathlib import Path

from tests.state.switches import record_of

FIRST = (Path(__file__).parent / "model.toml").read_text(encoding="utf-8")
STRICTER = (
    FIRST.replace("version = 1", "version = 2")
    .replace("enter_below = 45", "enter_below = 55")
    .replace("leave_above = 48", "leave_above = 58")
    .replace('for = "2h"', 'for = "9h"')
    .replace('name = "noisy"', 'name = "loud"')
)
NARROWER = (
    FIRST.replace("version = 1", "version = 3")
    .replace('measure = "sum(quantity)"', 'measure = "sum(quantity)"\nevents = ["export", "report"]')
    .replace("[inputs.recency]", "[inputs.lately]")
    .replace('name = "yellow"', 'name = "amber"')
)
PUBLISHED = tuple(record_of(text, number) for number, text in enumerate((FIRST, STRICTER, NARROWER), 1))
"""Values of records of `models`."""
