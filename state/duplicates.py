"""Which events of a partition were seen before: 64-bit hashes of (source, id) in two generations.

An id is looked for in the current and the previous generation. A generation ends when it is full or when the records'
timestamps enter another hour, whichever comes first; the previous one is then forgotten. So an id is remembered for at
least one generation and at most two, and everything follows from the order of the log: a replay forgets the same ids.
"""

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from scoring.jit import entry, part
from state.layout import HOUR_MS, NO_VALUE

GENERATION: Final = 1 << 16
"""Ids in a generation; its table is twice as large."""
BLOCK: Final = 512
"""Ids in one changelog record: a flush rewrites the block it last filled in part, 4 KiB at most."""

_HOUR = 0
_COUNT = 1
_GENERATION = 2
_FORGOTTEN_BEFORE = 3
_STARTED_AT = 4
_PREVIOUS_STARTED_AT = 5
_UNCHECKED = 6


@part
def _contains(table: NDArray[np.uint64], identity: int) -> bool:
    mask = table.size - 1
    place = np.int64(identity & np.uint64(mask))
    while table[place] != 0:
        if table[place] == identity:
            return True
        place = (place + 1) & mask
    return False


@entry
def _insert(table: NDArray[np.uint64], identity: int) -> np.int64:
    mask = table.size - 1
    place = np.int64(identity & np.uint64(mask))
    while table[place] != 0:
        place = (place + 1) & mask
    table[place] = identity
    return place


@entry
def _check(
    current: NDArray[np.uint64],
    previous: NDArray[np.uint64],
    ids: NDArray[np.uint64],
    places: NDArray[np.int64],
    state: NDArray[np.int64],
    identities: NDArray[np.uint64],
    stamps: NDArray[np.int64],
    occurred: NDArray[np.int64],
    is_duplicate: NDArray[np.bool_],
    is_unchecked: NDArray[np.bool_],
    first: int,
) -> int:
    """Check events from `first` on; return the first one that must wait for a new generation, else their number."""
    for i in range(first, identities.size):
        hour = stamps[i] // HOUR_MS
        if state[_COUNT] == ids.size or (hour > state[_HOUR] and state[_COUNT] > 0):
            state[_HOUR] = max(hour, state[_HOUR])
            return i
        state[_HOUR] = max(hour, state[_HOUR])
        if state[_STARTED_AT] == NO_VALUE:
            state[_STARTED_AT] = stamps[i]
        identity = identities[i]
        is_duplicate[i] = False
        if identity == 0:
            continue
        if _contains(current, identity) or _contains(previous, identity):
            is_duplicate[i] = True
            continue
        if occurred[i] < state[_FORGOTTEN_BEFORE]:
            is_unchecked[i] = True
            state[_UNCHECKED] += 1
        places[state[_COUNT]] = _insert(current, identity)
        ids[state[_COUNT]] = identity
        state[_COUNT] += 1
    return identities.size


@entry
def _end_generation(
    forgotten: NDArray[np.uint64], places: NDArray[np.int64], count: int, state: NDArray[np.int64]
) -> int:
    """Empty the table of the generation before the last, which had so many ids, and begin one; return how many the last has."""
    for k in range(count):
        forgotten[places[k]] = 0
    ended = state[_COUNT]
    if state[_PREVIOUS_STARTED_AT] != NO_VALUE:
        state[_FORGOTTEN_BEFORE] = state[_STARTED_AT]
    state[_PREVIOUS_STARTED_AT] = state[_STARTED_AT]
    state[_STARTED_AT] = NO_VALUE
    state[_COUNT] = 0
    state[_GENERATION] += 1
    return ended


class Duplicates:
    """The ids one partition remembers.

    Parameters
    ----------
    generation
        Ids per generation, a power of two; fewer forget sooner (tests).
    """

    def __init__(self, generation: int = GENERATION) -> None:
        self._current = np.zeros(2 * generation, np.uint64)
        self._previous = np.zeros(2 * generation, np.uint64)
        self._ids = np.zeros(generation, np.uint64)
        # Where the ids stand, so that emptying a table costs what filling it did: in a quiet hour, nearly nothing.
        self._places = np.zeros(generation, np.int64)
        self._previous_places = np.zeros(generation, np.int64)
        self._previous_count = 0
        self._state = np.array([0, 0, 0, NO_VALUE, NO_VALUE, NO_VALUE, 0], np.int64)
        self.is_unchecked = np.zeros(0, np.bool_)
        """Which events of the last check were accepted although a repeat of them would go unseen."""
        self._written = 0
        self._blocks: dict[tuple[int, int], bytes] = {}
        self._ended: list[tuple[int, int, bytes]] = []

    @property
    def unchecked(self) -> int:
        """How many accepted events so far were older than what is remembered: a repeat of them would go unseen."""
        return int(self._state[_UNCHECKED])

    def check(
        self, identities: NDArray[np.uint64], stamps: NDArray[np.int64], occurred: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return for each event whether it repeats one that is remembered; remember the others.

        Parameters
        ----------
        identities
            Hashes of (source, id) in log order; 0 = the event has no id and is never a duplicate.
        stamps, occurred
            Record timestamp and event time, milliseconds.
        """
        result = np.zeros(identities.size, np.bool_)
        self.is_unchecked = np.zeros(identities.size, np.bool_)
        done = 0
        while True:
            done = _check(
                self._current,
                self._previous,
                self._ids,
                self._places,
                self._state,
                identities,
                stamps,
                occurred,
                result,
                self.is_unchecked,
                done,
            )
            if done == identities.size:
                return result
            self._turn()

    def _turn(self) -> None:
        """End the current generation: it becomes the previous one."""
        self._ended += self._unwritten()
        self._current, self._previous = self._previous, self._current
        self._places, self._previous_places = self._previous_places, self._places
        self._previous_count = _end_generation(self._current, self._places, self._previous_count, self._state)
        self._written = 0

    def _unwritten(self) -> list[tuple[int, int, bytes]]:
        count = int(self._state[_COUNT])
        if count == self._written:
            return []
        generation, stamp = int(self._state[_GENERATION]), self._stamp()
        first = self._written // BLOCK * BLOCK
        return [
            (generation % 2, start // BLOCK, stamp + self._ids[start : min(start + BLOCK, count)].tobytes())
            for start in range(first, count, BLOCK)
        ]

    def _stamp(self) -> bytes:
        return int(self._state[_GENERATION]).to_bytes(8, "little")

    @classmethod
    def knowing(cls, all_known: Sequence["Duplicates"]) -> Self:
        """Return one that knows what others know, and has seen nothing yet: their newest ids, as many as a generation holds."""
        made = cls()
        share = made._ids.size // max(len(all_known), 1)
        known = [each.known() for each in all_known]
        is_cut = sum(ids.size for ids in known) > made._ids.size
        ids = np.concatenate([made._ids[:0], *(each[-share:] if is_cut else each for each in known)])
        states = [state for each in all_known if (state := each.snapshot())[_STARTED_AT] != NO_VALUE]
        if not states:
            return made
        bounds = [state[_STARTED_AT if is_cut else _FORGOTTEN_BEFORE] for state in states]
        made._state[_HOUR] = max(state[_HOUR] for state in states)
        made._state[_GENERATION] = 1
        made._state[_FORGOTTEN_BEFORE] = max(bounds)
        made._state[_PREVIOUS_STARTED_AT] = min(state[_STARTED_AT] for state in states)
        made._previous_count = ids.size
        made._previous_places[: ids.size] = [_insert(made._previous, identity) for identity in ids]
        stamp = (0).to_bytes(8, "little")
        made._ended = [
            (0, start // BLOCK, stamp + ids[start : start + BLOCK].tobytes()) for start in range(0, ids.size, BLOCK)
        ]
        return made

    def known(self) -> NDArray[np.uint64]:
        """Return the ids that are remembered, oldest first."""
        previous = self._previous[self._previous_places[: self._previous_count]]
        return np.concatenate([previous, self._ids[: int(self._state[_COUNT])]])

    def take_records(self) -> list[tuple[int, int, bytes]]:
        """Return the blocks to write: (generation's parity, block number, generation number and ids as bytes)."""
        records = self._ended + self._unwritten()
        self._ended = []
        self._written = int(self._state[_COUNT])
        return records

    def snapshot(self) -> list[int]:
        """Return the numbers that, with the blocks, restore this object."""
        return self._state.tolist()

    def load_block(self, parity: int, block: int, value: bytes) -> None:
        """Take one written block during a restore, in log order."""
        self._blocks[parity, block] = value

    def finish_load(self, snapshot: list[int]) -> None:
        """Restore from the blocks taken and a snapshot; blocks of forgotten generations are left out."""
        self._state[:] = snapshot
        generation = int(self._state[_GENERATION])
        for (_, block), value in sorted(self._blocks.items()):
            of = int.from_bytes(value[:8], "little")
            ids = np.frombuffer(value, np.uint64, offset=8)
            if of not in (generation, generation - 1):
                continue
            start = block * BLOCK
            is_current = of == generation
            table, places = (self._current, self._places) if is_current else (self._previous, self._previous_places)
            places[start : start + ids.size] = [_insert(table, identity) for identity in ids]
            if is_current:
                self._ids[start : start + ids.size] = ids
            else:
                self._previous_count = max(self._previous_count, start + ids.size)
        self._blocks = {}
        self._written = int(self._state[_COUNT])
