"""Lines of a plan by segment: weights, baselines and thresholds, first those of accounts in no segment."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.model import Band, Model
from scoring.segments import Limits, Segment


def weights_of(model: Model) -> NDArray[np.float64]:
    """Return the inputs' weights, axes segment and input."""
    return _by_segment(model, [entry.weight for entry in model.inputs], lambda segment: segment.weights)


def scales_of(model: Model) -> NDArray[np.float64]:
    """Return baseline and total weight, axes segment and `scoring.plan.BASELINE` or `TOTAL_WEIGHT`."""
    own = [model.baseline, sum(entry.weight for entry in model.inputs)]
    return _by_segment(model, own, lambda segment: [segment.baseline, sum(segment.weights)])


def limits_of(model: Model, of: Callable[[Band | Limits], float]) -> NDArray[np.float64]:
    """Return one number of every band, axes segment and band, the worst first."""
    return _by_segment(model, [of(band) for band in model.bands], lambda segment: [of(each) for each in segment.bands])


def groups_of(model: Model) -> NDArray[np.int64]:
    """Return input → number of its group, -1 = none."""
    names = [group.name for group in model.groups]
    return np.array([names.index(entry.group) if entry.group else -1 for entry in model.inputs], np.int64)


def _by_segment(model: Model, own: Sequence[float], of: Callable[[Segment], Sequence[float]]) -> NDArray[np.float64]:
    lines = [own, *(of(segment) for segment in model.segments)]
    return np.array(lines, np.float64).reshape(len(lines), len(own))
