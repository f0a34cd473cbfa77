"""Segments: accounts that weigh differently or have other bands, told apart by what is entered about them.

A segment is data like the rest of a model: a line of weights, a line of thresholds. Which line an account reads is decided
where its attributes change, not where it is scored. At most one segment fits an account (`scoring.reading_segments`
refuses files that leave a choice), so their order means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ATTRIBUTES = ("segment", "plan", "industry", "size", "region", "stage")
"""Attributes of an account that tell segments apart: the words of its record that are no names."""


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs told of together. `weight` is the group's own, shared out among its inputs; None = theirs stand as they are."""

    name: str
    title: str
    weight: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """A segment's thresholds of one band, 0-100, and its dwell, milliseconds."""

    enter_below: float
    leave_above: float
    dwell_ms: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Accounts with their own weights or bands.

    Parameters
    ----------
    where
        Attribute → values, by attribute: the account has one of the values in each.
    weights
        By input, in the model's order, ≥ 0: 0 = it does not count here.
    bands
        By band, the worst first.
    baseline
        0..100, weighted mean of the inputs' references: the health of a healthy account here.
    """

    name: str
    where: tuple[tuple[str, tuple[str, ...]], ...]
    weights: tuple[float, ...]
    bands: tuple[Limits, ...]
    baseline: float


def segment_of(segments: Sequence[Segment], profile: Mapping[str, str]) -> int:
    """Return the number of an account's segment, 1 and on; 0 = none, so the model's own weights and bands.

    Parameters
    ----------
    profile
        Attribute → what is entered.

    Examples
    --------
    >>> large = Segment("large", (("plan", ("gold",)), ("segment", ("large", "key"))), (1.0,), (), 80.0)
    >>> segment_of([large], {"segment": "key", "plan": "gold"}), segment_of([large], {"segment": "key"})
    (1, 0)
    """
    for number, segment in enumerate(segments, 1):
        if all(profile.get(attribute, "") in values for attribute, values in segment.where):
            return number
    return 0
