"""A model compiled to arrays: what the kernel reads instead of code.

`scoring.compile` turns a checked model into a `Plan`. Every table here is a matrix whose columns are named by the
constants above it. Changing a model changes numbers in these arrays and nothing else.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.model import MeasureKind, TermKind, ValueKind

# Columns of `signals`.
SIGNAL_MEASURE: Final = 0
SIGNAL_PLANE: Final = 1
SIGNAL_SLOT: Final = 2
SIGNAL_DECAY: Final = 3
SIGNAL_FIELD: Final = 4
SIGNAL_MINIMUM_SEVERITY: Final = 5
SIGNAL_TOPIC: Final = 6
SIGNAL_COHORT: Final = 7
"""Number of the signal among those with cohort days, or -1."""
SIGNAL_BORN: Final = 8
"""Since when it is counted, ms, where a model change brought it (`state.births`); else the least number there is."""
SIGNAL_FIELDS: Final = 9

MEASURES: Final = tuple(MeasureKind)
COUNT: Final = MEASURES.index(MeasureKind.COUNT)
SUM: Final = MEASURES.index(MeasureKind.SUM)
DISTINCT: Final = MEASURES.index(MeasureKind.DISTINCT)
ACTIVE_DAYS: Final = MEASURES.index(MeasureKind.ACTIVE_DAYS)
LAST: Final = MEASURES.index(MeasureKind.LAST)
OPEN_ITEMS: Final = MEASURES.index(MeasureKind.OPEN_ITEMS)
DAYS_SINCE: Final = MEASURES.index(MeasureKind.DAYS_SINCE)

FIELDS: Final = ("", "quantity", "amount", "score", "seats", "mrr", "user_id", "event")
QUANTITY: Final = 1
AMOUNT: Final = 2
SCORE: Final = 3
SEATS: Final = 4
MRR: Final = 5
USER: Final = 6
EVENT_NAME: Final = 7
UNIT_OF_FIELD: Final = (1, 1_000, 10_000, 1_000, 1, 10_000, 1, 1)
"""Stored whole units per unit of the field: thousandths of a quantity or score, ten-thousandths of an amount."""

PLANE_NONE: Final = 0
PLANE_NARROW: Final = 1
PLANE_WIDE: Final = 2

# What an event does to a signal (`route_role`).
ROLE_ADD: Final = 0
ROLE_OPEN: Final = 1
ROLE_REOPEN: Final = 2
ROLE_CLOSE: Final = 3
ROLE_ESCALATE: Final = 4

# Columns of `values`.
VALUE_KIND: Final = 0
VALUE_SIGNAL: Final = 1
VALUE_OTHER: Final = 2
VALUE_WINDOW: Final = 3
VALUE_LONG_WINDOW: Final = 4
VALUE_COHORT: Final = 5
"""Number of the value's signal among those with cohort days, or -1: calendar days."""
VALUE_BUDGET: Final = 6
"""Of `burn`: the share of events that may be bad, in millionths."""
VALUE_FIELDS: Final = 7
A_DAY: Final = -1
"""Stands in VALUE_WINDOW for the last 24 hours, which only `burn` knows."""

VALUE_KINDS: Final = tuple(ValueKind)
VALUE_LEVEL: Final = VALUE_KINDS.index(ValueKind.LEVEL)
VALUE_RATE: Final = VALUE_KINDS.index(ValueKind.RATE)
VALUE_SUM: Final = VALUE_KINDS.index(ValueKind.SUM)
VALUE_RATIO: Final = VALUE_KINDS.index(ValueKind.RATIO)
VALUE_MOMENTUM: Final = VALUE_KINDS.index(ValueKind.MOMENTUM)
VALUE_SURPRISE: Final = VALUE_KINDS.index(ValueKind.SURPRISE)
VALUE_SILENCE: Final = VALUE_KINDS.index(ValueKind.SILENCE)
VALUE_AGE: Final = VALUE_KINDS.index(ValueKind.AGE)
VALUE_OPEN: Final = VALUE_KINDS.index(ValueKind.OPEN)
VALUE_DAYS_SINCE: Final = VALUE_KINDS.index(ValueKind.DAYS_SINCE)
VALUE_LAST: Final = VALUE_KINDS.index(ValueKind.LAST)
VALUE_SHARE: Final = VALUE_KINDS.index(ValueKind.SHARE)
VALUE_TOTAL: Final = VALUE_KINDS.index(ValueKind.TOTAL)
VALUE_BURN: Final = VALUE_KINDS.index(ValueKind.BURN)
VALUE_ATTRIBUTE: Final = VALUE_KINDS.index(ValueKind.ATTRIBUTE)

ATTRIBUTES: Final = (
    "relationship.champion",
    "relationship.executive",
    "relationship.outcome",
    "days_to_renewal",
    "days_since_start",
    "contacts",
    "strategic_fit",
    "seat_use",
    "seats",
    "days_since_confirmed",
    "days_unconfirmed",
)
ATTRIBUTE_CHAMPION: Final = 0
ATTRIBUTE_EXECUTIVE: Final = 1
ATTRIBUTE_OUTCOME: Final = 2
ATTRIBUTE_DAYS_TO_RENEWAL: Final = 3
ATTRIBUTE_DAYS_SINCE_START: Final = 4
ATTRIBUTE_CONTACTS: Final = 5
ATTRIBUTE_STRATEGIC_FIT: Final = 6
ATTRIBUTE_SEAT_USE: Final = 7
"""Counts the distinct users of the value's signal over 30 days against the seats."""
ATTRIBUTE_SEATS: Final = 8

ATTRIBUTE_CONFIRMED: Final = 9
ATTRIBUTE_UNCONFIRMED: Final = 10

# Columns of `inputs`.
INPUT_CURVE: Final = 0
INPUT_KNOTS: Final = 1
INPUT_VALID_FOR: Final = 2
INPUT_RIPENING: Final = 3
"""How long an input whose signal a model change brought takes to its full weight, ms, > 0 …"""
INPUT_RIPE_AT: Final = 4
"""… and when it has it; else the least number there is."""
INPUT_FIELDS: Final = 5

ALWAYS: Final = -(2**63)
"""Since when: always."""

# `offsets`: where a row's blocks stand (state.layout.Layout).
OFFSET_ENTRY: Final = 0
OFFSET_SIGNALS: Final = 1
OFFSET_OVERRIDES: Final = 2
OFFSET_RULES: Final = 3
OFFSET_CONTACTS: Final = 4

# Columns of `overrides` and `rules`; a program is the number of its first step in `steps`.
OVERRIDE_PROGRAM: Final = 0
OVERRIDE_FOR: Final = 1

RULE_PROGRAM: Final = 0
RULE_FOR: Final = 1
RULE_KEEP: Final = 2
RULE_BAND: Final = 3
RULE_REFRACTORY: Final = 4
RULE_REPEAT: Final = 5
RULE_ESCALATE: Final = 6
RULE_MUTED_BY: Final = 7
"""A bit per rule that mutes this one; all stand before it, and there are fewer than 63 rules."""
RULE_FLAP_ENTER: Final = 8
"""Percent; 0 = flapping is not looked for."""
RULE_FLAP_LEAVE: Final = 9
RULE_EVERY: Final = 10
"""Milliseconds; > 0 = a review."""
RULE_DUE: Final = 11
"""Milliseconds from when it fired until its next step is overdue and passes on; 0 = nobody waits for that."""
RULE_URGENT: Final = 12
"""1 = no cap holds it."""
RULE_CONTACT: Final = 13
"""Number of its playbook among those that cap contacts and pass overdue steps on; -1 = it is none of them."""
RULE_SUPPRESS: Final = 14
"""First of the columns of programs that suppress its outreach; NO_PROGRAM = none."""
SUPPRESSIONS: Final = 4
RULE_FIELDS: Final = RULE_SUPPRESS + SUPPRESSIONS
NO_PROGRAM: Final = -1

# Kinds of variables the programs read (`variables`, column 0); column 1 is the target.
VARIABLE_VALUE: Final = 0
VARIABLE_SUBSCORE: Final = 1
VARIABLE_COVERAGE: Final = 2
VARIABLE_ATTRIBUTE: Final = 3
VARIABLE_HEALTH: Final = 4
"""From this kind on a variable is *late*: known only once health, and at midnight the new close, is."""
VARIABLE_RISK: Final = 5
VARIABLE_EXPANSION: Final = 6
VARIABLE_SLOPE: Final = 7
VARIABLE_ACCELERATION: Final = 8
VARIABLE_CHANGE: Final = 9
VARIABLE_ETA: Final = 10
VARIABLE_IN_BAND: Final = 11
VARIABLE_DAYS_IN_BAND: Final = 12
VARIABLE_VALUE_AT_RISK: Final = 13
VARIABLE_EXPECTED_VALUE: Final = 14
VARIABLE_DIVERGENCE: Final = 15

TERMS: Final = tuple(TermKind)
TERM_HEALTH: Final = TERMS.index(TermKind.HEALTH)
TERM_INPUT: Final = TERMS.index(TermKind.INPUT)
TERM_MOMENTUM: Final = TERMS.index(TermKind.MOMENTUM)
TERM_SLOPE: Final = TERMS.index(TermKind.SLOPE)
TERM_ACCELERATION: Final = TERMS.index(TermKind.ACCELERATION)
TERM_COVERAGE: Final = TERMS.index(TermKind.COVERAGE)
TERM_RENEWAL_NEAR: Final = TERMS.index(TermKind.RENEWAL_NEAR)
TERM_SEAT_USE: Final = TERMS.index(TermKind.SEAT_USE)
TERM_DORMANT: Final = TERMS.index(TermKind.DORMANT)
TERM_STRATEGIC_FIT: Final = TERMS.index(TermKind.STRATEGIC_FIT)

# Places of `constants`.
MINIMUM_COVERAGE: Final = 0
HORIZON_MS: Final = 1
MARGIN: Final = 2
EXPECTED_UPLIFT: Final = 3
ENGAGEMENT_COST: Final = 4
RISKY_FROM: Final = 5
EXPANDING_FROM: Final = 6
ACCOUNT_CAP: Final = 7
"""0 = alerts of an account are not counted."""
ACCOUNT_CAP_DAYS: Final = 8
GROUPS: Final = 9
"""How many groups of inputs are told of."""

# Columns of `scales`.
BASELINE: Final = 0
TOTAL_WEIGHT: Final = 1


class Plan(NamedTuple):
    """A model as arrays.

    Axes: ``signals[signal, SIGNAL_*]``, ``dispersion[signal]``, ``unit[signal]`` (stored whole units per unit),
    ``route_start[code]`` … ``route_start[code + 1]`` into ``route_signal`` and ``route_role`` (what an event does),
    ``values[value, VALUE_*]`` (the inputs' values first, in their order), ``inputs[input, INPUT_*]``,
    ``weights[segment, input]`` and ``scales[segment, BASELINE|TOTAL_WEIGHT]`` (0 = accounts in no segment), ``groups[input]`` (-1 = none), ``references[input]`` (points), ``curve_x``/``curve_y`` (knots of all curves),
    ``overrides[override, OVERRIDE_*]``, ``limits[override, floor|cap]`` (points, NaN = none),
    ``enter_below``/``leave_above``/``dwell_ms[segment, band]`` (worst first, without the best), ``band_rule[band]`` (the rule
    that a band raises, or -1), ``rules[rule, RULE_*]`` (the bands' first), ``steps[step]`` and ``ranges[step, lowest|highest]`` (see `scoring.lowering`),
    ``variables[variable, kind|target]``, ``literals`` (what the programs' slots hold after the variables), ``intercepts[risk|expansion]``, ``bends[risk|expansion, start|knots]`` (into the curves' knots; 0 knots = log-odds as they are), ``terms[term, kind|target]``,
    ``coefficients[term]``, ``term_start``, ``decay_power[decay, age]``, ``decay_total[decay, age]`` (sum of the powers
    1 … age), ``constants``, ``offsets`` (where a row's blocks stand).
    """

    signals: NDArray[np.int64]
    dispersion: NDArray[np.float64]
    unit: NDArray[np.float64]
    route_start: NDArray[np.int64]
    route_signal: NDArray[np.int64]
    route_role: NDArray[np.int64]
    values: NDArray[np.int64]
    inputs: NDArray[np.int64]
    weights: NDArray[np.float64]
    scales: NDArray[np.float64]
    groups: NDArray[np.int64]
    references: NDArray[np.float64]
    curve_x: NDArray[np.float64]
    curve_y: NDArray[np.float64]
    overrides: NDArray[np.int64]
    limits: NDArray[np.float64]
    enter_below: NDArray[np.float64]
    leave_above: NDArray[np.float64]
    dwell_ms: NDArray[np.int64]
    band_rule: NDArray[np.int64]
    rules: NDArray[np.int64]
    steps: NDArray[np.int64]
    ranges: NDArray[np.float64]
    variables: NDArray[np.int64]
    literals: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    bends: NDArray[np.int64]
    terms: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    term_start: NDArray[np.int64]
    decay_power: NDArray[np.float64]
    decay_total: NDArray[np.float64]
    constants: NDArray[np.float64]
    offsets: NDArray[np.int64]
