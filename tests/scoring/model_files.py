"""A small model file to change in tests: every part of the language once."""

import tomllib

from scoring.faults import ModelError
from scoring.parse import parse

SMALL = """
name = "small"
version = 1

[signals.activity]
from = "usage"

[signals.invoices]
from = "billing"
measure = "open_items"
open = "invoice_issued"
close = "invoice_paid"

[inputs.adoption]
value = "momentum(activity)"
curve = [[-1.5, 0], [0, 80], [0.5, 100]]
weight = 30

[inputs.champion]
value = "relationship.champion"
categories = { active = 100, at_risk = 40, missing = 0 }
valid_for = "90d"
weight = 10

[[bands]]
name = "red"
enter_below = 40
leave_above = 45

[[bands]]
name = "yellow"
enter_below = 60
leave_above = 66
playbook = "rescue"

[[rules]]
name = "overdue"
when = "age(invoices) > 30d"
playbook = "rescue"

[playbooks.rescue]
steps = ["call"]
"""


def small() -> dict:
    """Return the small model as a mapping that a test may change."""
    return tomllib.loads(SMALL)


def faults_of(content: dict) -> list[str]:
    """Return the lines of the error that parsing raises, none where it is right."""
    try:
        parse(content, "m.toml")
    except ModelError as error:
        return str(error).splitlines()
    return []
