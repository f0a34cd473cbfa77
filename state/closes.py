"""How day closes keep points: as whole 1/256 points within 16 bits."""

import math

import numpy as np

from scoring.jit import inlined
from state.layout import CLOSE_UNIT


@inlined
def close_units(points: float) -> int:
    """Return points in the closes' unit."""
    return math.floor(points * CLOSE_UNIT + 0.5)


@inlined
def clipped(units: int) -> int:
    """Return a number of the closes' unit as it is kept: cut off at +-32 767, for -32 768 says that there is no close."""
    return np.int16(min(max(units, -32767), 32767))  # type: ignore[return-value]  # an int in compiled code
