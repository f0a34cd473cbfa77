"""The score of one row at one instant, and its limits until midnight.

health = baseline + contributions of the inputs + missing data + override and clamp, exactly. An input contributes its
share of the weight times its distance from its reference, the sub-score of a healthy account. Weight without data is
shared out among the inputs that have some; what that moves is the contribution "missing data".
"""

import math

import numpy as np
from numpy.typing import NDArray

from scoring import plan as p
from scoring.arrays import Ints
from scoring.curves import interpolate
from scoring.economics import expected_value
from scoring.jit import entry, inlined
from scoring.plan import Plan
from scoring.propensity import logistic
from scoring.trajectory import days_to_cross, dormancy
from scoring.vm import holds
from state.layout import (
    ACCELERATION,
    AMOUNT_UNIT,
    ARR,
    AS_OF,
    BAND,
    BAND_SINCE,
    CLOSE_UNIT,
    CLOSED,
    CONTACTS,
    DAY,
    DAY_MS,
    ENGAGEMENT_COST,
    EXPECTED_UPLIFT,
    MANUAL_HEALTH,
    MANUAL_UNTIL,
    MICRO,
    MODEL_SEGMENT,
    NO_CLOSE,
    NO_VALUE,
    RENEWAL_AT,
    SLOPE,
    STRATEGIC_FIT,
    TILE_DAYS,
)
from state.measure import attribute, validity, value_at
from state.rows import Rows
from state.work import (
    PICTURE_ACCELERATION,
    PICTURE_COVERAGE,
    PICTURE_EXPANSION,
    PICTURE_FIXED,
    PICTURE_HEALTH,
    PICTURE_RISK,
    PICTURE_SLOPE,
    Work,
)


@inlined
def rounded(number: float) -> float:
    """Return a number as decisions and output see it: to a millionth."""
    return math.floor(number * MICRO + 0.5) / MICRO


@inlined
def close_health(plan: Plan, rows: Rows, row: int, day: int) -> float:
    """Return health at the end of a UTC day as it was kept then, NaN where there was none; the last 91 days are kept."""
    total = rows.totals[row, day % TILE_DAYS]
    if total == NO_CLOSE or day >= rows.derived[row, DAY] or day < rows.derived[row, DAY] - TILE_DAYS:
        return math.nan
    return plan.scales[rows.derived[row, MODEL_SEGMENT], p.BASELINE] + total / CLOSE_UNIT


@inlined
def extra_revenue(plan: Plan, rows: Rows, row: int, yearly: float) -> float:
    """Return what an expansion adds to an account's yearly revenue, by its own figure where it states one."""
    uplift = rows.ints[row, EXPECTED_UPLIFT]
    return yearly * plan.constants[p.EXPECTED_UPLIFT] if uplift == NO_VALUE else uplift / AMOUNT_UNIT


@inlined
def account_value(plan: Plan, rows: Rows, row: int, risk: float, expansion: float) -> float:
    """Return what working an account for one horizon may bring, by its own figures where it states any; NaN without."""
    if rows.ints[row, ARR] == NO_VALUE:
        return math.nan
    yearly = rows.ints[row, ARR] / AMOUNT_UNIT
    cost = rows.ints[row, ENGAGEMENT_COST]
    extra = extra_revenue(plan, rows, row, yearly)
    spent = plan.constants[p.ENGAGEMENT_COST] if cost == NO_VALUE else cost / AMOUNT_UNIT
    return expected_value(risk, expansion, yearly, extra, plan.constants[p.MARGIN], spent)


@inlined
def fill_variable(
    plan: Plan, rows: Rows, work: Work, row: int, which: int, at_ms: int, health: float, risk: float, expansion: float
) -> float:
    """Return one variable of the rules at an instant; `work.values` and `work.subscores` are filled."""
    kind = plan.variables[which, 0]
    target = plan.variables[which, 1]
    if kind == p.VARIABLE_VALUE:
        return work.values[target]
    if kind == p.VARIABLE_SUBSCORE:
        return work.subscores[target]
    if kind == p.VARIABLE_HEALTH:
        return health
    if kind == p.VARIABLE_RISK:
        return risk
    if kind == p.VARIABLE_EXPANSION:
        return expansion
    if kind == p.VARIABLE_COVERAGE:
        return work.score[PICTURE_COVERAGE]
    if kind == p.VARIABLE_SLOPE or kind == p.VARIABLE_ACCELERATION:
        micro = rows.derived[row, SLOPE if kind == p.VARIABLE_SLOPE else ACCELERATION]
        return math.nan if micro == NO_VALUE else micro / MICRO
    if kind == p.VARIABLE_CHANGE:
        return health - close_health(plan, rows, row, rows.derived[row, DAY] - target)
    if kind == p.VARIABLE_ETA:
        micro = rows.derived[row, SLOPE]
        threshold = plan.enter_below[rows.derived[row, MODEL_SEGMENT], target]
        return days_to_cross(health, threshold, math.nan if micro == NO_VALUE else micro / MICRO)
    if kind == p.VARIABLE_IN_BAND:
        return 1.0 if rows.ints[row, BAND] == target else 0.0
    if kind == p.VARIABLE_DAYS_IN_BAND:
        return (at_ms - rows.ints[row, BAND_SINCE]) / DAY_MS if rows.ints[row, BAND] >= 0 else math.nan
    if kind == p.VARIABLE_DIVERGENCE:
        is_stated = rows.ints[row, MANUAL_HEALTH] != NO_VALUE and at_ms < rows.ints[row, MANUAL_UNTIL]
        return work.contributions[work.contributions.size - 1] if is_stated else math.nan
    if kind == p.VARIABLE_EXPECTED_VALUE:
        return account_value(plan, rows, row, risk, expansion)
    if kind == p.VARIABLE_VALUE_AT_RISK:
        yearly = rows.ints[row, ARR]
        return math.nan if yearly == NO_VALUE else risk * yearly / AMOUNT_UNIT
    return attribute(rows, row, target, at_ms)


@inlined
def override_stands(plan: Plan, rows: Rows, row: int, which: int, is_true: bool, at_ms: int) -> bool:
    """Return whether an override applies: its condition holds, and its time, if it has one, is not over."""
    if not is_true:
        return False
    lasts = plan.overrides[which, p.OVERRIDE_FOR]
    since = rows.ints[row, plan.offsets[p.OFFSET_OVERRIDES] + which]
    return lasts == 0 or since == 0 or at_ms < since + lasts


@inlined
def apply_limits(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, health: float) -> float:
    """Return health after floors, caps and a person's override; `work.truths` tells which conditions hold."""
    for pass_caps in range(2):
        for which in range(plan.overrides.shape[0]):
            limit = plan.limits[which, pass_caps]
            if math.isnan(limit):
                continue
            if override_stands(plan, rows, row, which, work.truths[which] != 0, at_ms):
                health = min(health, limit) if pass_caps == 1 else max(health, limit)
    if rows.ints[row, MANUAL_HEALTH] != NO_VALUE and at_ms < rows.ints[row, MANUAL_UNTIL]:
        health = rows.ints[row, MANUAL_HEALTH] / MICRO
    return min(max(health, 0.0), 100.0)


@inlined
def term_scale(plan: Plan, rows: Rows, work: Work, row: int, which: int, at_ms: int) -> float:
    """Return a propensity term that neither health nor an input moves; 0 without data."""
    kind = plan.terms[which, 0]
    if kind == p.TERM_MOMENTUM:
        value = work.values[plan.terms[which, 1]]
        return 0.0 if math.isnan(value) else value
    if kind == p.TERM_SLOPE or kind == p.TERM_ACCELERATION:
        micro = rows.derived[row, SLOPE if kind == p.TERM_SLOPE else ACCELERATION]
        return 0.0 if micro == NO_VALUE else micro / MICRO
    if kind == p.TERM_RENEWAL_NEAR:
        renewal_at = rows.ints[row, RENEWAL_AT]
        if renewal_at == NO_VALUE or renewal_at < at_ms:
            return 0.0
        return max(1.0 - (renewal_at - at_ms) / plan.constants[p.HORIZON_MS], 0.0)
    if kind == p.TERM_SEAT_USE:
        value = work.values[plan.terms[which, 1]]
        return 0.0 if math.isnan(value) else value - 0.75
    if kind == p.TERM_DORMANT:
        value = work.values[plan.terms[which, 1]]
        return 0.0 if math.isnan(value) else dormancy(value)
    if kind == p.TERM_STRATEGIC_FIT:
        fit = rows.ints[row, STRATEGIC_FIT]
        return 0.0 if fit == NO_VALUE else fit / MICRO - 0.5
    contacts = rows.ints[row, CONTACTS]
    return 0.0 if contacts == NO_VALUE else (min(contacts, 5) - 2.0) / 3.0


@inlined
def term_amount(plan: Plan, rows: Rows, work: Work, row: int, which: int, at_ms: int, health: float) -> float:
    """Return what a propensity term's coefficient multiplies; `work` holds the score, 0 without data."""
    kind = plan.terms[which, 0]
    target = plan.terms[which, 1]
    if kind == p.TERM_HEALTH:
        return (health - plan.scales[rows.derived[row, MODEL_SEGMENT], p.BASELINE]) / 100.0
    if kind == p.TERM_INPUT:
        if work.weights[target] > 0.0:
            return (work.subscores[target] - plan.references[target]) / 100.0
        return 0.0
    if kind == p.TERM_COVERAGE:
        return work.score[PICTURE_COVERAGE] - 1.0
    return term_scale(plan, rows, work, row, which, at_ms)


@inlined
def propensity_at(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int, which: int, health: float) -> float:
    """Return risk (0) or expansion (1), 0-1, NaN without a health."""
    if math.isnan(health):
        return math.nan
    log_odds = plan.intercepts[which]
    for term in range(plan.term_start[which], plan.term_start[which + 1]):
        log_odds += plan.coefficients[term] * term_amount(plan, rows, work, row, term, at_ms, health)
    if plan.bends[which, 1] > 0:
        log_odds = interpolate(plan.curve_x, plan.curve_y, plan.bends[which, 0], plan.bends[which, 1], log_odds)
    return rounded(logistic(log_odds))


@inlined
def measure_health(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Find a row's health at an instant of its day (0-100, to a millionth; NaN = insufficient data).

    Fills `work`: values, sub-scores, weights, contributions, the variables that are not late, the overrides' truths,
    health and coverage.
    Changes no row.
    """
    inputs = plan.inputs.shape[0]
    segment = rows.derived[row, MODEL_SEGMENT]
    for signal in range(plan.signals.shape[0]):
        work.usual[signal] = math.nan
        work.recent[signal] = math.nan
    for which in range(plan.values.shape[0]):
        work.values[which] = value_at(plan, rows, work, row, which, at_ms)
    total = weighted = referenced = 0.0
    for which in range(inputs):
        value = work.values[which]
        weight = 0.0
        if math.isnan(value):
            work.subscores[which] = math.nan
        else:
            weight = plan.weights[segment, which] * validity(plan, rows, row, which, at_ms)
            curve = plan.inputs[which, p.INPUT_CURVE]
            knots = plan.inputs[which, p.INPUT_KNOTS]
            subscore = interpolate(plan.curve_x, plan.curve_y, curve, knots, value)
            work.subscores[which] = subscore
            total += weight
            weighted += weight * subscore
            referenced += weight * plan.references[which]
        work.weights[which] = weight
    work.score[PICTURE_COVERAGE] = rounded(total / plan.scales[segment, p.TOTAL_WEIGHT])
    health = math.nan
    if total > 0.0 and work.score[PICTURE_COVERAGE] >= plan.constants[p.MINIMUM_COVERAGE]:
        health = weighted / total
    for which in range(plan.variables.shape[0]):
        if plan.variables[which, 0] < p.VARIABLE_HEALTH:
            work.variables[which] = fill_variable(plan, rows, work, row, which, at_ms, 0.0, 0.0, 0.0)
        else:
            work.variables[which] = math.nan
    for which in range(plan.overrides.shape[0]):
        work.truths[which] = holds(plan.steps, plan.ranges, plan.overrides[which, p.OVERRIDE_PROGRAM], work.variables)
    baseline = plan.scales[segment, p.BASELINE]
    if math.isnan(health):
        for which in range(inputs + 2):
            work.contributions[which] = 0.0
    else:
        unlimited = baseline
        for which in range(inputs):
            share = 0.0
            if work.weights[which] > 0.0:
                share = work.weights[which] * (work.subscores[which] - plan.references[which]) / total
            work.contributions[which] = share
            unlimited += share
        work.contributions[inputs] = referenced / total - baseline
        unlimited += work.contributions[inputs]
        health = rounded(apply_limits(plan, rows, work, row, at_ms, health))
        work.contributions[inputs + 1] = health - unlimited
    work.score[PICTURE_HEALTH] = health


@inlined
def finish_score(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Add probabilities and trajectory to the score in `work`."""
    health = work.score[PICTURE_HEALTH]
    work.score[PICTURE_RISK] = propensity_at(plan, rows, work, row, at_ms, 0, health)
    work.score[PICTURE_EXPANSION] = propensity_at(plan, rows, work, row, at_ms, 1, health)
    slope = rows.derived[row, SLOPE]
    acceleration = rows.derived[row, ACCELERATION]
    work.score[PICTURE_SLOPE] = math.nan if slope == NO_VALUE else slope / MICRO
    work.score[PICTURE_ACCELERATION] = math.nan if acceleration == NO_VALUE else acceleration / MICRO


@inlined
def score_at(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Score a row at an instant of its day: fills `work`, changes no row."""
    measure_health(plan, rows, work, row, at_ms)
    finish_score(plan, rows, work, row, at_ms)


@inlined
def fill_late_variables(plan: Plan, rows: Rows, work: Work, row: int, at_ms: int) -> None:
    """Fill the variables that depend on health and band, after `score_at` and the band's move."""
    health = work.score[PICTURE_HEALTH]
    for which in range(plan.variables.shape[0]):
        if plan.variables[which, 0] >= p.VARIABLE_HEALTH:
            work.variables[which] = fill_variable(
                plan, rows, work, row, which, at_ms, health, work.score[PICTURE_RISK], work.score[PICTURE_EXPANSION]
            )


@entry
def score_many(
    plan: Plan,
    rows: Rows,
    work: Work,
    chosen: NDArray[np.int64],
    clock_ms: int,
    pictures: NDArray[np.float64],
    at: Ints,
) -> None:
    """Score rows as of the clock or their own later time, for output; changes no row.

    Parameters
    ----------
    pictures : float64 array [row of `chosen`, as in `Work.pictures`], written but for the contributions before
    at : int64 array [row of `chosen`], written: the as-of time, ms
    """
    for k in range(chosen.size):
        row = chosen[k]
        as_of = rows.ints[row, AS_OF]
        if rows.ints[row, CLOSED] == 0:
            as_of = max(as_of, clock_ms)
        at[k] = as_of
        score_at(plan, rows, work, row, as_of)
        for j in range(PICTURE_FIXED):
            pictures[k, j] = work.score[j]
        place = PICTURE_FIXED
        for source in (work.values, work.subscores, work.contributions):
            for j in range(source.size):
                pictures[k, place + j] = source[j]
            place += source.size
