"""Runs the conditions of rules and overrides: `scoring.expressions.evaluate`, lowered and compiled."""

import math
from typing import Final

from numba import njit

from scoring.arrays import Floats, Ints
from scoring.expressions import Opcode
from scoring.lowering import ACCEPT, LEFT, ON_FALSE, ON_TRUE, OPCODE, RIGHT, WITHIN

NEGATE: Final = int(Opcode.NEGATE)
ADD: Final = int(Opcode.ADD)
SUBTRACT: Final = int(Opcode.SUBTRACT)
MULTIPLY: Final = int(Opcode.MULTIPLY)
DIVIDE: Final = int(Opcode.DIVIDE)
LESS: Final = int(Opcode.LESS)
LESS_EQUAL: Final = int(Opcode.LESS_EQUAL)
GREATER: Final = int(Opcode.GREATER)
GREATER_EQUAL: Final = int(Opcode.GREATER_EQUAL)
EQUAL: Final = int(Opcode.EQUAL)
NOT_EQUAL: Final = int(Opcode.NOT_EQUAL)


@njit(cache=True)
def compare(opcode: int, left: float, right: float) -> bool:
    """Return one comparison; false wherever a side is NaN, for `!=` too."""
    if opcode == LESS:
        return left < right
    if opcode == LESS_EQUAL:
        return left <= right
    if opcode == GREATER:
        return left > right
    if opcode == GREATER_EQUAL:
        return left >= right
    if opcode == EQUAL:
        return left == right
    return left < right or left > right


@njit(cache=True)
def arithmetic(opcode: int, left: float, right: float) -> float:
    """Return one negative, sum, difference, product or quotient; a quotient by 0 is NaN."""
    if opcode == NEGATE:
        return -left
    if opcode == ADD:
        return left + right
    if opcode == SUBTRACT:
        return left - right
    if opcode == MULTIPLY:
        return left * right
    return left / right if right != 0.0 else math.nan


@njit(cache=True)
def holds(steps: Ints, ranges: Floats, start: int, slots: Floats) -> bool:
    """Return whether the condition whose first step is `start` is true.

    Parameters
    ----------
    steps : int64 array [step, 5], see `scoring.lowering`
    ranges : float64 array [step, lowest|highest]
    slots : float64 array, variables and literals; room for intermediate results is written
    """
    at = start
    while at >= 0:
        opcode = steps[at, OPCODE]
        left = slots[steps[at, LEFT]]
        if opcode == WITHIN:
            at = steps[at, ON_TRUE] if ranges[at, 0] <= left <= ranges[at, 1] else steps[at, ON_FALSE]
            continue
        right = slots[steps[at, RIGHT]]
        if opcode >= LESS:
            at = steps[at, ON_TRUE] if compare(opcode, left, right) else steps[at, ON_FALSE]
        else:
            slots[steps[at, ON_TRUE]] = arithmetic(opcode, left, right)
            at = steps[at, ON_FALSE]
    return at == ACCEPT
