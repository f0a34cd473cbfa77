"""What one flush of a partition writes. Values only: it knows no broker and no clock."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Message(NamedTuple):
    """One record to be written.

    Parameters
    ----------
    key, value
        The bytes of the record; not both may be absent. A value of None is a tombstone.
    headers
        Names and bytes, in the order in which they are written.
    timestamp
        Record timestamp, milliseconds UTC; None leaves it to the producer.
    partition
        Destination partition; None means the partition that is flushed.
    """

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int | None = None
    partition: int | None = None


class Flush(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one transaction of a partition writes, encoded.

    Parameters
    ----------
    sequence
        Number of the journal record, rising by one per flush of the partition.
    changelog, scores, history, alerts, dead_letters, rerouted, cohorts
        Messages by destination, each in the order in which it is written.
    journal
        The one journal record of this flush.
    offsets
        Input topic → next offset to read (the offsets committed with the flush).
    refused_per_thousand
        Most dead letters among a thousand records in a row, or so many a thousand in a longer stretch: tells a bad
        deploy of a producer from the odd bad record.
    """

    sequence: int
    journal: Message
    offsets: dict[str, int]
    changelog: list[Message] = []
    scores: list[Message] = []
    history: list[Message] = []
    alerts: list[Message] = []
    dead_letters: list[Message] = []
    rerouted: list[Message] = []
    cohorts: list[Message] = []
    refused_per_thousand: int = 0
