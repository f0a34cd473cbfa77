"""Carries the rows of one model over to another by meaning: what both speak of is kept, the rest begins empty.

Signals are the same where they store the same (their fingerprints), inputs, overrides, rules and bands where they are
called the same. Columns move; no number changes here. `state.switching` then judges the rows under the new model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring import lifecycle
from scoring import plan as p
from scoring.bands import INSUFFICIENT
from scoring.compile import Compiled
from state.items import adopt_items
from state.layout import (
    ALERT_SEQUENCE,
    AS_OF,
    BAND,
    CANDIDATE,
    CANDIDATE_SINCE,
    CLOSE_DAYS,
    CLOSED,
    COLD,
    DAY,
    FIXED,
    HOT,
    NO_VALUE,
    RULE_COLUMNS,
    RULE_EPISODE,
    RULE_SINCE,
    RULE_STATE,
    SIGNAL_COLUMNS,
    SNAPSHOT,
)
from state.rows import ITEMS
from state.store import AccountStore


@dataclass(frozen=True, slots=True)
class Kinship:
    """Where each part of a new model stood in the old one, -1 where it did not.

    Parameters
    ----------
    signals, contributions, overrides, rules, bands
        By number in the new model. Contributions are those of the inputs, then of missing data and of overrides.
    ranks
        The new number of each of the old model's bands, and last of all what stands for insufficient data.
    """

    signals: NDArray[np.int64]
    contributions: NDArray[np.int64]
    overrides: NDArray[np.int64]
    rules: NDArray[np.int64]
    bands: NDArray[np.int64]
    ranks: NDArray[np.int64]


def kinship(old: Compiled, new: Compiled) -> Kinship:
    """Return what two models have in common."""
    before, after = old.model, new.model
    inputs = _places([entry.name for entry in before.inputs], [entry.name for entry in after.inputs])
    ranks = _places(after.band_names, before.band_names)
    return Kinship(
        signals=_places([s.fingerprint for s in before.signals], [s.fingerprint for s in after.signals]),
        contributions=np.concatenate([inputs, len(before.inputs) + np.arange(2)]),
        overrides=_places([o.name for o in before.overrides], [o.name for o in after.overrides]),
        rules=_places([rule.name for rule in old.rules], [rule.name for rule in new.rules]),
        bands=_places(before.band_names, after.band_names),
        ranks=np.append(np.where(ranks < 0, INSUFFICIENT, ranks), INSUFFICIENT),
    )


def _places(old: Sequence[str], new: Sequence[str]) -> NDArray[np.int64]:
    known = {name: number for number, name in enumerate(old)}
    return np.array([known.get(name, -1) for name in new], np.int64)


def births_of(births: Mapping[str, int], kin: Kinship, new: Compiled, at_ms: int) -> dict[str, int]:
    """Return since when a new model's signals are counted: fingerprint → ms, of those that a change brought."""
    found = {}
    for signal, former in zip(new.model.signals, kin.signals.tolist(), strict=True):
        born = at_ms if former < 0 else births.get(signal.fingerprint, NO_VALUE)
        if born != NO_VALUE:
            found[signal.fingerprint] = born
    return found


class Side(NamedTuple):
    """The accounts under one of two models, and its plan."""

    store: AccountStore
    plan: p.Plan


class Carrier:
    """Fills an empty store of a new layout with the rows of an old one, in their order; all of them are to be written.

    Rows that never began (all that came for them was a repetition) stand in no changelog, and are left behind. What
    `state.derive` makes is not made yet.

    Parameters
    ----------
    old, new
        Where the rows come from and where they go; the old one stays as it is.
    kin
        What the models have in common.

    Attributes
    ----------
    chosen : int64 array
        Which row of the old store each row was.
    items : int
        How many items the old store has.
    """

    def __init__(self, old: Side, new: Side, kin: Kinship) -> None:
        self._old, self._new, self._kin = old, new, kin
        rows = old.store.rows
        self.chosen = np.flatnonzero(rows.ints[: len(old.store), AS_OF] != NO_VALUE)
        self.items = int(rows.used[ITEMS])
        self._numbers = np.full(len(old.store) + 1, -1, np.int64)
        self._numbers[self.chosen] = np.arange(self.chosen.size)
        self._signals = np.full(old.store.layout.signals + 1, -1, np.int64)
        for number, former in enumerate(kin.signals.tolist()):
            if former >= 0:
                self._signals[former] = number
        new.store.reserve(self.chosen.size, self.items)

    def carry_rows(self, first: int, last: int) -> None:
        """Carry over what become the rows ``[first, last)``; slices come in order."""
        old, store, chosen = self._old.store, self._new.store, self.chosen[first:last]
        for row in chosen.tolist():
            number = store.number(old.names[row])
            if row in old.profiles:
                store.profiles[number] = old.profiles[row]
        place = slice(first, last)
        self._carry_ints(chosen, place)
        self._carry_tiles(chosen, place)
        self._carry_closes(chosen, place)
        rows = store.rows
        rows.derived[place, DAY] = old.rows.derived[chosen, DAY]
        is_closed = rows.ints[place, CLOSED] != 0
        rows.dirty[place] = HOT | COLD | np.where(is_closed, old.rows.dirty[chosen] & SNAPSHOT, 0)

    def carry_items(self, plan: Any, first: int, last: int) -> None:
        """Carry over the old items ``[first, last)`` of signals that both models know, all rows being there; `plan` is the new one's handle."""
        rows = self._new.store.rows
        items = self._old.store.rows.items[first:last]
        signal, row = self._signals[items["signal"]], self._numbers[items["row"]]
        is_kept = (signal >= 0) & (row >= 0)
        kept = items[is_kept]
        kept["signal"], kept["row"] = signal[is_kept], row[is_kept]
        start = int(rows.used[ITEMS])
        rows.items[start : start + kept.size] = kept
        adopt_items(plan, self._new.store.handle, start, start + kept.size)

    def _carry_ints(self, chosen: NDArray[np.int64], place: slice) -> None:
        kin = self._kin
        before, after = self._old.store.rows.ints[chosen], self._new.store.rows.ints[place]
        was, layout = self._old.store.layout, self._new.store.layout
        after[:, :FIXED] = before[:, :FIXED]
        for column in (BAND, CANDIDATE):
            after[:, column] = kin.ranks[before[:, column]]
        # From a band that is gone nobody is on the way anywhere, nor to one that is gone.
        after[after[:, BAND] == INSUFFICIENT, CANDIDATE] = INSUFFICIENT
        after[after[:, CANDIDATE] == INSUFFICIENT, CANDIDATE_SINCE] = 0
        blocks = (
            (kin.contributions, was.entry, layout.entry, 1),
            (kin.signals, was.signal_block, layout.signal_block, SIGNAL_COLUMNS),
            (kin.overrides, was.override_block, layout.override_block, 1),
            (kin.rules, was.rule_block, layout.rule_block, RULE_COLUMNS),
        )
        for numbers, source, target, width in blocks:
            for number, former in enumerate(numbers.tolist()):
                if former >= 0:
                    start, end = source + former * width, target + number * width
                    after[:, end : end + width] = before[:, start : start + width]
        for number, former in enumerate(kin.rules.tolist()):
            column = layout.rule_block + number * RULE_COLUMNS
            if former < 0:
                # No episode of any rule has a greater number: should this rule have been here before, its alerts get new ids.
                after[:, column + RULE_EPISODE] = after[:, ALERT_SEQUENCE]
            elif self._new.plan.rules[number, p.RULE_FOR] != self._old.plan.rules[former, p.RULE_FOR]:
                pending = after[:, column + RULE_STATE] == lifecycle.PENDING
                after[pending, column + RULE_SINCE] = after[pending, AS_OF]

    def _carry_tiles(self, chosen: NDArray[np.int64], place: slice) -> None:
        old, new = self._old.store.rows, self._new.store.rows
        planes: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {
            p.PLANE_NARROW: (old.narrow, new.narrow),
            p.PLANE_WIDE: (old.wide, new.wide),
        }
        plan, old_plan = self._new.plan, self._old.plan
        for number, former in enumerate(self._kin.signals.tolist()):
            plane = int(plan.signals[number, p.SIGNAL_PLANE])
            if former >= 0 and plane in planes:
                source, target = planes[plane]
                target[place, :, plan.signals[number, p.SIGNAL_SLOT]] = source[
                    chosen, :, old_plan.signals[former, p.SIGNAL_SLOT]
                ]

    def _carry_closes(self, chosen: NDArray[np.int64], place: slice) -> None:
        """Copy which days have a close, and the contributions that both models know to their new places."""
        old, new = self._old.store, self._new.store
        new.rows.totals[place] = old.rows.totals[chosen]
        before = old.rows.closes.reshape(-1, CLOSE_DAYS, old.layout.contributions)
        after = new.rows.closes.reshape(-1, CLOSE_DAYS, new.layout.contributions)
        for number, former in enumerate(self._kin.contributions.tolist()):
            if former >= 0:
                after[place, :, number] = before[chosen, :, former]
