"""Carries the rows of one model over to another by meaning: what both speak of is kept, the rest begins empty.

Signals are the same where they store the same (their fingerprints), inputs, overrides, rules and bands where they are
called the same. Columns move; no number changes here. `state.switching` then judges the rows under the new model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring import lifecycle
from scoring import plan as p
from scoring.bands import INSUFFICIENT
from scoring.compile import Compiled
from state.items import index_items
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
    DISTINCT_HEAD,
    FIXED,
    HOT,
    NO_VALUE,
    OPEN_HEAD,
    RULE_COLUMNS,
    RULE_EPISODE,
    RULE_SINCE,
    RULE_STATE,
    SIGNAL_COLUMNS,
    SNAPSHOT,
    TILE_DAYS,
)
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


def carry(old: AccountStore, old_plan: p.Plan, store: AccountStore, plan: p.Plan, kin: Kinship) -> NDArray[np.int64]:
    """Fill an empty store of the new layout with the rows of the old one, in their order; all of them are to be written.

    Rows that never began (all that came for them was a repetition) stand in no changelog, and are left behind. What
    `state.derive` makes is not made yet.

    Returns
    -------
    int64 array
        Which row of the old store each row was.
    """
    chosen = np.flatnonzero(old.rows.ints[: len(old), AS_OF] != NO_VALUE)
    items = _items(old, chosen, kin)
    store.reserve(chosen.size, items.size)
    for row in chosen.tolist():
        number = store.number(old.names[row])
        if row in old.profiles:
            store.profiles[number] = old.profiles[row]
    _carry_ints(old, chosen, old_plan, store, plan, kin)
    _carry_tiles(old, chosen, old_plan, store, plan, kin)
    _carry_closes(old, chosen, store, kin)
    rows = store.rows
    rows.derived[: chosen.size, DAY] = old.rows.derived[chosen, DAY]
    rows.items[: items.size] = items
    rows.used[0] = items.size
    _chain(store, plan)
    is_closed = rows.ints[: chosen.size, CLOSED] != 0
    rows.dirty[: chosen.size] = HOT | COLD | np.where(is_closed, old.rows.dirty[chosen] & SNAPSHOT, 0)
    return chosen


def _carry_ints(
    old: AccountStore,
    chosen: NDArray[np.int64],
    old_plan: p.Plan,
    store: AccountStore,
    plan: p.Plan,
    kin: Kinship,
) -> None:
    before, after = old.rows.ints[chosen], store.rows.ints[: chosen.size]
    was, layout = old.layout, store.layout
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
        elif plan.rules[number, p.RULE_FOR] != old_plan.rules[former, p.RULE_FOR]:
            pending = after[:, column + RULE_STATE] == lifecycle.PENDING
            after[pending, column + RULE_SINCE] = after[pending, AS_OF]


def _carry_tiles(
    old: AccountStore,
    chosen: NDArray[np.int64],
    old_plan: p.Plan,
    store: AccountStore,
    plan: p.Plan,
    kin: Kinship,
) -> None:
    planes: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {
        p.PLANE_NARROW: (old.rows.narrow, store.rows.narrow),
        p.PLANE_WIDE: (old.rows.wide, store.rows.wide),
    }
    for number, former in enumerate(kin.signals.tolist()):
        plane = int(plan.signals[number, p.SIGNAL_PLANE])
        if former >= 0 and plane in planes:
            source, target = planes[plane]
            start = int(old_plan.signals[former, p.SIGNAL_SLOT]) * TILE_DAYS
            end = int(plan.signals[number, p.SIGNAL_SLOT]) * TILE_DAYS
            target[: chosen.size, end : end + TILE_DAYS] = source[chosen, start : start + TILE_DAYS]


def _carry_closes(old: AccountStore, chosen: NDArray[np.int64], store: AccountStore, kin: Kinship) -> None:
    """Copy which days have a close, and the contributions that both models know to their new places."""
    store.rows.totals[: chosen.size] = old.rows.totals[chosen]
    before = old.rows.closes.reshape(-1, CLOSE_DAYS, old.layout.contributions)
    after = store.rows.closes.reshape(-1, CLOSE_DAYS, store.layout.contributions)
    for number, former in enumerate(kin.contributions.tolist()):
        if former >= 0:
            after[: chosen.size, :, number] = before[chosen, :, former]


def _items(old: AccountStore, chosen: NDArray[np.int64], kin: Kinship) -> NDArray[np.void]:
    """Return the items of the chosen rows' signals that both models know, with the new numbers of row and signal."""
    items = old.rows.items[: int(old.rows.used[0])]
    signals = np.full(old.layout.signals + 1, -1, np.int64)
    for number, former in enumerate(kin.signals.tolist()):
        if former >= 0:
            signals[former] = number
    numbers = np.full(len(old) + 1, -1, np.int64)
    numbers[chosen] = np.arange(chosen.size)
    signal, row = signals[items["signal"]], numbers[items["row"]]
    is_kept = (signal >= 0) & (row >= 0)
    kept = items[is_kept].copy()
    kept["signal"], kept["row"] = signal[is_kept], row[is_kept]
    return kept


def _chain(store: AccountStore, plan: p.Plan) -> None:
    """Chain the items of each row and kind, and fill the hash places."""
    rows = store.rows
    items = rows.items[: int(rows.used[0])]
    is_distinct = plan.signals[:, p.SIGNAL_MEASURE] == p.DISTINCT
    for head, own in ((DISTINCT_HEAD, True), (OPEN_HEAD, False)):
        numbers = np.flatnonzero(is_distinct[items["signal"]] == own)
        numbers = numbers[np.argsort(items["row"][numbers], kind="stable")]
        row = items["row"][numbers].astype(np.int64)
        following = np.append(numbers[1:], -1)
        is_last = np.append(row[1:] != row[:-1], True) if numbers.size else np.empty(0, np.bool_)
        items["next"][numbers] = np.where(is_last, -1, following[: numbers.size])
        is_first = np.append(True, row[1:] != row[:-1]) if numbers.size else is_last
        rows.derived[row[is_first], head] = numbers[is_first]
    index_items(store.handle)
