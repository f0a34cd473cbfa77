"""What every alert and snapshot of one model needs to be told: prepared once, because records are many."""

import math
from collections.abc import Sequence
from typing import Any, Final

from scoring.bands import INSUFFICIENT
from scoring.compile import Compiled
from scoring.reasons import Picture, Reason, Wording
from state.work import PICTURE_FIXED, PICTURE_HEALTH

INSUFFICIENT_DATA: Final = "insufficient_data"


class Teller:
    """Puts one model's numbers into the words and names of the contract.

    Parameters
    ----------
    compiled
        The model.

    Attributes
    ----------
    wording : Wording
        Words reasons.
    model : dict
        Name, version and fingerprint.
    bands : dict
        Band number, INSUFFICIENT included → name.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        model = compiled.model
        self.wording = Wording(model)
        self.model = {"name": model.name, "version": model.version, "fingerprint": model.fingerprint}
        self.bands = {INSUFFICIENT: INSUFFICIENT_DATA, **dict(enumerate(model.band_names))}
        self._subscores = PICTURE_FIXED + len(compiled.values)
        self._contributions = self._subscores + len(model.inputs)
        self._end = self._contributions + len(model.inputs) + 2

    def picture(self, line: Sequence[float]) -> Picture:
        """Return a kernel's picture as a value that reasons are read off."""
        return Picture(
            health=line[PICTURE_HEALTH],
            values=tuple(line[PICTURE_FIXED : self._subscores]),
            subscores=tuple(line[self._subscores : self._contributions]),
            contributions=tuple(line[self._contributions : self._end]),
        )


def number_or_none(number: float) -> float | None:
    """Return a number to six decimals, None for NaN."""
    return None if math.isnan(number) else round(number, 6)


def reasons_as_json(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """Return reasons in the form of the contract."""
    return [{"code": code, "text": text, "contribution": round(points, 6)} for code, text, points in reasons]
