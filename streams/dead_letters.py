"""Rejected records: what they are, and sending them again once the reason is gone.

A replay remembers how far it came, per reason, as the metadata of offsets that the group `{app id}-dead-letters`
commits in the same transaction as the records: a second replay sends nothing twice, and a crash in between sends
nothing at all.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from state.events import EVENT_TYPES
from streams.outbox import Outbox
from streams.reading import committed, read_all
from streams.settings import Settings

EVERY_REASON = "*"
UNDELIVERED = "UNDELIVERED"
"""The reason of an alert that a target of the notifier never took; `path` is the target. Every other one is a rejection's."""
# Of no use without the headers and the moment they were written at.
INTERNAL_TOPICS = frozenset({"ticks", "rerouted", "cohorts"})


@dataclass(frozen=True)
class DeadLetter:
    """One rejected record.

    Attributes
    ----------
    partition, offset
        Where it is in `dead-letters`.
    topic
        Bellwether's name of the topic it was read from.
    source_partition, source_offset
        Where it was in that topic.
    reason, path, given
        The rejection: code, place in the record, offending value.
    record
        As it was consumed: key, value and headers.
    """

    partition: int
    offset: int
    topic: str
    source_partition: int
    source_offset: int
    reason: str
    path: str
    given: str
    record: ConsumerRecord

    @classmethod
    def of(cls, record: ConsumerRecord, prefix: str = "") -> Self:
        """Read a record of `dead-letters`; `prefix` is that of the topics' names."""
        headers = {name: value.decode(errors="replace") for name, value in record.headers if name.startswith("bw_")}
        return cls(
            partition=record.partition,
            offset=record.offset,
            topic=headers.get("bw_topic", "").removeprefix(prefix),
            source_partition=int(headers.get("bw_partition", "-1")),
            source_offset=int(headers.get("bw_offset", "-1")),
            reason=headers.get("bw_reason", ""),
            path=headers.get("bw_path", ""),
            given=headers.get("bw_given", ""),
            record=record,
        )

    @property
    def can_be_replayed(self) -> bool:
        """Whether its topic takes events from outside."""
        return self.topic in EVENT_TYPES and self.topic not in INTERNAL_TOPICS


@dataclass
class Replay:
    """What a replay sent, per reason, and what it left alone."""

    sent: Counter[str]
    already_sent: int = 0
    internal: int = 0


async def find(settings: Settings, reason: str | None = None) -> list[DeadLetter]:
    """Return the dead letters, in order per partition; with `reason` (a code), only those."""
    records = read_all(settings, settings.topic("dead-letters"))
    letters = [DeadLetter.of(record, settings.topic_prefix) async for record in records]
    return [letter for letter in letters if reason in (None, letter.reason)]


async def replay(
    settings: Settings, reason: str | None = None, *, dry_run: bool = False, again: bool = False
) -> Replay:
    """Send dead letters to the topics they came from, in one transaction: same key and bytes, without `bw_*` headers.

    Parameters
    ----------
    reason
        Send only those with this code.
    dry_run
        Only count.
    again
        Send also those that an earlier replay sent.
    """
    if dry_run:
        return (await _select(settings, reason, again=again))[0]
    # Opened before anything is read: that waits until an earlier replay's transaction has ended in full, so that what
    # it remembered can be seen, and fences one that still runs.
    async with Outbox(settings, transactional_id=_group(settings)) as outbox:
        outcome, letters, known = await _select(settings, reason, again=again)
        if letters:
            await _send(settings, outbox, letters)
            name = settings.topic("dead-letters")
            advanced = _advanced(known, letters, reason).items()
            offsets = {
                TopicPartition(name, partition): OffsetAndMetadata(0, json.dumps(seen)) for partition, seen in advanced
            }
            await outbox.commit(offsets, _group(settings))
    return outcome


async def _select(
    settings: Settings, reason: str | None, *, again: bool
) -> tuple[Replay, list[DeadLetter], dict[int, dict[str, int]]]:
    known = await _remembered(settings)
    outcome, letters = Replay(Counter()), []
    for letter in await find(settings, reason):
        seen = known.get(letter.partition, {})
        if not letter.can_be_replayed:
            outcome.internal += 1
        elif not again and letter.offset < max(seen.get(EVERY_REASON, 0), seen.get(letter.reason, 0)):
            outcome.already_sent += 1
        else:
            letters.append(letter)
            outcome.sent[letter.reason] += 1
    return outcome, letters, known


async def _send(settings: Settings, outbox: Outbox, letters: list[DeadLetter]) -> None:
    for topic in sorted({letter.topic for letter in letters}):
        await outbox.open(settings.topic(topic))
    for letter in letters:
        headers = [(name, value) for name, value in letter.record.headers if not name.startswith("bw_")]
        # Time now: the original record's is not kept, and a rejection as FUTURE is judged against it.
        await outbox.add(settings.topic(letter.topic), letter.record.key, letter.record.value, None, headers)


def _advanced(
    known: Mapping[int, Mapping[str, int]], letters: list[DeadLetter], reason: str | None
) -> dict[int, dict[str, int]]:
    """Return partition → reason → offset before which all are sent, now that `letters` are."""
    advanced = {partition: dict(seen) for partition, seen in known.items()}
    for letter in letters:
        seen, place = advanced.setdefault(letter.partition, {}), reason or EVERY_REASON
        seen[place] = max(seen.get(place, 0), letter.offset + 1)
    return advanced


async def _remembered(settings: Settings) -> dict[int, dict[str, int]]:
    name = settings.topic("dead-letters")
    offsets = await committed(settings, _group(settings))
    return {
        tp.partition: json.loads(kept.metadata) for tp, kept in offsets.items() if tp.topic == name and kept.metadata
    }


def _group(settings: Settings) -> str:
    return f"{settings.app_id}-dead-letters"
