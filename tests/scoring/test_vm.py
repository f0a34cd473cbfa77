"""The rule machine and the curves: compiled equals the reference, and rising curves rise."""

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.curves import interpolate, knots_of_steps
from scoring.expressions import Opcode, evaluate
from scoring.lowering import lower
from scoring.vm import holds

VARIABLES = 4
EDGES = st.sampled_from((-1e9, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 1e9))
NUMBERS = st.one_of(EDGES, st.floats(-100, 100).map(lambda x: round(x, 3)))
ARITHMETIC = (Opcode.ADD, Opcode.SUBTRACT, Opcode.MULTIPLY, Opcode.DIVIDE)
COMPARISONS = (
    Opcode.LESS,
    Opcode.LESS_EQUAL,
    Opcode.GREATER,
    Opcode.GREATER_EQUAL,
    Opcode.EQUAL,
    Opcode.NOT_EQUAL,
)


@st.composite
def numeric(draw, depth=2):
    """Draw a program that leaves a number."""
    if depth == 0 or draw(st.booleans()):
        if draw(st.booleans()):
            return [(Opcode.PUSH, draw(NUMBERS))]
        return [(Opcode.LOAD, draw(st.integers(0, VARIABLES - 1)))]
    if draw(st.integers(0, 4)) == 0:
        return [*draw(numeric(depth - 1)), (Opcode.NEGATE, 0)]
    return [*draw(numeric(depth - 1)), *draw(numeric(depth - 1)), (draw(st.sampled_from(ARITHMETIC)), 0)]


@st.composite
def condition(draw, depth=2):
    """Draw a program that leaves a condition; `not` stands only before what is never unknown, as the compiler puts it."""
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return [*draw(numeric()), *draw(numeric()), (draw(st.sampled_from(COMPARISONS)), 0)]
    if draw(st.integers(0, 3)) == 0:
        return [*draw(condition(depth - 1)), (Opcode.NOT, 0)]
    return [
        *draw(condition(depth - 1)),
        *draw(condition(depth - 1)),
        (draw(st.sampled_from((Opcode.AND, Opcode.OR))), 0),
    ]


POINTS = st.lists(st.one_of(NUMBERS, st.just(math.nan)), min_size=VARIABLES, max_size=VARIABLES)


@given(program=condition(), point=POINTS)
@settings(max_examples=1000, deadline=None)
def test_compiled_equals_the_reference(program, point):
    """`holds` of the lowered program is `evaluate`, NaN and division by zero included."""
    lowered = lower([program])
    slots = np.concatenate([[point[number] for number in lowered.variables], lowered.literals])
    assert holds(lowered.steps, lowered.ranges, lowered.starts[0], slots) == (evaluate(tuple(program), point) > 0)


@given(programs=st.lists(condition(), min_size=2, max_size=4), point=POINTS)
@settings(max_examples=200, deadline=None)
def test_programs_lowered_together_do_not_mix(programs, point):
    """Programs that share slots, run one after the other, answer as each does alone."""
    lowered = lower(programs)
    slots = np.concatenate([[point[number] for number in lowered.variables], lowered.literals])
    for program, start in zip(programs, lowered.starts, strict=True):
        assert holds(lowered.steps, lowered.ranges, start, slots) == (evaluate(tuple(program), point) > 0)


@given(
    xs=st.lists(st.floats(-50, 50), min_size=2, max_size=8, unique=True),
    values=st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_rising_curve_never_falls(xs, values, data):
    """A curve declared `up` gives a greater value no smaller sub-score."""
    ys = sorted(data.draw(st.lists(st.floats(0, 100), min_size=len(xs), max_size=len(xs))))
    low, high = sorted(values)
    knots = (np.array(sorted(xs)), np.array(ys), 0, len(xs))
    assert interpolate(*knots, low) <= interpolate(*knots, high) + 1e-9


STEPS = st.lists(
    st.tuples(st.floats(-50, 50) | st.sampled_from((-1.0, 0.0, 1e-300, 5e-324, 3.0)), st.floats(0, 100)),
    min_size=2,
    max_size=8,
    unique_by=lambda point: point[0],
).map(sorted)


@given(steps=STEPS, others=st.lists(st.floats(-80, 80), max_size=4))
@example(steps=[(-1.0, 10.0), (0.0, 52.5), (1.0, 100.0)], others=[])
@settings(max_examples=300, deadline=None)
def test_steps_hold_from_their_very_value_on(steps, others):
    """On every edge, on the numbers next to it and elsewhere the sub-score is a step's own, to the last bit."""
    xs, ys = np.array(knots_of_steps(steps)).T.copy()
    edges = [beside for x, _ in steps for beside in (math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf))]
    for value in (*edges, *others):
        expected = next((y for x, y in reversed(steps) if x <= value), steps[0][1])
        assert interpolate(xs, ys, 0, xs.size, value) == expected
