"""What of one partition a target has not got yet: in the order of each alert, each with its tries. Pure.

::

    offsets   … 40  41  42  43  44 | 45 …
                ok  ok  no  ok  no | not read yet
                        └ due in 5 min, 2 tries
                                └ the same alert as 42: waits behind it, or a late "firing" would follow its "resolved"

What is committed is the position (45) and, as its metadata, where the target began and the few offsets before the
position that are still owed with their tries. So one delivery that fails for hours holds neither the others nor, after a restart, makes them go out again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

OWED_AT_MOST: Final = 100
"""Deliveries owed per partition: about 2.5 KB of metadata, of the 4 KB that Kafka keeps. Then reading waits."""
VERSION: Final = 1


@dataclass(slots=True)
class Owed:
    """One delivery that is not made yet.

    Parameters
    ----------
    offset
        Of its record.
    alert
        The alert's record, decoded.
    tries
        Made so far.
    due_ms
        When the next one is due, milliseconds UTC.
    is_under_way
        Whether one is being made.
    is_unanswered
        Whether the last try met nobody: such a one is tried at once when the target answers another.
    """

    offset: int
    alert: dict[str, Any]
    tries: int = 0
    due_ms: int = 0
    is_under_way: bool = False
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier process committed: the position, what it still owed (offset → tries, due), and a place that is gone.

    `since` is the first offset that was ever for this target.
    """

    position: int
    owed: dict[int, tuple[int, int]] = field(default_factory=dict)
    gone: str = ""
    since: int = 0

    @property
    def start(self) -> int:
        """Offset to read from, so that everything owed is met again."""
        return min(self.owed, default=self.position)


def remembered(position: int, metadata: str) -> Remembered:
    """Return what was committed; metadata that is not ours counts as none.

    Parameters
    ----------
    position
        The committed offset.
    metadata
        The text committed beside it.
    """
    try:
        known = json.loads(metadata or "{}")
    except ValueError:
        return Remembered(position)
    if not isinstance(known, dict) or known.get("version") != VERSION:
        return Remembered(position)
    owed = {position - back: (tries, due_seconds * 1000) for back, tries, due_seconds in known["owed"]}
    return Remembered(position, owed, known.get("gone", ""), known.get("since", 0))


class Backlog:
    """The deliveries owed of one partition.

    Parameters
    ----------
    known
        What an earlier process committed.
    """

    def __init__(self, known: Remembered) -> None:
        self._known = known
        self._owed: dict[int, Owed] = {}  # by offset, rising
        self._position = known.start
        self.gone = known.gone
        self.is_changed = False

    @property
    def position(self) -> int:
        """Next offset to read."""
        return self._position

    @property
    def since(self) -> int:
        """First offset that was ever for this target."""
        return self._known.since

    @property
    def waiting(self) -> int:
        """How many deliveries are owed."""
        return len(self._owed)

    @property
    def alerts(self) -> set[str]:
        """Ids of the alerts of which a delivery is owed."""
        return {owed.alert["alert_id"] for owed in self._owed.values()}

    @property
    def is_full(self) -> bool:
        """Whether reading must wait."""
        return len(self._owed) >= OWED_AT_MOST

    def add(self, offset: int, alert: dict[str, Any] | None) -> None:
        """Take a record: owed, unless it is None (not for this target) or an earlier process has delivered it."""
        if offset < self._position:
            return
        self.pass_to(offset + 1)
        is_old = offset < self._known.position
        if alert is None or (is_old and offset not in self._known.owed):
            return
        tries, due_ms = self._known.owed.get(offset, (0, 0)) if is_old else (0, 0)
        self._owed[offset] = Owed(offset, alert, tries, due_ms)

    def pass_to(self, position: int) -> None:
        """Note that everything before an offset was read: records, or transaction markers that nobody sees."""
        if position > self._position:
            self._position = position
            self.is_changed = self.is_changed or position > self._known.position

    def due(self, now_ms: int) -> Iterator[Owed]:
        """Yield what may be tried now: of each alert only the oldest, none that is under way."""
        seen = set()
        for owed in list(self._owed.values()):
            identity = owed.alert["alert_id"]
            if identity not in seen and not owed.is_under_way and owed.due_ms <= now_ms:
                yield owed
            seen.add(identity)

    def settle(self, owed: Owed) -> None:
        """Note that nothing more is owed: it was delivered, or given up."""
        del self._owed[owed.offset]
        self.is_changed = True

    def hurry(self) -> None:
        """Make everything due that met nobody: the target answers again."""
        for owed in self._owed.values():
            if owed.is_unanswered:
                owed.due_ms, owed.is_unanswered = 0, False
                self.is_changed = True

    def postpone(self, owed: Owed, due_ms: int, *, is_unanswered: bool) -> None:
        """Note a failed try and when the next one is due."""
        owed.tries += 1
        owed.due_ms = due_ms
        owed.is_under_way = False
        owed.is_unanswered = is_unanswered
        self.is_changed = True

    def committed(self) -> tuple[int, str]:
        """Return the offset and the metadata to commit: what `remembered` reads."""
        # While what an earlier process owed is read again the position stays its own.
        position = max(self._position, self._known.position)
        owed = {each.offset: (each.tries, each.due_ms) for each in self._owed.values()}
        owed |= {offset: kept for offset, kept in self._known.owed.items() if offset >= self._position}
        self.is_changed = False
        entries = [[position - offset, tries, -(-due_ms // 1000)] for offset, (tries, due_ms) in sorted(owed.items())]
        known = {"version": VERSION, "since": self._known.since, "owed": entries}
        known |= {"gone": self.gone} if self.gone else {}
        return position, json.dumps(known, separators=(",", ":"))
