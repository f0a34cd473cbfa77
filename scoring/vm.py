"""Runs the postfix programs of rules and overrides: `scoring.expressions.evaluate`, compiled."""

import math
from typing import Final

from numba import njit

from scoring.arrays import Floats, Ints
from scoring.expressions import Opcode

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
