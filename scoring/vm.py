"""Runs the postfix programs of rules and overrides, on numbers and on ranges of numbers.

`holds` is `scoring.expressions.evaluate`, compiled. `holds_within` answers for all values within limits at once: yes,
no, or "it depends"; it may say "it depends" needlessly but never wrongly yes or no.
"""

import math
from typing import Final

from numba import njit

from scoring.arrays import Floats, Ints
from scoring.expressions import Opcode

DEPENDS: Final = -1

PUSH: Final = int(Opcode.PUSH)
LOAD: Final = int(Opcode.LOAD)
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
AND: Final = int(Opcode.AND)
OR: Final = int(Opcode.OR)
NOT: Final = int(Opcode.NOT)


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
    """Return one sum, difference, product or quotient; a quotient by 0 is NaN."""
    if opcode == ADD:
        return left + right
    if opcode == SUBTRACT:
        return left - right
    if opcode == MULTIPLY:
        return left * right
    return left / right if right != 0.0 else math.nan


@njit(cache=True)
def holds(opcodes: Ints, operands: Floats, start: int, length: int, variables: Floats, stack: Floats) -> bool:
    """Return whether the condition in ``[start, start + length)`` of the program arrays is true of the variables."""
    top = -1
    for step in range(start, start + length):
        opcode = opcodes[step]
        if opcode == PUSH:
            top += 1
            stack[top] = operands[step]
        elif opcode == LOAD:
            top += 1
            stack[top] = variables[int(operands[step])]
        elif opcode == NEGATE:
            stack[top] = -stack[top]
        elif opcode == NOT:
            stack[top] = 1.0 if stack[top] == 0.0 else 0.0
        else:
            top -= 1
            left = stack[top]
            right = stack[top + 1]
            if opcode == AND:
                stack[top] = 1.0 if left > 0.0 and right > 0.0 else 0.0
            elif opcode == OR:
                stack[top] = 1.0 if left > 0.0 or right > 0.0 else 0.0
            elif opcode >= LESS:
                stack[top] = 1.0 if compare(opcode, left, right) else 0.0
            else:
                stack[top] = arithmetic(opcode, left, right)
    return stack[0] > 0.0


@njit(cache=True)
def arithmetic_range(
    opcode: int, left_low: float, left_high: float, right_low: float, right_high: float
) -> tuple[float, float]:
    """Return limits of one arithmetic step over two ranges; NaN where a side has no data, all numbers where unsure."""
    if math.isnan(left_low) or math.isnan(right_low):
        return math.nan, math.nan
    if opcode == DIVIDE and right_low <= 0.0 <= right_high:
        return -math.inf, math.inf
    one = arithmetic(opcode, left_low, right_low)
    two = arithmetic(opcode, left_low, right_high)
    three = arithmetic(opcode, left_high, right_low)
    four = arithmetic(opcode, left_high, right_high)
    if math.isnan(one) or math.isnan(two) or math.isnan(three) or math.isnan(four):
        return -math.inf, math.inf
    return min(min(one, two), min(three, four)), max(max(one, two), max(three, four))


@njit(cache=True)
def compare_range(
    opcode: int, left_low: float, left_high: float, right_low: float, right_high: float
) -> tuple[float, float]:
    """Return (1, 1) for surely true, (0, 0) for surely false, (0, 1) for neither, over two ranges."""
    if math.isnan(left_low) or math.isnan(right_low):
        return 0.0, 0.0
    if opcode == GREATER or opcode == GREATER_EQUAL:
        mirrored = LESS if opcode == GREATER else LESS_EQUAL
        return compare_range(mirrored, right_low, right_high, left_low, left_high)
    if opcode == LESS or opcode == LESS_EQUAL:
        surely = compare(opcode, left_high, right_low)
        maybe = compare(opcode, left_low, right_high)
    else:
        is_point = left_low == left_high and right_low == right_high
        overlap = left_low <= right_high and right_low <= left_high
        surely = is_point and overlap if opcode == EQUAL else not overlap
        maybe = overlap if opcode == EQUAL else not (is_point and overlap)
    return 1.0 if surely else 0.0, 1.0 if maybe else 0.0


@njit(cache=True)
def holds_within(
    opcodes: Ints,
    operands: Floats,
    start: int,
    length: int,
    variables_low: Floats,
    variables_high: Floats,
    low: Floats,
    high: Floats,
) -> int:
    """Return 1 or 0 when the condition is true, or false, for all variables within their limits, else DEPENDS."""
    top = -1
    for step in range(start, start + length):
        opcode = opcodes[step]
        if opcode == PUSH:
            top += 1
            low[top] = high[top] = operands[step]
        elif opcode == LOAD:
            top += 1
            low[top] = variables_low[int(operands[step])]
            high[top] = variables_high[int(operands[step])]
        elif opcode == NEGATE:
            low[top], high[top] = -high[top], -low[top]
        elif opcode == NOT:
            low[top], high[top] = 1.0 - high[top], 1.0 - low[top]
        else:
            top -= 1
            if opcode == AND:
                low[top] = min(low[top], low[top + 1])
                high[top] = min(high[top], high[top + 1])
            elif opcode == OR:
                low[top] = max(low[top], low[top + 1])
                high[top] = max(high[top], high[top + 1])
            elif opcode >= LESS:
                low[top], high[top] = compare_range(opcode, low[top], high[top], low[top + 1], high[top + 1])
            else:
                low[top], high[top] = arithmetic_range(opcode, low[top], high[top], low[top + 1], high[top + 1])
    if low[0] == high[0]:
        return 1 if low[0] > 0.0 else 0
    return DEPENDS
