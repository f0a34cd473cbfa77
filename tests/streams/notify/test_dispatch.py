"""The desk on real Kafka: what it decides reaches targets once, over restarts and beside a second notifier."""

import asyncio
from contextlib import suppress

import orjson
from aiokafka import AIOKafkaProducer

from state.murmur2 import partition_of
from streams.halt import Refusal
from streams.notify.load import Load, PortfolioGuard
from streams.notify.targets import Slack, Target
from streams.reading import committed, read_all
from streams.settings import Settings
from tests.streams.notify.receivers import Receiver, an_alert, notifying, receiving, write_alerts


def chat(url: str) -> Target:
    """A target that shows text."""
    return Target("chat", Slack(url, allow_private=True), from_beginning=True)


async def the_desk_runs(settings: Settings) -> None:
    """Wait until the desk has noted where in `alerts` it begins."""
    async with asyncio.timeout(90):
        while True:
            with suppress(Refusal):  # a cluster that never had a group makes the topic for it now
                if await committed(settings, f"{settings.app_id}-desk-log"):
                    return
            await asyncio.sleep(0.1)


async def decided(settings: Settings) -> list[str]:
    """Return the fates of all notices."""
    records = [orjson.loads(record.value) async for record in read_all(settings, settings.topic("notices"))]
    return sorted(record["delivery"]["fate"] for record in records)


async def test_a_cap_holds_over_restarts(provisioned: Settings) -> None:
    """Two a day: the third alert, written after a restart, waits for the digest; each alert is decided once."""
    load = Load(per_owner=2)
    alerts = [an_alert(number, severity="warning") for number in range(4)]
    async with receiving(Receiver()) as receiver:
        async with notifying(provisioned, chat(receiver.url), load=load):
            await the_desk_runs(provisioned)
            await write_alerts(provisioned, alerts[:2])
            await receiver.has(2, 60)
        async with notifying(provisioned, chat(receiver.url), load=load):
            await write_alerts(provisioned, alerts[2:])
            async with asyncio.timeout(60):
                while len(await decided(provisioned)) < 4:
                    await asyncio.sleep(0.1)
    assert await decided(provisioned) == ["digest", "digest", "now", "now"]
    assert len({body for _, body in receiver.requests}) == 2  # one that ended in between may come again


async def test_a_storm_in_a_segment_is_one_message(provisioned: Settings) -> None:
    """Forty of sixty accounts fall at once: the group's size comes from the scores, people get a dozen messages, not forty."""
    guard = PortfolioGuard(("segment",), share=0.2, within_ms=7_200_000, at_least=10)
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        for number in range(60):
            key = f"acme-{number}".encode()
            value = orjson.dumps({"account_id": key.decode(), "segment": "smb"})
            partition = partition_of(key, provisioned.partitions)
            await producer.send(provisioned.topic("scores"), value, key, partition=partition)
        await producer.flush()
    storm = [an_alert(number, account={"segment": "smb"}) for number in range(40)]
    load = Load(portfolio=guard)
    async with receiving(Receiver()) as receiver, notifying(provisioned, chat(receiver.url), load=load) as standing:
        await the_desk_runs(provisioned)
        await write_alerts(provisioned, storm)
        await receiver.has(12, 60)
        async with asyncio.timeout(60):
            while len(await decided(provisioned)) < 41:
                await asyncio.sleep(0.1)
        await standing.has(lambda s: len(s.fates) == 41)
    assert await decided(provisioned) == sorted(standing.fates) == ["now"] * 12 + ["portfolio"] * 29
    texts = [orjson.loads(body)["text"] for _, body in receiver.requests]
    assert sum("20% of segment=smb fell in 2 h: data outage, season or product?" in text for text in texts) == 1


async def test_two_notifiers_have_one_desk(provisioned: Settings) -> None:
    """Beside a second process nothing is decided twice, and when the first ends the second goes on."""
    load = Load(per_owner=1000)
    async with receiving(Receiver()) as receiver, notifying(provisioned, chat(receiver.url), load=load):
        async with notifying(provisioned, chat(receiver.url), load=load):
            await the_desk_runs(provisioned)
            await write_alerts(provisioned, [an_alert(number) for number in range(10)])
            await receiver.has(10, 60)
        await write_alerts(provisioned, [an_alert(number) for number in range(10, 20)])
        await receiver.has(20, 90)
    assert await decided(provisioned) == ["now"] * 20
