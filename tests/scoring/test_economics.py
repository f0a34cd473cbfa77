"""What an account is worth working, and its quadrant of risk and expansion."""

import math

from hypothesis import given
from hypothesis import strategies as st

from scoring.economics import GROW, MAINTAIN, PROTECT, RESCUE, expected_value, quadrant

SHARES = st.floats(0, 1)
MONEY = st.floats(0, 1e9)


def test_quadrants_meet_on_their_lines():
    """On a line an account belongs to the upper half; without a score it lies nowhere."""
    assert quadrant(0.19, 0.14, 0.2, 0.15) == MAINTAIN
    assert quadrant(0.2, 0.14, 0.2, 0.15) == RESCUE
    assert quadrant(0.19, 0.15, 0.2, 0.15) == GROW
    assert quadrant(0.2, 0.15, 0.2, 0.15) == PROTECT
    assert quadrant(math.nan, 0.5, 0.2, 0.15) == -1


@given(SHARES, SHARES, SHARES, MONEY, MONEY, SHARES, MONEY)
def test_value_falls_with_risk_and_rises_with_expansion(risk, other, expansion, yearly, uplift, margin, cost):
    """More risk is never worth more, more expansion never less; nothing costs more than the work itself."""
    low, high = sorted((risk, other))
    assert expected_value(high, expansion, yearly, uplift, margin, cost) <= expected_value(
        low, expansion, yearly, uplift, margin, cost
    )
    assert expected_value(expansion, high, yearly, uplift, margin, cost) >= expected_value(
        expansion, low, yearly, uplift, margin, cost
    )
    assert expected_value(risk, expansion, yearly, uplift, margin, cost) >= -cost


def test_no_score_is_no_value():
    """Without a probability the value is unknown, not 0."""
    assert math.isnan(expected_value(math.nan, 0.5, 1000.0, 200.0, 1.0, 0.0))
