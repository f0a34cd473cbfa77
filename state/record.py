"""What is read of a Kafka record, by the core and by the shell alike; aiokafka's ConsumerRecord is one."""

from collections.abc import Sequence
from typing import Protocol

Headers = Sequence[tuple[str, bytes | None]]
"""Names and bytes; Kafka allows a header without a value."""


class Keyed(Protocol):
    """What is read of a record of the changelog."""

    @property
    def key(self) -> bytes | None:
        """Key bytes as written."""

    @property
    def value(self) -> bytes | None:
        """Value bytes as written; None is a tombstone."""


class Record(Protocol):
    """One record of a topic, as a consumer delivers it."""

    @property
    def offset(self) -> int:
        """Offset in its partition, ≥ 0."""

    @property
    def timestamp(self) -> int:
        """Record timestamp, milliseconds UTC."""

    @property
    def key(self) -> bytes | None:
        """Key bytes as written."""

    @property
    def value(self) -> bytes | None:
        """Value bytes as written; None is a tombstone."""

    @property
    def headers(self) -> Headers:
        """Names and bytes, in order."""
