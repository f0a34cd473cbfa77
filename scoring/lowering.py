"""From postfix programs to tests that jump: what the kernel runs.

Most conditions of most rules are false at their first comparison. So a program becomes a chain of tests, each with the
step that follows when it is true and the one when it is false, and evaluation ends as soon as the answer is known. A
step's operands are slots of one array: variables first, then literals, then room for intermediate results. Comparing
with a literal, which most tests do, is asking whether a slot lies within a range, whichever the comparison::

    slope < -0.5 and days_to_renewal <= 90       0: slope within -inf .. -0.500…1       true → 1       false → REJECT
                                                 1: days_to_renewal within -inf .. 90   true → ACCEPT  false → REJECT
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.expressions import Opcode, Program

ACCEPT: Final = -1
REJECT: Final = -2

# Columns of a step. An arithmetic step writes its result to the slot ON_TRUE and goes on at ON_FALSE.
OPCODE = 0
LEFT = 1
RIGHT = 2
ON_TRUE = 3
ON_FALSE = 4

WITHIN: Final = -1
"""Opcode of a step that is true where its left slot lies in its range, ends included."""

_MIRRORED = {
    Opcode.LESS: Opcode.GREATER,
    Opcode.LESS_EQUAL: Opcode.GREATER_EQUAL,
    Opcode.GREATER: Opcode.LESS,
    Opcode.GREATER_EQUAL: Opcode.LESS_EQUAL,
    Opcode.EQUAL: Opcode.EQUAL,
    Opcode.NOT_EQUAL: Opcode.NOT_EQUAL,
}
_COMPARISONS = frozenset(range(Opcode.LESS, Opcode.NOT_EQUAL + 1))
_Node = tuple[Opcode, float, tuple["_Node", ...]]  # opcode, operand, children


@dataclass(frozen=True, slots=True)
class Lowered:
    """All programs of a model.

    Parameters
    ----------
    variables
        Numbers of the variables in use, in slot order.
    literals
        float64, what stands in the slots after the variables: literals, then zeros as room for intermediate results.
    steps
        int64 [step, 5]: opcode, left slot, right slot, next step when true, when false.
    ranges
        float64 [step, lowest|highest] of the steps that ask for one.
    starts
        Program → its first step.
    """

    variables: tuple[int, ...]
    literals: NDArray[np.float64]
    steps: NDArray[np.int64]
    ranges: NDArray[np.float64]
    starts: tuple[int, ...]


def lower(programs: Sequence[Program]) -> Lowered:
    """Return programs as steps."""
    variables: dict[int, int] = {}
    literals: dict[float, int] = {0.0: 0}
    trees = [_tree(program) for program in programs]
    for opcode, operand in (leaf for tree in trees for leaf in _leaves(tree)):
        if opcode == Opcode.LOAD:
            variables.setdefault(int(operand), len(variables))
        else:
            literals.setdefault(float(operand), len(literals))
    writer = _Writer(variables, {number: len(variables) + place for number, place in literals.items()})
    starts = tuple(writer.condition(tree, ACCEPT, REJECT) for tree in trees)
    return Lowered(
        variables=tuple(variables),
        literals=np.array([*literals, *[0.0] * writer.room], np.float64),
        steps=np.array(writer.steps, np.int64).reshape(-1, 5),
        ranges=np.array(writer.ranges, np.float64).reshape(-1, 2),
        starts=starts,
    )


def _tree(program: Program) -> _Node:
    stack: list[_Node] = []
    for number, operand in program:
        opcode = Opcode(number)
        if opcode in (Opcode.PUSH, Opcode.LOAD):
            stack.append((opcode, operand, ()))
        elif opcode == Opcode.NEGATE and stack[-1][0] == Opcode.PUSH:
            stack.append((Opcode.PUSH, -stack.pop()[1], ()))
        elif opcode in (Opcode.NEGATE, Opcode.NOT):
            stack.append((opcode, 0.0, (stack.pop(),)))
        else:
            right = stack.pop()
            stack.append((opcode, 0.0, (stack.pop(), right)))
    (root,) = stack
    return root


def _leaves(node: _Node) -> Iterator[tuple[Opcode, float]]:
    """Go through the variables and literals below a node, from left to right."""
    opcode, operand, children = node
    if not children:
        yield opcode, operand
    for child in children:
        yield from _leaves(child)


def _range(opcode: int, literal: float) -> tuple[float, float] | None:
    """Return the numbers that compare so with a literal; None where they are not one range."""
    if opcode == Opcode.LESS:
        return -math.inf, math.nextafter(literal, -math.inf)
    if opcode == Opcode.LESS_EQUAL:
        return -math.inf, literal
    if opcode == Opcode.GREATER:
        return math.nextafter(literal, math.inf), math.inf
    if opcode == Opcode.GREATER_EQUAL:
        return literal, math.inf
    return (literal, literal) if opcode == Opcode.EQUAL else None


class _Writer:
    """Writes steps back to front, so that where a step goes on is always known."""

    def __init__(self, variables: dict[int, int], literals: dict[float, int]) -> None:
        self.steps: list[tuple[int, int, int, int, int]] = []
        self.ranges: list[tuple[float, float]] = []
        self.room = 0
        self._variables = variables
        self._literals = literals
        self._numbers = {slot: number for number, slot in literals.items()}
        self._zero = literals[0.0]
        self._first_free = len(variables) + len(literals)

    def condition(self, node: _Node, on_true: int, on_false: int) -> int:
        """Write a condition and return its first step."""
        opcode, _, children = node
        if opcode == Opcode.AND:
            return self.condition(children[0], self.condition(children[1], on_true, on_false), on_false)
        if opcode == Opcode.OR:
            return self.condition(children[0], on_true, self.condition(children[1], on_true, on_false))
        if opcode == Opcode.NOT and children[0][0] == Opcode.LOAD:
            # A variable that is 0 or 1; one without data satisfies neither itself nor its negation.
            return self._test(Opcode.EQUAL, self._slot(children[0]), self._zero, on_true, on_false)
        if opcode == Opcode.NOT:
            return self.condition(children[0], on_false, on_true)
        if opcode in _COMPARISONS:
            before: list[tuple[int, int, int, int]] = []
            left, right = (self._number(child, before) for child in children)
            start = self._test(opcode, left, right, on_true, on_false)
            for operation, first, second, result in reversed(before):
                start = self._append(operation, first, second, result, start)
            return start
        return self._test(Opcode.GREATER, self._slot(node), self._zero, on_true, on_false)

    def _number(self, node: _Node, before: list[tuple[int, int, int, int]]) -> int:
        """Return the slot of a number; what must be computed for it is added to `before`, inner results first."""
        opcode, _, children = node
        if not children:
            return self._slot(node)
        slots = [self._number(child, before) for child in children]
        result = self._first_free + len(before)
        self.room = max(self.room, len(before) + 1)
        before.append((int(opcode), slots[0], slots[-1], result))
        return result

    def _slot(self, node: _Node) -> int:
        opcode, operand, _ = node
        return self._variables[int(operand)] if opcode == Opcode.LOAD else self._literals[float(operand)]

    def _test(self, opcode: Opcode, left: int, right: int, on_true: int, on_false: int) -> int:
        if left in self._numbers and right not in self._numbers:
            opcode, left, right = _MIRRORED[opcode], right, left
        within = _range(opcode, self._numbers[right]) if right in self._numbers else None
        if within is not None:
            return self._append(WITHIN, left, right, on_true, on_false, within)
        return self._append(int(opcode), left, right, on_true, on_false)

    def _append(
        self, opcode: int, left: int, right: int, on_true: int, on_false: int, within: tuple[float, float] = (0.0, 0.0)
    ) -> int:
        self.steps.append((opcode, left, right, on_true, on_false))
        self.ranges.append(within)
        return len(self.steps) - 1
