"""From an event to its alert: a steady feed beside a running worker, and a reader of committed alerts.

Event time runs as fast as time itself, from the end of the workload on, so an alert's ``occurred_at`` tells when its
event was *due* to be sent; a feed that falls behind shows as latency instead of hiding it. Alerts that time alone
brought about carry the instant of an hourly grid point and are left out.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from state.timestamps import parse_moment
from streams.access import kafka
from streams.bench.progress import Progress
from streams.bench.throughput import START_SECONDS, pid_of, worker
from streams.bench.workload import TOPICS, Line, Workload
from streams.halt import Refusal
from streams.outbox import Outbox
from streams.settings import Settings
from streams.supervise import Supervisor

WARM_SECONDS = 4.0
SLICE_SECONDS = 0.01
SETTLE_SECONDS = 20.0
HOUR_MS = 3_600_000


class _Alert(msgspec.Struct):
    occurred_at: str


_ALERT = msgspec.json.Decoder(_Alert)


@dataclass(frozen=True)
class Latency:
    """What the feed came to.

    Parameters
    ----------
    events_per_second
        Rate of the feed.
    alerts
        How many alerts were timed.
    p50_ms, p99_ms
        From when the event was due to be sent to when the alert was read, milliseconds.
    start_seconds
        From the worker's start, with its state to restore, to its first commit.
    """

    events_per_second: float
    alerts: int
    p50_ms: float
    p99_ms: float
    start_seconds: float


async def measure_latency(
    settings: Settings, folder: Path, workload: Workload, before: int, tell: Callable[[str], None]
) -> Latency:
    """Start a worker on the state there is, feed it `workload` at its own pace, and time the alerts.

    Parameters
    ----------
    settings, folder
        Of the worker, and where its log goes.
    workload
        What is fed; its span is how long it takes.
    before
        Events that the worker had committed before.
    tell
        Takes progress lines.
    """
    child = worker(settings, folder)
    began = time.monotonic()
    lines = list(workload.lines())
    tell(f"latency: {workload.events:,} events in {workload.span_ms / 1000:.0f} s beside a worker")
    async with Supervisor([child], tell) as supervisor, Outbox(settings) as outbox:
        for topic in TOPICS:
            await outbox.open(settings.topic(topic))
        pid = await pid_of(supervisor, child)
        async with Progress(settings, TOPICS, pid) as progress, _reader(settings) as reader:
            await _send(outbox, settings, lines[:1])
            await _until(progress, before + 1, START_SECONDS)
            start_seconds = time.monotonic() - began
            shift_ms = time.time() * 1000 - workload.start_ms
            seen: list[tuple[float, int]] = []
            reading = asyncio.create_task(_read(reader, seen))
            await _feed(outbox, settings, lines[1:], shift_ms)
            await _until(progress, before + workload.events, SETTLE_SECONDS)
            reading.cancel()
    first_ms = workload.start_ms + WARM_SECONDS * 1000
    waits = [at - shift_ms - occurred for at, occurred in seen if occurred >= first_ms and occurred % HOUR_MS]
    if not waits:
        raise Refusal("latency: expected some alerts, read none — feed more events")
    p50, p99 = np.percentile(waits, [50, 99])
    return Latency(workload.events / workload.span_ms * 1000, len(waits), float(p50), float(p99), start_seconds)


def _reader(settings: Settings) -> AIOKafkaConsumer:
    reader = AIOKafkaConsumer(
        **kafka(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    reader.assign([TopicPartition(settings.topic("alerts"), number) for number in range(settings.partitions)])
    return reader


async def _read(reader: AIOKafkaConsumer, seen: list[tuple[float, int]]) -> None:
    while True:
        for records in (await reader.getmany(timeout_ms=500)).values():
            now_ms = time.time() * 1000
            for record in records:
                occurred_ms = parse_moment(_ALERT.decode(record.value).occurred_at)
                assert occurred_ms is not None
                seen.append((now_ms, occurred_ms))


async def _feed(outbox: Outbox, settings: Settings, lines: list[Line], shift_ms: float) -> None:
    sent = 0
    while sent < len(lines):
        due = sent
        now_ms = time.time() * 1000 - shift_ms
        while due < len(lines) and lines[due].timestamp_ms <= now_ms:
            due += 1
        if due > sent:
            await _send(outbox, settings, lines[sent:due])
            sent = due
        await asyncio.sleep(SLICE_SECONDS)


async def _send(outbox: Outbox, settings: Settings, lines: list[Line]) -> None:
    for line in lines:
        await outbox.add(settings.topic(line.topic), line.account_id.encode(), line.value, line.timestamp_ms)
    await outbox.flush()


async def _until(progress: Progress, committed: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while (await progress.sample()).committed < committed:
        if time.monotonic() > deadline:
            raise Refusal(f"latency: the worker did not commit {committed} events within {patience:.0f} s")
        await asyncio.sleep(0.05)
