"""Scratch room and output of the kernel: reused at every evaluation, so that the hot path allocates nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.plan import Plan
from state.layout import ROW_TOPICS, Layout

# Columns of `moves`: one line per announced change of a rule's state.
MOVE_ROW = 0
MOVE_RULE = 1
MOVE_STATE = 2
MOVE_AT = 3
MOVE_EPISODE = 4
MOVE_SEQUENCE = 5
MOVE_FROM_BAND = 6
MOVE_TO_BAND = 7
MOVE_BEFORE_DAYS = 8
MOVE_RESOLUTION = 9
MOVE_MARKS = 10
MOVE_FIRED = 11
MOVE_SEGMENT = 12
MOVE_POSITIONS = 13
MOVE_COLUMNS = MOVE_POSITIONS + ROW_TOPICS

# Bits of MOVE_MARKS.
MARK_ESCALATED = 1
MARK_FLAPPING = 2
MARK_REPEATED = 4
MARK_OVERDUE = 8
MARK_CAPPED = 16
MARK_SUPPRESSED = 32
"""The first of as many bits as a playbook may have suppressions; they stand above all others."""

RESOLUTION_CONDITION = 0
RESOLUTION_CLOSED = 1
RESOLUTION_COMMAND = 2
RESOLUTION_MODEL = 3
RESOLUTION_SEGMENT = 4

# Columns of the fixed part of `pictures`, the score as it stood at a move; then values, sub-scores, contributions, before.
PICTURE_HEALTH = 0
PICTURE_RISK = 1
PICTURE_EXPANSION = 2
PICTURE_COVERAGE = 3
PICTURE_SLOPE = 4
PICTURE_ACCELERATION = 5
PICTURE_FIXED = 6

# Places of `counts`.
COUNT_MOVES = 0
COUNT_SKIPPED = 1
COUNT_EVALUATIONS = 2
COUNT_BAND_CHANGES = 3
COUNT_UNTRACKED = 4
COUNTS = 5


class Work(NamedTuple):
    """Scratch and output arrays.

    ``values[value]``, ``usual[signal]`` and ``recent[signal]`` (rates per cohort day of the evaluation at hand, NaN = not asked
    for yet), ``truths[override]`` (whether its condition holds), ``subscores[input]``, ``contributions[input, then missing data, then override and clamp]``,
    ``variables[slot]`` of the conditions: variables, literals and intermediate results; ``score[PICTURE_*]``;
    ``moves[line, MOVE_*]`` and ``pictures[line, …]``, the first ``counts[COUNT_MOVES]`` lines in use;
    ``nothing[contribution]`` zeros, the contributions of a healthy account.
    """

    values: NDArray[np.float64]
    usual: NDArray[np.float64]
    recent: NDArray[np.float64]
    truths: NDArray[np.uint8]
    subscores: NDArray[np.float64]
    weights: NDArray[np.float64]
    contributions: NDArray[np.float64]
    nothing: NDArray[np.float64]
    variables: NDArray[np.float64]
    score: NDArray[np.float64]
    moves: NDArray[np.int64]
    pictures: NDArray[np.float64]
    counts: NDArray[np.int64]


def make_work(plan: Plan, layout: Layout, lines: int) -> Work:
    """Return empty scratch for a model; `lines` moves, or a little more, fit before the caller must take them away."""
    lines = max(lines, 2 * layout.rules + 2)
    values = plan.values.shape[0]
    inputs = layout.inputs
    picture = PICTURE_FIXED + values + inputs + 2 * layout.contributions
    return Work(
        values=np.full(values, np.nan),
        usual=np.full(layout.signals, np.nan),
        recent=np.full(layout.signals, np.nan),
        truths=np.zeros(layout.overrides, np.uint8),
        subscores=np.zeros(inputs),
        weights=np.zeros(inputs),
        contributions=np.zeros(layout.contributions),
        nothing=np.zeros(layout.contributions),
        variables=np.concatenate([np.full(plan.variables.shape[0], np.nan), plan.literals]),
        score=np.full(PICTURE_FIXED, np.nan),
        moves=np.zeros((lines, MOVE_COLUMNS), np.int64),
        pictures=np.zeros((lines, picture)),
        counts=np.zeros(COUNTS, np.int64),
    )
