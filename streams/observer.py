"""What the shell tells whoever measures it. The default listens to nothing."""

from collections.abc import Iterable, Sequence

from state.flush import Flush
from streams.merge import Run


class Observer:
    """Receives what happens in the worker; each method does nothing until a subclass counts."""

    def attached(self, leases: Iterable[object]) -> None:
        """Take note of where the owned leases are to be found from now on; there are none yet."""

    def applied(self, partition: int, runs: Sequence[Run], seconds: float, *, is_urgent: bool) -> None:
        """Take note that runs (topic, records) were applied, with the sweep they caused, and whether an alert waits now."""

    def chunk_dropped(self, topic: str, records: int) -> None:
        """Take note that records fetched under a former assignment were thrown away; they are read again."""

    def encoded(self, partition: int, seconds: float) -> None:
        """Take note that a flush was taken: what was applied from now on goes into the next one."""

    def flushed(self, partition: int, seconds: float, flush: Flush) -> None:
        """Take note that a flush was committed, ``seconds`` after it was taken."""

    def restored(self, partition: int, records: int, seconds: float) -> None:
        """Take note that a partition was restored from its changelog."""

    def assigned(self, partitions: frozenset[int]) -> None:
        """Take note of the partitions this process owns from now on."""

    def rebalanced(self, seconds: float) -> None:
        """Take note that partitions are served again, ``seconds`` after they were given up."""

    def tick_written(self, partition: int, as_of_ms: int) -> None:
        """Take note that a tick was written."""

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Take note of how many offsets of a topic's partition are not applied yet."""

    def stood_still(self, seconds: float) -> None:
        """Take note of for how long work has waited without any movement; 0 when none waits."""

    def projected(self, topic: str, partition: int, records: int, seconds: float) -> None:
        """Take note that records of ``scores`` or ``alerts`` were written to Redis."""

    def projection_delayed(self, seconds: float) -> None:
        """Take note of how long the oldest record of a call took from its topic to Redis."""

    def reached_redis(self, moments_ms: Sequence[int]) -> None:
        """Take note of what records that are in Redis now, for the first time, speak of: moments in milliseconds UTC."""

    def projection_lag(self, topic: str, partition: int, records: int) -> None:
        """Take note of how many offsets of ``scores`` or ``alerts`` are not in Redis yet."""

    def projection_rewound(self, topic: str, partition: int) -> None:
        """Take note that Redis had lost data, or held another log's, and is filled again."""

    def projection_unreadable(self, topic: str, partition: int) -> None:
        """Take note that a record was left out of Redis because nobody can read it."""

    def redis_answers(self, *, is_up: bool) -> None:
        """Take note of whether Redis takes what the projector writes."""
