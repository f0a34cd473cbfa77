"""Applies a partition's inputs again, in the order its journal says, and keeps the alerts that come of it.

::

    inputs    |<---- no longer in the journal ---->|<---- runs of flush 812, 813, … ---->|
    order      the records' times, ties by topic     the journal's

Where each topic's first run of the kept journal begins is where its guessed part ends.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiokafka.structs import ConsumerRecord

from scoring.compile import Compiled
from state.flush import Flush, Message
from state.layout import INPUT_TOPICS
from state.partition import Partition
from streams.reading import read_all
from streams.scorer import new_partition
from streams.settings import Settings

SWEEP_ROWS: Final = 100_000
ENDLESS: Final = 2**63 - 1


@dataclass
class Refolded:
    """What came of it.

    Attributes
    ----------
    first_flush
        Number of the first flush whose runs the journal still has.
    alerts
        The wanted ones, by CloudEvents id.
    folded, guessed
        Input records applied, and how many of them in a guessed order.
    missing
        What is no longer there, as sentences.
    """

    first_flush: int = 1
    alerts: dict[str, Message] = field(default_factory=dict)
    folded: int = 0
    guessed: int = 0
    missing: tuple[str, ...] = ()


async def refold(
    settings: Settings,
    compiled: Compiled,
    number: int,
    last: int,
    wanted: Collection[str],
    tell: Callable[[int, int], None],
) -> Refolded:
    """Apply a partition's inputs up to a flush.

    Parameters
    ----------
    settings, compiled
        Of the workers that decided.
    number
        Of the partition.
    last
        Number of the flush after which nothing is wanted.
    wanted
        CloudEvents ids of the alerts to keep.
    tell
        Called after each flush with how many are done and how many there are.
    """
    state, found = new_partition(number, settings, compiled), Refolded()
    async with AsyncExitStack() as stack:

        async def log(topic: str) -> AsyncGenerator[ConsumerRecord, None]:
            records = read_all(settings, settings.topic(topic), number)
            return await stack.enter_async_context(aclosing(records))

        inputs = {topic: Input(await log(topic)) for topic in INPUT_TOPICS}
        found.missing = tuple([each async for each in _trimmed(settings, inputs)])
        found.first_flush, ends = await _journal_begins(await log("journal"))
        if found.first_flush > 1:
            await _apply_by_time(state, inputs, ends, found, wanted)
            state.sequence = found.first_flush - 1
        if found.first_flush > last:
            return found
        async for record in await log("journal"):
            entry = orjson.loads(record.value)
            for topic, first, to in entry["runs"]:
                found.folded += _apply(state, topic, await inputs[topic].run(first, to))
            _keep(found, state.take_flush(), wanted)
            tell(entry["sequence"], last)
            if entry["sequence"] == last:
                break
    return found


async def _journal_begins(journal: AsyncGenerator[ConsumerRecord, None]) -> tuple[int, dict[str, int]]:
    """Return the first flush the journal has, and where each topic's runs begin in it; whole, it is not read further."""
    first = 0
    ends: dict[str, int] = {}
    async for record in journal:
        entry = orjson.loads(record.value)
        first = first or entry["sequence"]
        if first == 1:
            return 1, {}
        for topic, start, _ in entry["runs"]:
            ends.setdefault(topic, start)
    return first or ENDLESS, ends


async def _trimmed(settings: Settings, inputs: dict[str, "Input"]) -> AsyncGenerator[str, None]:
    for topic, source in inputs.items():
        record = await source.peek()
        if record is not None and record.offset > 0 and topic not in ("ticks", "rerouted", "cohorts"):
            yield f"{settings.topic(topic)} begins at offset {record.offset}: what was before it is gone"


async def _apply_by_time(
    state: Partition, inputs: dict[str, "Input"], ends: dict[str, int], found: Refolded, wanted: Collection[str]
) -> None:
    """Apply what lies before the journal as workers merge it: by the records' times, ties by the topics' rank."""
    while True:
        heads = [
            (record.timestamp, rank, topic)
            for rank, topic in enumerate(INPUT_TOPICS)
            if (record := await inputs[topic].peek()) is not None and record.offset < ends.get(topic, ENDLESS)
        ]
        if not heads:
            return
        _, _, topic = min(heads)
        record = await inputs[topic].take()
        found.guessed += _apply(state, topic, [record])
        found.folded += 1
        if state.urgent:  # a flush of its own for each alert, as workers write them where nothing waits
            _keep(found, state.take_flush(), wanted)


def _apply(state: Partition, topic: str, records: list[ConsumerRecord]) -> int:
    state.apply(topic, records)
    while not state.sweep(SWEEP_ROWS):
        pass
    return len(records)


def _keep(found: Refolded, flush: Flush | None, wanted: Collection[str]) -> None:
    for message in flush.alerts if flush is not None else []:
        identity = dict(message.headers)["ce_id"].decode()
        if identity in wanted:
            found.alerts[identity] = message


class Input:
    """One input topic's partition, read as far as is asked.

    Parameters
    ----------
    records
        All of its records, by offset.
    """

    def __init__(self, records: AsyncGenerator[ConsumerRecord, None]) -> None:
        self._records = records
        self._next: ConsumerRecord | None = None

    async def peek(self) -> ConsumerRecord | None:
        """Return the next record without passing it, None at the end."""
        self._next = self._next or await anext(self._records, None)
        return self._next

    async def take(self) -> ConsumerRecord:
        """Return the next record and pass it; there is one."""
        record = await self.peek()
        assert record is not None
        self._next = None
        return record

    async def run(self, first: int, last: int) -> list[ConsumerRecord]:
        """Return the records from one offset to another, both included; runs are asked for in rising order."""
        found: list[ConsumerRecord] = []
        while (record := await self.peek()) is not None and record.offset <= last:
            if record.offset >= first:
                found.append(record)
            self._next = None
        return found
