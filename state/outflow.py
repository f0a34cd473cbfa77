"""What a partition tells the world in a flush: alerts from the kernel's moves, snapshots of rows that have news."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from state.alerts import Origin, alert_message
from state.flush import Message
from state.layout import AS_OF, CLOSED, SNAPSHOT
from state.score import score_many
from state.snapshots import snapshot_message, snapshot_of
from state.store import AccountStore
from state.telling import Teller
from state.work import MOVE_ROW


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
    plan, work
        Handles of the plan and the scratch room.
    picture_width
        Columns of `Work.pictures`.
    """

    def __init__(
        self, compiled: Compiled, origin: Origin, store: AccountStore, plan: Any, work: Any, picture_width: int
    ) -> None:
        self._teller = Teller(compiled)
        self._origin = origin
        self._store = store
        self._plan = plan
        self._work = work
        self._width = picture_width

    def alert(self, move: list[int], picture: list[float], sequence: int) -> Message:
        """Return the record of one announced move, in the flush of that number."""
        row = move[MOVE_ROW]
        account, profile = self._store.names[row], self._store.profile(row)
        return alert_message(self._teller, self._origin, account, profile, move, picture, sequence)

    def snapshots(self, clock_ms: int, sequence: int) -> list[Message]:
        """Return the records of the rows that have news, as of the clock; the news counts as told."""
        rows = self._store.rows
        chosen = np.flatnonzero(rows.dirty[: len(self._store)] & SNAPSHOT)
        if not chosen.size:
            return []
        rows.dirty[chosen] &= ~np.uint8(SNAPSHOT)
        closed = chosen[rows.ints[chosen, CLOSED] != 0].tolist()
        tombstones = [Message(self._store.names[row].encode(), None, (), int(rows.ints[row, AS_OF])) for row in closed]
        pictures = self.pictures(chosen[rows.ints[chosen, CLOSED] == 0], clock_ms, sequence)
        return tombstones + [snapshot_message(snapshot, at_ms) for at_ms, snapshot in pictures]

    def pictures(self, chosen: NDArray[np.int64], clock_ms: int, sequence: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Score rows as of the clock or their own later time; yield that time and the snapshot of each."""
        store = self._store
        pictures = np.empty((chosen.size, self._width))
        at = np.empty(chosen.size, np.int64)
        score_many(self._plan, store.handle, self._work, chosen, clock_ms, pictures, at)
        lines = zip(chosen.tolist(), store.rows.ints[chosen].tolist(), pictures.tolist(), at.tolist(), strict=True)
        for row, ints, picture, at_ms in lines:
            account, profile = store.names[row], store.profile(row)
            yield at_ms, snapshot_of(self._teller, account, profile, ints, picture, at_ms, sequence)
