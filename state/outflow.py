"""What a partition tells the world in a flush: alerts from the kernel's moves, snapshots of rows that have news."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.model import Model
from state.alerts import Alerts, Origin
from state.flush import Message
from state.layout import AS_OF, CLOSED, SNAPSHOT
from state.snapshots import Change, Snapshots
from state.store import AccountStore
from state.telling import Teller
from state.work import COUNT_MOVES, Work


class Changes(NamedTuple):
    """What snapshots say beside the score: the change of the model behind them, and by row a member on its move of segment."""

    model: Change | None
    moved: Mapping[int, bytes]


NO_CHANGES: Final = Changes(None, {})


class Outflow:
    """Builds the records of one partition.

    Parameters
    ----------
    compiled
        The model.
    origin
        Where alerts say they come from.
    store
        The accounts.
    plan
        Handle of the plan.
    scratch, work
        The scratch room in which the kernel leaves its moves, and its handle.
    """

    def __init__(
        self, compiled: Compiled, origin: Origin, store: AccountStore, plan: Any, scratch: Work, work: Any
    ) -> None:
        teller = Teller(compiled)
        self._store = store
        self._scratch = scratch
        self._change: Change | None = None
        self._moved: dict[int, bytes] = {}
        self._snapshots = Snapshots(teller, store, plan, work, compiled.model.owner)
        self._alerts = Alerts(compiled, teller, origin, store, plan, work)
        self._moves: list[NDArray[np.int64]] = []
        self._pictures: list[NDArray[np.float64]] = []

    @property
    def has_moves(self) -> bool:
        """Whether moves were taken that no alert tells of yet."""
        return bool(self._moves)

    def take_moves(self) -> None:
        """Take the kernel's moves away, so that it has room again."""
        counts = self._scratch.counts
        count = int(counts[COUNT_MOVES])
        if count:
            self._moves.append(self._scratch.moves[:count].copy())
            self._pictures.append(self._scratch.pictures[:count].copy())
            counts[COUNT_MOVES] = 0

    def moves(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the moves taken since the last alerts, in order, and the picture beside each."""
        if not self._moves:
            return self._scratch.moves[:0], self._scratch.pictures[:0]
        return np.concatenate(self._moves), np.concatenate(self._pictures)

    def forget_moves(self) -> None:
        """Let the moves taken count as told, where nobody reads them."""
        self._moves, self._pictures = [], []

    def changed_from(self, model: Model, bands: NDArray[np.int64], healths: NDArray[np.float64]) -> None:
        """Have the next snapshot of every present row say from which model, band and health it comes."""
        self._change = Change(model, bands, healths)

    def moved(self, row: int, member: bytes) -> None:
        """Have the next snapshot of a row say with a member from which of the model's segments it comes."""
        self._moved.setdefault(row, member)

    def alerts(self, sequence: int, order: NDArray[np.intp] | None = None) -> list[Message]:
        """Return the records of all moves taken, in the flush of that number; they count as told.

        Parameters
        ----------
        order
            Places of the moves in the order in which to tell them; None = as they came.
        """
        moves, pictures = self.take_told()
        if order is not None:
            moves, pictures = moves[order], pictures[order]
        return self.alerts_of(moves, pictures, sequence)

    def take_told(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the moves taken since the last alerts, and the picture beside each; they count as told."""
        moves, pictures = self.moves()
        self.forget_moves()
        return moves, pictures

    def alerts_of(self, moves: NDArray[np.int64], pictures: NDArray[np.float64], sequence: int) -> list[Message]:
        """Return the records of some moves, in the flush of that number."""
        return self._alerts.messages(moves, pictures, sequence)

    def news(self) -> tuple[list[Message], NDArray[np.int64]]:
        """Return the tombstones of closed accounts that have news, and the other rows that have; they count as told."""
        rows = self._store.rows
        chosen = np.flatnonzero(rows.dirty[: len(self._store)] & SNAPSHOT)
        rows.dirty[chosen] &= ~np.uint8(SNAPSHOT)
        is_closed = rows.ints[chosen, CLOSED] != 0
        tombstones = [
            Message(self._store.names[row].encode(), None, (), int(rows.ints[row, AS_OF]))
            for row in chosen[is_closed].tolist()
        ]
        return tombstones, chosen[~is_closed]

    def take_changes(self) -> Changes:
        """Return what the next snapshots say of changes of the model and of segments; they are the only ones to do so."""
        changes = Changes(self._change, self._moved)
        self._change, self._moved = None, {}
        return changes

    def snapshots(
        self, chosen: NDArray[np.int64], clock_ms: int, sequence: int, changes: Changes = NO_CHANGES
    ) -> list[Message]:
        """Return the snapshots of rows as of the clock or their own later time."""
        return self._snapshots.messages(chosen, clock_ms, sequence, *changes)
