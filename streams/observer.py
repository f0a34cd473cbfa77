"""What the shell tells whoever measures it. The default listens to nothing."""

from state.flush import Flush


class Observer:
    """Receives what happens in the worker; each method does nothing until a subclass counts."""

    def chunk_applied(self, topic: str, records: int, seconds: float) -> None:
        """Take note that a run of records of one topic was applied, sweeps it caused included."""

    def chunk_dropped(self, topic: str, records: int) -> None:
        """Take note that records fetched under a former assignment were thrown away; they are read again."""

    def flushed(self, partition: int, seconds: float, flush: Flush) -> None:
        """Take note that a flush was committed, ``seconds`` after it was taken."""

    def restored(self, partition: int, records: int, seconds: float) -> None:
        """Take note that a partition was restored from its changelog."""

    def assigned(self, partitions: frozenset[int]) -> None:
        """Take note of the partitions this process owns from now on."""

    def tick_written(self, partition: int, as_of_ms: int) -> None:
        """Take note that a tick was written."""

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Take note of how many offsets of a topic's partition are not applied yet."""
