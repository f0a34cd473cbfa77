"""From an event to its alert: a steady feed beside a running worker, and readers of committed alerts and of Redis.

A process of its own copies alerts into Redis, so the worker's figures stay the scorer's.

Event time runs as fast as time itself, from the end of the workload on, so an alert's ``occurred_at`` tells when its
event was *due* to be sent; a feed that falls behind shows as latency instead of hiding it. Alerts that time alone
brought about carry the instant of an hourly grid point and are left out.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from state.readmodel import key_of
from state.timestamps import parse_moment
from streams.access import kafka, redis_client
from streams.bench.progress import Progress
from streams.bench.throughput import START_SECONDS, pid_of, worker
from streams.bench.workload import TOPICS, Line, Workload
from streams.halt import Refusal
from streams.outbox import Outbox
from streams.settings import Settings
from streams.standing import behind_in_redis
from streams.supervise import Child, Supervisor

SLICE_SECONDS = 0.01
SETTLE_SECONDS = 20.0
COPY_SECONDS = 120.0
BLOCK_MS = 500
HOUR_MS = 3_600_000


class _Alert(msgspec.Struct):
    occurred_at: str


_ALERT = msgspec.json.Decoder(_Alert)


@dataclass(frozen=True)
class Feed:
    """What a worker is fed.

    Parameters
    ----------
    workload
        The events; its span is how long feeding takes.
    warm_seconds
        Alerts of this first part of the span are not timed.
    before
        Events that the worker had committed before.
    """

    workload: Workload
    warm_seconds: int
    before: int


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
        From when the event was due to be sent to when the alert was read from Kafka, milliseconds.
    redis_p50_ms, redis_p99_ms
        To when it was read from Redis.
    start_seconds
        From the worker's start, with its state to restore, to its first commit.
    """

    events_per_second: float
    alerts: int
    p50_ms: float
    p99_ms: float
    redis_p50_ms: float
    redis_p99_ms: float
    start_seconds: float


async def measure_latency(settings: Settings, folder: Path, feed: Feed, tell: Callable[[str], None]) -> Latency:
    """Start a worker on the state there is, feed it at the workload's own pace, and time the alerts.

    Parameters
    ----------
    settings, folder
        Of the worker, and where its log goes.
    feed
        What is fed.
    tell
        Takes progress lines.
    """
    workload, before = feed.workload, feed.before
    child, copier = worker(settings, folder), projector(settings, folder)
    lines = list(workload.lines())
    seen: list[tuple[float, int]] = []
    shown: list[tuple[float, int]] = []
    tell(f"latency: {workload.events:,} events in {workload.span_ms / 1000:.0f} s beside a worker")
    began = time.monotonic()
    async with (
        Supervisor([child, copier], tell) as supervisor,
        Outbox(settings) as outbox,
        redis_client(settings) as redis,
    ):
        for topic in TOPICS:
            await outbox.open(settings.topic(topic))
        pid = await pid_of(supervisor, child)
        async with Progress(settings, TOPICS, pid) as progress, _reader(settings) as reader:
            await _send(outbox, settings, lines[:1])
            await _until(progress, before + 1, START_SECONDS)
            start_seconds = time.monotonic() - began
            await _copied(settings)
            shift_ms = time.time() * 1000 - workload.start_ms
            reading = [asyncio.create_task(_read(reader, seen)), asyncio.create_task(_watch(redis, settings, shown))]
            await _feed(outbox, settings, lines[1:], shift_ms)
            await _until(progress, before + workload.events, SETTLE_SECONDS)
            await _copied(settings)
            await asyncio.sleep(BLOCK_MS / 1000)  # the last answer of Redis
            for each in reading:
                each.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
    first_ms = workload.start_ms + feed.warm_seconds * 1000
    waits = [
        [at - shift_ms - occurred for at, occurred in readings if occurred >= first_ms and occurred % HOUR_MS]
        for readings in (seen, shown)
    ]
    if not all(waits) or len(waits[0]) != len(waits[1]):
        raise Refusal(
            f"latency: expected some alerts, as many in Redis as in Kafka, read {len(waits[1])} and {len(waits[0])}"
        )
    (p50, redis_p50), (p99, redis_p99) = np.percentile(waits, [50, 99], axis=1).tolist()
    rate = workload.events / workload.span_ms * 1000
    return Latency(rate, len(waits[0]), p50, p99, redis_p50, redis_p99, start_seconds)


def projector(settings: Settings, folder: Path) -> Child:
    """Return the process that copies scores and alerts into Redis, as a supervised child."""
    command = [sys.executable, "-m", "streams.cli", "worker", "--roles", "project"]
    environ = {**os.environ, **replace(settings, metrics_port=0).environ()}
    return Child("projector", command, environ, folder / "projector.log")


async def _copied(settings: Settings) -> None:
    """Wait until Redis has what Kafka has."""
    deadline = time.monotonic() + COPY_SECONDS
    while behind := await behind_in_redis(settings):
        if time.monotonic() > deadline:
            raise Refusal(f"projector: expected it to be done within {COPY_SECONDS:.0f} s, {behind} records wait")
        await asyncio.sleep(0.2)


async def _watch(redis: Redis, settings: Settings, shown: list[tuple[float, int]]) -> None:
    """Take down every alert that comes into Redis from now on."""
    # redis-py's types allow for every version of its protocol, so they say nothing here.
    streams: dict[Any, Any] = {key_of(number, "alerts"): "0-0" for number in range(settings.partitions)}
    for name in streams:
        newest: Any = await redis.xrevrange(name, count=1)
        if newest:
            streams[name] = newest[0][0]
    while True:
        found: Any = await redis.xread(streams, block=BLOCK_MS)
        now_ms = time.time() * 1000
        for name, entries in found:
            streams[name.decode()] = entries[-1][0]
            shown.extend((now_ms, _occurred_ms(fields[b"body"])) for _, fields in entries)


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
            seen.extend((now_ms, _occurred_ms(record.value)) for record in records)


def _occurred_ms(body: bytes) -> int:
    occurred_ms = parse_moment(_ALERT.decode(body).occurred_at)
    assert occurred_ms is not None
    return occurred_ms


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
