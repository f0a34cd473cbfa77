"""Ends of Kafka's clients and cancellations that meet: neither is lost, neither is made up."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from state.layout import INPUT_TOPICS
from streams.access import kafka
from streams.ending import ended
from streams.recovery import Source, look_at
from streams.settings import Settings

TURNS = 12
"""Of the event loop: a client without work ends within fewer."""


@pytest.mark.parametrize(
    "make",
    [
        AIOKafkaConsumer,
        lambda **client: AIOKafkaConsumer(group_id="ending", **client),
        AIOKafkaProducer,
        lambda **client: AIOKafkaProducer(transactional_id="ending", **client),
        AIOKafkaAdminClient,
    ],
    ids=["consumer", "member", "producer", "transactional", "admin"],
)
async def test_who_is_cancelled_while_a_client_stops_goes_on_no_further(
    settings: Settings, make: Callable[..., Any]
) -> None:
    """At whatever moment of a stop the cancellation comes, it arrives; else a loop around would run for ever."""
    for turns in range(TURNS):
        client = make(bootstrap_servers=settings.kafka)
        await client.start()

        async def stop_and_go_on(client: Any = client) -> None:
            await ended(client.close() if make is AIOKafkaAdminClient else client.stop())
            await asyncio.Event().wait()

        task = asyncio.create_task(stop_and_go_on())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled(), turns


async def test_a_stop_cancels_nobody_else(provisioned: Settings) -> None:
    """A client that stops while it looks up positions lets a cancellation out, which is not the caller's."""
    inputs = {topic: provisioned.topic(topic) for topic in INPUT_TOPICS}
    source = Source(kafka(provisioned), provisioned.app_id, provisioned.changelog, inputs)
    places = [TopicPartition(name, number) for name in inputs.values() for number in range(provisioned.partitions)]
    for turns in range(0, 400, 8):
        consumer = source.consumer()
        await consumer.start()
        consumer.assign(places)
        for _ in range(turns):
            await asyncio.sleep(0)
        await ended(consumer.stop())


async def test_a_client_that_misses_its_own_cancellation_is_cancelled_again() -> None:
    """The stop ends, the client is closed to its end, and nobody else is cancelled."""
    closed = []

    async def fetch() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def stop() -> None:
        fetching = asyncio.create_task(fetch())
        await asyncio.sleep(0)
        fetching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fetching
        closed.append(fetching.cancelled())

    await ended(stop(), longest_seconds=0.05)
    assert closed == [True]


async def test_the_ends_of_many_logs_are_found_without_fetching(provisioned: Settings) -> None:
    """All ends are there, nothing is fetched, and no position is being looked up whenever the client stops."""
    source = Source(kafka(provisioned), provisioned.app_id, provisioned.changelog, {})
    tps = [TopicPartition(provisioned.topic(topic), 0) for topic in INPUT_TOPICS]
    for turns in range(0, 400, 8):
        consumer = source.consumer()
        await consumer.start()
        look_at(consumer, tps)
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns % 40 == 0:
            assert await consumer.end_offsets(tps) == dict.fromkeys(tps, 0)
            assert not await consumer.getmany(timeout_ms=0)
        await asyncio.sleep(0)  # a client that stops in the turn in which it began lets a cancellation out
        await consumer.stop()
