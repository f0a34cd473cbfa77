"""Sends a history into the topics at a pace: months of event time live in a given number of seconds.

    wall     |0 s ....................................... seconds|
    event    |start_ms ................................... end_ms|      an event is due when its arrival is reached

The pace is kept by slices of a tenth of a second: all events of a slice are sent, then the feed waits until the next
is due. A feed that falls behind sends without waiting until it has caught up; it never drops anything.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streams.demo.event import Event
from streams.outbox import Outbox
from streams.settings import Settings

SLICE_SECONDS = 0.1
TOPICS = ("accounts", "usage", "billing", "support", "engagement", "outcomes")


@dataclass(frozen=True, slots=True)
class History:
    """Events to be fed.

    Parameters
    ----------
    start_ms, end_ms
        The event time it spans, milliseconds UTC, half-open.
    days
        The events in order of arrival, in lists of any length.
    """

    start_ms: int
    end_ms: int
    days: Iterable[list[Event]]


@dataclass
class Feed:
    """How far the feed has come; read by whoever shows progress.

    Attributes
    ----------
    reached_ms
        Event time up to which everything was sent, milliseconds UTC.
    sent
        Records sent.
    by_topic, faults
        Topic, and fault planted by a simulated book, → records sent.
    """

    reached_ms: int = 0
    sent: int = 0
    by_topic: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


def slices(history: History, slice_ms: int) -> Iterator[tuple[int, list[Event]]]:
    """Yield (end of the slice in milliseconds UTC, its events) for every slice, empty ones included.

    Parameters
    ----------
    history
        What to cut.
    slice_ms
        Event time of a slice, ≥ 1.
    """
    end_ms = history.start_ms + slice_ms
    pending: list[Event] = []
    for day in history.days:
        for found in day:
            while found.arrives_at_ms >= end_ms:
                yield end_ms, pending
                pending = []
                end_ms += slice_ms
            pending.append(found)
    yield end_ms, pending


async def run_feed(history: History, settings: Settings, seconds: float, feed: Feed) -> None:
    """Send a history so that its whole span takes about ``seconds``.

    Parameters
    ----------
    history
        What to send.
    settings
        Where to.
    seconds
        How long it takes, > 0; more if the machine cannot keep up.
    feed
        Updated after every slice.

    Raises
    ------
    Refusal
        If Kafka does not take the records.
    """
    span_ms = max(1, history.end_ms - history.start_ms)
    slice_ms = max(1, round(span_ms * SLICE_SECONDS / seconds))
    async with Outbox(settings) as outbox:
        for topic in TOPICS:
            await outbox.open(settings.topic(topic))
        started = time.monotonic()
        for end_ms, events in slices(history, slice_ms):
            for found in events:
                key = found.account_id.encode()
                await outbox.add(settings.topic(found.topic), key, found.value, found.arrives_at_ms)
            await outbox.flush()
            _count(feed, end_ms, events)
            due = started + seconds * (end_ms - history.start_ms) / span_ms
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _count(feed: Feed, end_ms: int, events: list[Event]) -> None:
    feed.reached_ms = end_ms
    feed.sent += len(events)
    feed.by_topic.update(found.topic for found in events)
    feed.faults.update(found.fault for found in events if found.fault)
