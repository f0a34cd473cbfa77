"""Conditions of rules and overrides: a checked subset of Python's expression syntax, compiled to a postfix program.

Three rules hold for every expression:

1. It is a condition. Numbers and conditions do not mix: `slope and 3` is a fault, not a truth.
2. No data is never a reason to act. A comparison with NaN is false, and so is its negation: `not` is pushed inwards
   at compile time (`not slope < 0` becomes `slope >= 0`), so that a missing slope satisfies neither.
3. It is bounded: at most `MAX_TEXT` characters, `MAX_STEPS` steps and `MAX_STACK` stack slots, no loops, no calls
   beyond the table in `scoring.variables`.

A program is a tuple of (opcode, operand). `PUSH` has a number as operand, `LOAD` the number of a variable, all others
0. `evaluate` is the reference; the kernel runs the same table compiled.
"""

import ast
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

MAX_TEXT = 400
MAX_STEPS = 128
MAX_STACK = 16


class Opcode(IntEnum):
    """What a step does to the stack; the numbers are part of the kernel's contract and never change meaning."""

    PUSH = 0
    LOAD = 1
    NEGATE = 2
    ADD = 3
    SUBTRACT = 4
    MULTIPLY = 5
    DIVIDE = 6
    LESS = 7
    LESS_EQUAL = 8
    GREATER = 9
    GREATER_EQUAL = 10
    EQUAL = 11
    NOT_EQUAL = 12
    AND = 13
    OR = 14
    NOT = 15


Program = tuple[tuple[int, float], ...]
Note = Callable[[str, str, str], None]
"""Takes a fault's three parts: what was expected, what was given, what to do."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled condition: its source text, its program, and the stack slots the program needs (1..MAX_STACK)."""

    text: str
    program: Program
    stack: int


class Names(Protocol):
    """What an expression may speak of. Methods note a fault and return None for what they do not know."""

    def number(self, name: str, note: Note) -> int | None:
        """Return the number of a numeric variable."""

    def condition(self, name: str, note: Note) -> int | None:
        """Return the number of a variable that is 0 or 1."""

    def call(self, function: str, arguments: Sequence[str], note: Note) -> tuple[int, bool] | None:
        """Return the number of the variable a call stands for, and whether it is a condition."""

    def category(self, attribute: str, category: str | None, note: Note) -> tuple[int, int] | None:
        """Return an attribute's variable number and a category's number."""

    def short_for(self, function: str, arguments: Sequence[str], note: Note) -> str | None:
        """Return the condition that a call is short for; None where it is a variable's."""

    def is_categorical(self, name: str) -> bool:
        """Tell whether a (dotted) name is an attribute with categories."""


_DURATION = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([hdw])\b")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
_ARITHMETIC: dict[type[ast.operator], Opcode] = {
    ast.Add: Opcode.ADD,
    ast.Sub: Opcode.SUBTRACT,
    ast.Mult: Opcode.MULTIPLY,
    ast.Div: Opcode.DIVIDE,
}
_COMPARISON: dict[type[ast.cmpop], Opcode] = {
    ast.Lt: Opcode.LESS,
    ast.LtE: Opcode.LESS_EQUAL,
    ast.Gt: Opcode.GREATER,
    ast.GtE: Opcode.GREATER_EQUAL,
    ast.Eq: Opcode.EQUAL,
    ast.NotEq: Opcode.NOT_EQUAL,
}
_OPPOSITE = {
    Opcode.LESS: Opcode.GREATER_EQUAL,
    Opcode.LESS_EQUAL: Opcode.GREATER,
    Opcode.GREATER: Opcode.LESS_EQUAL,
    Opcode.GREATER_EQUAL: Opcode.LESS,
    Opcode.EQUAL: Opcode.NOT_EQUAL,
    Opcode.NOT_EQUAL: Opcode.EQUAL,
}


def compile_expression(text: str, names: Names, note: Note) -> Expression | None:
    """Return the compiled condition, or None after noting every fault found in it.

    Durations such as ``14d``, ``12h`` or ``2w`` stand for their number of days.
    """
    if len(text) > MAX_TEXT:
        note(f"at most {MAX_TEXT} characters", f"{len(text)}", "split it into several rules")
        return None
    plain = _DURATION.sub(lambda match: repr(float(match[1]) * _DAYS[match[2]]), " ".join(text.split()))
    faults_before = _Counted(note)
    try:
        body = ast.parse(plain, mode="eval").body
        compiler = _Compiler(names, faults_before)
        compiler.condition(body, negated=False)
    except (SyntaxError, ValueError):
        note(
            "an expression such as 'slope < -0.5 and health < 60'", f"'{text}'", "check brackets, quotes and operators"
        )
        return None
    except (RecursionError, MemoryError):
        note("an expression that nests less deeply", f"'{text}'", "split it into several rules")
        return None
    if faults_before.count:
        return None
    program = tuple(compiler.steps)
    stack = stack_needed(program)
    if len(program) > MAX_STEPS or stack > MAX_STACK:
        note(
            f"at most {MAX_STEPS} steps and {MAX_STACK} values held at once", f"{len(program)} and {stack}", "split it"
        )
        return None
    return Expression(text=text, program=program, stack=stack)


class _Counted:
    """A `Note` that knows how many faults passed through it."""

    def __init__(self, note: Note) -> None:
        self.count = 0
        self._note = note

    def __call__(self, expected: str, given: str, advice: str) -> None:
        self.count += 1
        self._note(expected, given, advice)


class _Compiler:
    """Walks a syntax tree and appends steps; conditions carry whether an odd number of `not` stands above them."""

    def __init__(self, names: Names, note: Note) -> None:
        self.steps: list[tuple[int, float]] = []
        self._names = names
        self._note = note

    def condition(self, node: ast.expr, *, negated: bool) -> None:
        """Compile a node that must be true or false."""
        match node:
            case ast.BoolOp(op=op, values=values):
                joined = Opcode.AND if isinstance(op, ast.And) != negated else Opcode.OR
                for position, value in enumerate(values):
                    self.condition(value, negated=negated)
                    if position:
                        self._emit(joined)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.condition(operand, negated=not negated)
            case ast.Compare():
                self._comparison(node, negated=negated)
            case ast.Call(func=ast.Name(id=function), args=arguments) if meant := self._names.short_for(
                function, [ast.unparse(argument) for argument in arguments], self._note
            ):
                self.condition(ast.parse(meant, mode="eval").body, negated=negated)
            case ast.Call():
                found = self._call(node)
                if found and not found[1]:
                    self._note("a condition", f"the number '{ast.unparse(node)}'", "compare it with something")
                self._load_condition(found[0] if found else None, negated=negated)
            case ast.Name(id=name):
                self._load_condition(self._names.condition(name, self._note), negated=negated)
            case _:
                self._note("a condition", f"'{ast.unparse(node)}'", "compare it with something, such as 'health < 60'")

    def _load_condition(self, variable: int | None, *, negated: bool) -> None:
        if variable is not None:
            self._emit(Opcode.LOAD, variable)
            if negated:
                self._emit(Opcode.NOT)

    def _comparison(self, node: ast.Compare, *, negated: bool) -> None:
        sides = [node.left, *node.comparators]
        for position, operator in enumerate(node.ops):
            opcode = _COMPARISON.get(type(operator))
            if opcode is None:
                self._note("one of < <= > >= == !=", f"'{ast.unparse(node)}'", "use a comparison of two numbers")
                return
            opcode = _OPPOSITE[opcode] if negated else opcode
            self._pair(sides[position], sides[position + 1], opcode)
            if position:
                self._emit(Opcode.OR if negated else Opcode.AND)

    def _pair(self, left: ast.expr, right: ast.expr, opcode: Opcode) -> None:
        if self._categorical(right):
            left, right = right, left
        if not self._categorical(left):
            self.number(left)
            self.number(right)
            self._emit(opcode)
            return
        attribute = ast.unparse(left)
        if opcode not in (Opcode.EQUAL, Opcode.NOT_EQUAL):
            self._note(f"'{attribute}' compared by == or !=", f"{opcode.name.lower()}", "categories have no order")
            return
        category = right.value if isinstance(right, ast.Constant) and isinstance(right.value, str) else None
        found = self._names.category(attribute, category, self._note)
        if found:
            self._emit(Opcode.LOAD, found[0])
            self._emit(Opcode.PUSH, found[1])
            self._emit(opcode)

    def _categorical(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute | ast.Name) and self._names.is_categorical(ast.unparse(node))

    def number(self, node: ast.expr) -> None:
        """Compile a node that must be a number."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) <= 1e15:
                self._emit(Opcode.PUSH, float(value))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self.number(operand)
                self._emit(Opcode.NEGATE)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                self.number(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                self.number(left)
                self.number(right)
                self._emit(_ARITHMETIC[type(op)])
            case ast.Call():
                found = self._call(node)
                if found and found[1]:
                    self._note("a number", f"the condition '{ast.unparse(node)}'", "join conditions by and/or")
                elif found:
                    self._emit(Opcode.LOAD, found[0])
            case ast.Name() | ast.Attribute():
                variable = self._names.number(ast.unparse(node), self._note)
                if variable is not None:
                    self._emit(Opcode.LOAD, variable)
            case _:
                self._note("a number", f"'{ast.unparse(node)}'", "use names, numbers below 1e15, calls and + - * /")

    def _call(self, node: ast.Call) -> tuple[int, bool] | None:
        plain = (ast.Name, ast.Attribute, ast.Constant)
        if not isinstance(node.func, ast.Name) or node.keywords or not all(isinstance(a, plain) for a in node.args):
            self._note("a call such as 'eta(red)'", f"'{ast.unparse(node)}'", "give names and durations as arguments")
            return None
        return self._names.call(node.func.id, [ast.unparse(argument) for argument in node.args], self._note)

    def _emit(self, opcode: Opcode, operand: float = 0) -> None:
        self.steps.append((int(opcode), operand))


def stack_needed(program: Program) -> int:
    """Return the largest number of values a program holds at once."""
    held = most = 0
    for opcode, _ in program:
        if opcode in (Opcode.PUSH, Opcode.LOAD):
            held += 1
        elif opcode not in (Opcode.NEGATE, Opcode.NOT):
            held -= 1
        most = max(most, held)
    return most


def evaluate(program: Program, variables: Sequence[float]) -> float:
    """Return the program's result: 1.0 or 0.0 for a condition.

    Division by zero and anything computed from NaN is NaN, which compares false with everything, `!=` included.

    Examples
    --------
    >>> evaluate(((Opcode.LOAD, 0), (Opcode.PUSH, 60.0), (Opcode.LESS, 0)), [41.5])
    1.0
    >>> evaluate(((Opcode.LOAD, 0), (Opcode.PUSH, 60.0), (Opcode.LESS, 0)), [math.nan])
    0.0
    """
    stack: list[float] = []
    for opcode, operand in program:
        if opcode == Opcode.PUSH:
            stack.append(float(operand))
        elif opcode == Opcode.LOAD:
            stack.append(float(variables[int(operand)]))
        elif opcode == Opcode.NEGATE:
            stack.append(-stack.pop())
        elif opcode == Opcode.NOT:
            stack.append(float(stack.pop() == 0))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_binary(opcode, left, right))
    (result,) = stack
    return result


def _binary(opcode: int, left: float, right: float) -> float:  # noqa: C901, PLR0911, PLR0912 - one line per opcode
    match opcode:
        case Opcode.ADD:
            return left + right
        case Opcode.SUBTRACT:
            return left - right
        case Opcode.MULTIPLY:
            return left * right
        case Opcode.DIVIDE:
            return left / right if right else math.nan
        case Opcode.LESS:
            return float(left < right)
        case Opcode.LESS_EQUAL:
            return float(left <= right)
        case Opcode.GREATER:
            return float(left > right)
        case Opcode.GREATER_EQUAL:
            return float(left >= right)
        case Opcode.EQUAL:
            return float(left == right)
        case Opcode.NOT_EQUAL:
            # Two strict comparisons, not `!=`: NaN must be false here too.
            return float(left < right or left > right)
        case Opcode.AND:
            return float(left > 0 and right > 0)
        case Opcode.OR:
            return float(left > 0 or right > 0)
        case _:
            raise AssertionError(f"opcode {opcode} is not in the table")
