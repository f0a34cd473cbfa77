"""Reasons: why a score is what it is and why it moved, as codes, sentences with numbers, and points that add up.

A contribution is a signed share of the score in points. Those of the inputs, of missing data and of overrides sum,
with the baseline, to the health; their differences from an earlier day sum to its change. What is shown is a choice
of the largest; nothing is rounded away in between.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from scoring.compile import Compiled
from scoring.model import Input, ValueKind

LIMIT: Final = 4
"""At most four reasons: what people read, and what adverse-action practice asks for."""
SMALLEST: Final = 0.5
"""Points below which a contribution is no reason."""
MISSING_DATA: Final = "MISSING_DATA"
OVERRIDE: Final = "OVERRIDE"


class Reason(NamedTuple):
    """One reason: a stable code, its sentence, and its share in points."""

    code: str
    text: str
    contribution: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A score as it stood: health (NaN = insufficient data), values, sub-scores and contributions in the model's order."""

    health: float
    values: tuple[float, ...]
    subscores: tuple[float, ...]
    contributions: tuple[float, ...]


def main_reasons(compiled: Compiled, picture: Picture, limit: int = LIMIT) -> list[Reason]:
    """Return the largest contributions, the greatest distance from a healthy account first."""
    if math.isnan(picture.health):
        return [Reason("INSUFFICIENT_DATA", "too little is known of this account to score it", 0.0)]
    order = sorted(range(len(picture.contributions)), key=lambda k: -abs(picture.contributions[k]))
    chosen = [k for k in order[:limit] if abs(picture.contributions[k]) >= SMALLEST]
    return [_reason(compiled, picture, k, picture.contributions[k]) for k in chosen]


def why_it_moved(
    compiled: Compiled, picture: Picture, before: Sequence[float], days: int, limit: int = LIMIT
) -> list[Reason]:
    """Return what moved the score since an earlier day, the largest differences first, and the rest in one line.

    Parameters
    ----------
    compiled, picture
        The model and the score now.
    before
        Contributions then, points, in the same order.
    days
        How many days ago that was, > 0.

    Returns
    -------
    list of Reason
        At most `limit` of their own and one "OTHER"; contributions sum to the change of the score.
    """
    if math.isnan(picture.health):
        return []
    differences = [now - then for now, then in zip(picture.contributions, before, strict=True)]
    order = sorted(range(len(differences)), key=lambda k: -abs(differences[k]))
    chosen = [k for k in order[:limit] if abs(differences[k]) >= SMALLEST]
    reasons = [_reason(compiled, picture, k, differences[k], days) for k in chosen]
    rest = sum(differences[k] for k in order if k not in chosen)
    if abs(rest) > 1e-9:
        reasons.append(Reason("OTHER", "smaller moves together", rest))
    return reasons


def _reason(compiled: Compiled, picture: Picture, which: int, points: float, days: int = 0) -> Reason:
    inputs = compiled.model.inputs
    since = f" over {days} days" if days else ""
    if which == len(inputs):
        return Reason(MISSING_DATA, f"data that is missing counts {points:+.1f} points{since}", points)
    if which > len(inputs):
        return Reason(OVERRIDE, f"an override moves the score by {points:+.1f} points{since}", points)
    entry = inputs[which]
    return Reason(entry.code, f"{describe(entry, picture.values[which])} ({points:+.1f}{since})", points)


def describe(entry: Input, value: float) -> str:
    """Return an input's value in words and numbers.

    Parameters
    ----------
    entry
        The input.
    value
        Its value in its own unit; NaN = no data.
    """
    title = entry.title
    if math.isnan(value):
        return f"{title}: no data"
    if entry.categories:
        return f"{title}: {entry.categories[int(value)][0].replace('_', ' ')}"
    kind = entry.value.kind
    if kind is ValueKind.MOMENTUM:
        return f"{title} {_percent(math.exp(value) - 1.0)} against the last 90 days"
    if kind is ValueKind.RATIO:
        return (
            f"{title} {_percent(value - 1.0)} in {entry.value.window_days} days against {entry.value.long_window_days}"
        )
    if kind is ValueKind.SURPRISE:
        side = "below" if value < 0 else "above"
        return f"{title} {abs(value):.1f} standard deviations {side} its habit"
    if kind is ValueKind.SILENCE:
        return f"{title}: {value:.1f} expected events did not come"
    if kind is ValueKind.AGE:
        return f"{title}: none" if value <= 0 else f"{title}: oldest {value:.0f} days"
    if kind is ValueKind.SHARE or entry.value.attribute == "seat_use":
        return f"{title} {100 * value:.0f} %"
    window = f" in {entry.value.window_days} days" if entry.value.window_days else ""
    unit = f" {entry.unit}" if entry.unit and entry.unit not in title else ""
    return f"{title}: {value:.4g}{unit}{window}"


def _percent(change: float) -> str:
    """Return a relative change in words, such as "down 42 %"."""
    if abs(change) < 0.005:
        return "unchanged"
    return f"{'up' if change > 0 else 'down'} {100 * abs(change):.0f} %"
