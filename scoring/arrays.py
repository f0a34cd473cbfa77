"""Names for the array types that formulas and kernels pass around; numba ignores them, readers and mypy do not."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Shorts: TypeAlias = NDArray[np.int16]
Singles: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
