"""Writes a workload into the input topics before anything is measured."""

from collections.abc import Callable

from streams.bench.workload import TOPICS, Workload
from streams.outbox import Outbox
from streams.settings import Settings

TELL_EVERY = 100_000


async def preload(workload: Workload, settings: Settings, tell: Callable[[str], None]) -> None:
    """Send every event of the workload; return when Kafka has all of them.

    Raises
    ------
    Refusal
        Kafka does not take the records.
    """
    async with Outbox(settings) as outbox:
        for topic in TOPICS:
            await outbox.open(settings.topic(topic))
        for number, line in enumerate(workload.lines(), start=1):
            await outbox.add(settings.topic(line.topic), line.account_id.encode(), line.value, line.timestamp_ms)
            if number % TELL_EVERY == 0:
                tell(f"preloading: {number:,} of {workload.events:,} events")
