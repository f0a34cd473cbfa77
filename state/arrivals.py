"""What a partition hears of its producers, for whoever watches them: who sends, how much, when last, and how late.

None of it is state: nothing is decided by it, and a restart forgets it. It is counted where events are decoded, once for
each chunk, so that an event costs some nanoseconds; a topic whose events state no source pays nothing for sources.
"""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from state.decode import Chunk
from state.layout import DAY_MS

SOURCES: Final = 15
"""Sources of a topic that are told apart, by first mention; the others are counted together."""
UNSTATED: Final = "(none)"
OTHERS: Final = "(other)"
DELAYS_MS: Final = (100, 500, 1_000, 5_000, 30_000, 300_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000)
"""Upper bounds for how long after it happened an event was written; up to a week: some producers deliver by the day."""


class Arrivals:
    """Counts since it was made or last emptied.

    Attributes
    ----------
    records : Counter
        (topic, source) → valid events.
    newest_ms : dict
        (topic, source) → record timestamp of the last one.
    late : Counter
        Topic → events of a UTC day that was over when their record was written.
    delays : int64 array
        Events by how long after they happened their record was written: up to each of DELAYS_MS, and longer.
    delay_ms : int
        Sum of those times.
    """

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self.empty()

    def empty(self) -> None:
        """Begin to count anew; which sources are told apart stays."""
        self.records: Counter[tuple[str, str]] = Counter()
        self.newest_ms: dict[tuple[str, str], int] = {}
        self.late: Counter[str] = Counter()
        self.delays: NDArray[np.int64] = np.zeros(len(DELAYS_MS) + 1, np.int64)
        self.delay_ms = 0

    def note(self, topic: str, chunk: Chunk) -> None:
        """Count the accepted events of a chunk."""
        stamps = chunk.timestamp_ms
        if not stamps.size:
            return
        if chunk.source is None:
            self.records[topic, UNSTATED] += stamps.size
            self.newest_ms[topic, UNSTATED] = int(stamps[-1])
        else:
            newest = dict(zip(chunk.source, stamps.tolist(), strict=True))  # of each source the last one stays
            for source, count in Counter(chunk.source).items():
                place = topic, self._name(topic, source)
                self.records[place] += count
                self.newest_ms[place] = newest[source]
        delays = np.maximum(stamps - chunk.occurred_at_ms, 0)
        if not delays.any():
            self.delays[0] += stamps.size
            return
        self.delays += np.bincount(np.searchsorted(DELAYS_MS, delays), minlength=self.delays.size)
        self.delay_ms += int(delays.sum())
        self.late[topic] += int(np.count_nonzero(chunk.occurred_at_ms // DAY_MS < stamps // DAY_MS))

    def _name(self, topic: str, source: str | None) -> str:
        if source is None:
            return UNSTATED
        names = self._names.setdefault(topic, set())
        if source not in names:
            if len(names) == SOURCES:
                return OTHERS
            names.add(source)
        return source
