"""Since when a row knows a signal: signals that a model change brought are younger than the account.

Such a signal is measured as a new account's would be: its rates are taken over the days it has been counted, and it has no
habit in its first week.
"""

import numpy as np

from scoring import plan as p
from scoring.jit import inlined
from scoring.plan import Plan
from state.layout import FIRST_AT, NO_VALUE
from state.rows import Rows


@inlined
def known_since(plan: Plan, rows: Rows, row: int, signal: int) -> int:
    """Return since when a signal of an account is counted, ms: its first event, or the change that brought the signal."""
    return max(rows.ints[row, FIRST_AT], plan.signals[signal, p.SIGNAL_BORN])


def with_births(plan: Plan, births: np.ndarray) -> Plan:
    """Return a plan whose signals are counted since these instants, ms; NO_VALUE where always. Inputs ripen with them.

    An input's weight grows in a line from none to its own while the longest window behind its value fills.
    """
    signals, inputs = plan.signals.copy(), plan.inputs.copy()
    signals[:, p.SIGNAL_BORN] = births
    for number in range(inputs.shape[0]):
        kind, signal, other = plan.values[number, [p.VALUE_KIND, p.VALUE_SIGNAL, p.VALUE_OTHER]].tolist()
        is_attribute = kind == p.VALUE_ATTRIBUTE
        read = [k for k in ((other,) if is_attribute else (signal, other)) if k >= 0]
        born = max((int(births[k]) for k in read), default=NO_VALUE)
        if born != NO_VALUE:
            inputs[number, p.INPUT_RIPE_AT] = born + inputs[number, p.INPUT_RIPENING]
    return plan._replace(signals=signals, inputs=inputs)
