"""Reasons: why a score is what it is and why it moved, as codes, sentences with numbers, and points that add up.

A contribution is a signed share of the score in points. Those of the inputs, of missing data and of overrides sum,
with the baseline, to the health; their differences from an earlier day sum to its change. What is shown is a choice
of the largest; nothing is rounded away in between.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from scoring.model import Input, Model, ValueKind

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


class Wording:
    """Words the reasons of one model. Made once: which words an input needs does not change from score to score.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: Model) -> None:
        self._codes = (*(entry.code for entry in model.inputs), MISSING_DATA, OVERRIDE)
        self._words = tuple(words_of(entry) for entry in model.inputs)

    def main(self, picture: Picture, limit: int = LIMIT) -> list[Reason]:
        """Return the largest contributions, the greatest distance from a healthy account first."""
        if math.isnan(picture.health):
            return [Reason("INSUFFICIENT_DATA", "too little is known of this account to score it", 0.0)]
        points = picture.contributions
        return [self._reason(picture, k, points[k], "") for k in _largest(points, limit)]

    def moved(self, picture: Picture, before: Sequence[float], days: int, limit: int = LIMIT) -> list[Reason]:
        """Return what moved the score since an earlier day, the largest differences first, and the rest in one line.

        Parameters
        ----------
        picture
            The score now.
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
        chosen = _largest(differences, limit)
        since = f" over {days} days"
        reasons = [self._reason(picture, k, differences[k], since) for k in chosen]
        rest = sum(difference for k, difference in enumerate(differences) if k not in chosen)
        if abs(rest) > 1e-9:
            reasons.append(Reason("OTHER", "smaller moves together", rest))
        return reasons

    def _reason(self, picture: Picture, which: int, points: float, since: str) -> Reason:
        code = self._codes[which]
        if which < len(self._words):
            return Reason(code, f"{self._words[which](picture.values[which])} ({points:+.1f}{since})", points)
        if code == MISSING_DATA:
            return Reason(code, f"data that is missing counts {points:+.1f} points{since}", points)
        return Reason(code, f"an override moves the score by {points:+.1f} points{since}", points)


def _largest(points: Sequence[float], limit: int) -> list[int]:
    """Return the places of the largest numbers, sign aside, that are worth a reason; of equal ones the first first."""
    sized = sorted([(-abs(point), k) for k, point in enumerate(points)])
    return [k for size, k in sized[:limit] if size <= -SMALLEST]


def words_of(entry: Input) -> Callable[[float], str]:
    """Return the function that puts an input's value (in its own unit, NaN = no data) into words and numbers."""
    say = _sayer(entry)
    return lambda value: f"{entry.title}: no data" if math.isnan(value) else say(value)


def _sayer(entry: Input) -> Callable[[float], str]:
    title = entry.title
    if entry.categories:
        names = [name.replace("_", " ") for name, _ in entry.categories]
        return lambda value: f"{title}: {names[int(value)]}"
    match entry.value.kind:
        case ValueKind.MOMENTUM:
            return lambda value: f"{title} {_percent(math.exp(value) - 1.0)} against the last 90 days"
        case ValueKind.RATIO:
            spans = f"in {entry.value.window_days} days against {entry.value.long_window_days}"
            return lambda value: f"{title} {_percent(value - 1.0)} {spans}"
        case ValueKind.SURPRISE:
            return lambda value: (
                f"{title} {abs(value):.1f} standard deviations {'below' if value < 0 else 'above'} its habit"
            )
        case ValueKind.SILENCE:
            return lambda value: f"{title}: {value:.1f} expected events did not come"
        case ValueKind.AGE:
            return lambda value: f"{title}: none" if value <= 0 else f"{title}: oldest {value:.0f} days"
    if entry.value.kind is ValueKind.SHARE or entry.value.attribute == "seat_use":
        return lambda value: f"{title} {100 * value:.0f} %"
    unit = f" {entry.unit}" if entry.unit and entry.unit not in title else ""
    window = f" in {entry.value.window_days} days" if entry.value.window_days else ""
    return lambda value: f"{title}: {value:.4g}{unit}{window}"


def _percent(change: float) -> str:
    """Return a relative change in words, such as "down 42 %"."""
    if abs(change) < 0.005:
        return "unchanged"
    return f"{'up' if change > 0 else 'down'} {100 * abs(change):.0f} %"
