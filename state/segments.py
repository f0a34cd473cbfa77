"""Which of the model's segments each account is in, and what an account's move from one to another does to its row.

A segment follows from what is entered of the account, so it is kept nowhere and made anew on restore. A move is never the
customer's doing: like a change of the model (`state.switching`) the row is scored on both sides at the same instant, and
what the move alone brings about raises nothing and is marked with SEGMENT_CHANGED.
"""

import math
from typing import Any, Final

import numpy as np
import orjson

from scoring.bands import INSUFFICIENT
from scoring.compile import Compiled
from scoring.segments import segment_of
from state.layout import (
    ACCELERATION,
    BAND,
    CLOSED,
    COLD,
    HOT,
    MODEL_SEGMENT,
    NO_CLOSE,
    NO_VALUE,
    SLOPE,
    SNAPSHOT,
)
from state.outflow import Outflow
from state.store import AccountStore
from state.switching import enter_model, leave_model
from state.telling import INSUFFICIENT_DATA
from state.work import RESOLUTION_SEGMENT

SEGMENT_CHANGED: Final = "SEGMENT_CHANGED"


class Segments:
    """The segments of one partition's accounts; without any in the model there is nothing to do.

    Parameters
    ----------
    compiled
        The model.
    store
        The accounts.
    plan, work
        Handles of the plan and the scratch room.
    outflow
        Tells of accounts that moved.
    """

    def __init__(self, compiled: Compiled, store: AccountStore, plan: Any, work: Any, outflow: Outflow) -> None:
        self._model = compiled.model
        self._rules = len(compiled.rules)
        self._store = store
        self._plan = plan
        self._work = work
        self._outflow = outflow

    def place(self, first: int, last: int) -> None:
        """Find the segments of the accounts ``[first, last)``, of which nothing is derived yet."""
        if self._model.segments:
            for row in range(first, last):
                if row in self._store.profiles:
                    self._store.rows.derived[row, MODEL_SEGMENT] = self._wanted(row)

    def begin(self, row: int) -> None:
        """Put an account that has no score now into its segment; what it scored once counts no more."""
        rows = self._store.rows
        is_scored = rows.ints[row, BAND] != INSUFFICIENT and not rows.ints[row, CLOSED]
        if is_scored or not self._model.segments or (wanted := self._wanted(row)) == rows.derived[row, MODEL_SEGMENT]:
            return
        rows.derived[row, MODEL_SEGMENT] = wanted
        rows.totals[row] = NO_CLOSE
        rows.derived[row, SLOPE] = rows.derived[row, ACCELERATION] = NO_VALUE

    def move(self, row: int) -> None:
        """Put an account into the segment its attributes say, once the event that said so was judged in the old one."""
        rows, model = self._store.rows, self._model
        if not model.segments or (wanted := self._wanted(row)) == (former := int(rows.derived[row, MODEL_SEGMENT])):
            return
        width, rules = len(model.inputs) + 2, self._rules
        truths, closes = np.empty((1, rules), np.int8), np.zeros((1, width), np.int64)
        healths, distances = np.empty(1), np.empty(1)
        is_kept = np.ones(rules, np.bool_)
        self._outflow.take_moves()
        leave_model(
            *(self._plan, self._store.handle, self._work, row, row + 1, NO_VALUE),
            *(is_kept, row, truths, closes, healths, distances),
        )
        band = int(rows.ints[row, BAND])
        rows.derived[row, MODEL_SEGMENT] = wanted
        enter_model(
            *(self._plan, self._store.handle, self._work, row, row + 1),
            *(RESOLUTION_SEGMENT, row, truths, closes, distances),
        )
        rows.dirty[row] |= HOT | COLD | SNAPSHOT
        self._tell(row, former, wanted, band, float(healths[0]))

    def _wanted(self, row: int) -> int:
        return segment_of(self._model.segments, self._store.profile(row))

    def _tell(self, row: int, former: int, wanted: int, band: int, health: float) -> None:
        names = [None, *(segment.name for segment in self._model.segments)]
        told = {
            "code": SEGMENT_CHANGED,
            "from": names[former],
            "to": names[wanted],
            "band": (*self._model.band_names, INSUFFICIENT_DATA)[band],
            "health": None if math.isnan(health) else health,
        }
        self._outflow.moved(row, b',"segment_change":' + orjson.dumps(told))
