"""An application is moved to another number of partitions on the real embedded Kafka, in the middle of its life."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from scoring.compile import Compiled
from scoring.presets import model_text
from state.murmur2 import partition_of
from state.partition import Partition
from streams import models, repartition, standing, topics
from streams.cli import main
from streams.demo.book import Book
from streams.halt import UNSAFE, Refusal
from streams.reading import committed
from streams.scorer import load_compiled
from streams.settings import Settings
from tests.faults.verify import read_logs
from tests.state.journals import DAY, Entry, Log
from tests.state.looking import feed, seen
from tests.streams.projecting import expected, reaches
from tests.streams.recount import is_consumed
from tests.streams.test_end_to_end import feed as produce
from tests.streams.test_end_to_end import is_redis_level, until
from tests.streams.workers import REAL_WORKER, Workers

ACCOUNTS, DAYS = 40, 110
BEFORE, AFTER = 2, 5


async def work(settings: Settings, folder: Path) -> None:
    """Run workers until they have read everything and Redis holds it, then stop them in order."""
    with Workers(settings, folder, count=2, command=REAL_WORKER) as workers:
        await until(lambda: is_read(settings), workers)
        await until(lambda: is_redis_level(settings), workers)
        # One that was started again a moment ago would not end in order yet.
        await until(lambda: all(workers.owns_partitions(index) for index in range(2)), workers)
        for process in workers.processes:
            process.terminate()
        assert [await asyncio.to_thread(process.wait, 60) for process in workers.processes] == [0, 0]


async def is_read(settings: Settings) -> bool:
    """Return whether no record of an input topic stands behind what is committed; ticks keep coming."""
    try:
        kept = await committed(settings, settings.app_id)
    except Refusal:
        return False  # a busy broker; the caller asks again
    places = [
        TopicPartition(settings.topic(topic), number)
        for topic in (*repartition.CARRIED_INPUTS, repartition.MODELS)
        for number in range(settings.partitions)
    ]
    return not await standing.unread(settings, {tp: kept[tp].offset if tp in kept else 0 for tp in places})


async def states(settings: Settings, compiled: Compiled) -> list[Partition]:
    """Return every partition as a worker would restore it."""
    logs = await read_logs(settings, [topics.CHANGELOG])
    found = []
    for number in range(settings.partitions):
        partition = Partition(number, settings.partitions, compiled, app_id=settings.app_id)
        partition.load(logs[topics.CHANGELOG, number])
        partition.finish_load()
        found.append(partition)
    return found


async def alerts(settings: Settings) -> list[dict[str, Any]]:
    """Return the records of `alerts`."""
    logs = await read_logs(settings, ["alerts"])
    for (_, number), records in logs.items():
        assert {partition_of(record.key, settings.partitions) for record in records} <= {number}
    return [json.loads(record.value) for records in logs.values() for record in records]


@pytest.mark.timeout(900)
async def test_a_book_goes_on_in_five_partitions_where_it_stopped_in_two(settings: Settings, tmp_path: Path) -> None:
    """Nothing is lost or counted twice, alerts stand there once and without a gap, also of records nobody had read."""
    old = replace(settings, partitions=BEFORE, clock="log", commit_max_ms=200)
    new = repartition.new_settings(old, AFTER, f"{old.topic_prefix}b-", None)
    days = list(Book(7, accounts=ACCOUNTS, days=DAYS).by_day())
    rest = iter(days)
    compiled = load_compiled(old)
    lines: list[str] = []
    await topics.create(old)
    await produce(old, islice(rest, 70), Counter())
    await work(old, tmp_path)
    before = await alerts(old)
    await produce(old, islice(rest, 5), Counter())  # nobody reads these any more
    first = await repartition.move(old, new, compiled, lines.append)
    assert (sum(first.accounts), len(first.accounts), first.is_moved) == (ACCOUNTS, AFTER, False)
    assert sum(count > 0 for count in first.accounts) == AFTER
    assert first.carried["alerts"] == len(before) > 0
    assert {a["alert_id"]: a for a in await alerts(new)} == {a["alert_id"]: a for a in before}
    for was in await states(old, compiled):
        for account, row in ((a, r) for now in await states(new, compiled) for a, r in seen(now).items()):
            if account in was.store.numbers:
                assert {**row, "positions": 0} == {**seen(was)[account], "positions": 0}
    late: Counter[str] = Counter()
    await produce(old, islice(rest, 5), late)  # a producer that was not told yet
    second = await repartition.move(old, new, compiled, lines.append)
    assert second.is_moved
    assert Counter({topic: n for topic, n in second.carried.items() if n}) == late
    assert sum((await repartition.move(old, new, compiled, lines.append)).carried.values()) == 0
    await produce(new, rest, Counter())
    await work(new, tmp_path)

    told = await alerts(new)
    places = [(alert["account_id"], alert["sequence"], alert["alert_id"]) for alert in told]
    assert len(set(places)) == len(places)
    for account in {account for account, _, _ in places}:
        sequences = sorted(sequence for name, sequence, _ in places if name == account)
        assert sequences == list(range(1, len(sequences) + 1))
    assert len(told) > len(before)
    await reaches(new, await expected(new))
    counted = [signals_at_the_end(partition, days) for partition in await states(new, compiled)]
    assert {account: each for found in counted for account, each in found.items()} == signals_at_the_end(
        never_moved(compiled, days), days
    )
    for settings_ in (old, new):
        async with topics.admin(settings_) as admin:
            await admin.delete_topics([topics.kafka_name(topic, settings_) for topic in topics.TOPICS])


@pytest.mark.timeout(900)
async def test_published_models_go_along(settings: Settings, tmp_path: Path) -> None:
    """Rows go on under the newest of two publications, neither is applied again, and the next one reaches everybody."""
    old = replace(settings, partitions=2, clock="log", commit_max_ms=200)
    new = repartition.new_settings(old, 3, f"{old.topic_prefix}b-", None)
    days = Book(7, accounts=20, days=110).by_day()
    first, texts = model_text("saas-renewal"), [published(version) for version in (2, 3, 4)]
    await topics.create(old)
    await produce(old, islice(days, 30), Counter())
    await work(old, tmp_path)
    await models.publish(old, texts[0], first, 1, "ann", "", back=False)
    await models.publish(old, texts[1], texts[0], 2, "ann", "", back=False)
    compiled = load_compiled(old)
    with pytest.raises(Refusal, match="expected every published model to be in use"):
        await repartition.move(old, new, compiled, print)
    await produce(old, islice(days, 5), Counter())
    await work(old, tmp_path)
    before = await alerts(old)
    await repartition.move(old, new, compiled, print)
    assert [each.version for _, each in await models.publications(new)] == [2, 3]
    was = {account: row for partition in await states(old, compiled) for account, row in seen(partition).items()}
    for partition in await states(new, compiled):
        assert partition.compiled.model.version == 3
        for account, row in seen(partition).items():
            assert {**row, "positions": 0} == {**was.pop(account), "positions": 0}
    assert was == {}
    await produce(new, islice(days, 5), Counter())
    await work(new, tmp_path)
    assert {partition.compiled.model.version for partition in await states(new, compiled)} == {3}
    told = await alerts(new)
    assert changes(told) == changes(before)
    await models.publish(new, texts[2], texts[1], 3, "ann", "", back=False)
    await produce(new, days, Counter())
    await work(new, tmp_path)
    assert {partition.compiled.model.version for partition in await states(new, compiled)} == {4}
    for settings_ in (old, new):
        async with topics.admin(settings_) as admin:
            await admin.delete_topics([topics.kafka_name(topic, settings_) for topic in topics.TOPICS])


def published(version: int) -> str:
    """Return the preset as a later version: another threshold each, so that bands and fingerprints differ."""
    text = model_text("saas-renewal").replace(
        "version = 1\n", f'version = {version}\napprover = "ops@example.com"\n', 1
    )
    assert "enter_below = 58" in text
    return text.replace("enter_below = 58", f"enter_below = {58 + version}")


def changes(told: list[dict[str, Any]]) -> set[str]:
    """Return the alerts that a change of the model ended."""
    return {alert["alert_id"] for alert in told if alert.get("resolution") == "MODEL_CHANGED"}


def never_moved(compiled: Compiled, days: list[Any]) -> Partition:
    """Return one partition that was fed the whole book."""
    log = Log()
    for day in days:
        for event in day:
            log.add(event.topic, event.value, event.arrives_at_ms)
    return feed(Partition(0, 1, compiled), log.journal)


def signals_at_the_end(partition: Partition, days: list[Any]) -> dict[str, Any]:
    """Return account → what was counted of it, a day after the last event: sums over windows, open items, last times."""
    at = max(event.arrives_at_ms for day in days for event in day) + DAY
    tick = Entry(10**9, at, None, json.dumps({"as_of_ms": at, "ends": {}}).encode())
    return {account: row["signals"] for account, row in seen(feed(partition, [("ticks", [tick])])).items()}


@pytest.mark.timeout(600)
async def test_it_refuses_what_it_could_spoil(provisioned: Settings, tmp_path: Path) -> None:
    """While a worker runs, where the target was worked on, and where the old one went on afterwards: exit code 3."""
    old = replace(provisioned, clock="log")
    new = repartition.new_settings(old, 3, f"{old.topic_prefix}b-", None)
    compiled = load_compiled(old)
    days = Book(7, accounts=ACCOUNTS, days=DAYS).by_day()
    sent: Counter[str] = Counter()
    await produce(old, islice(days, 3), sent)
    with Workers(old, tmp_path, command=REAL_WORKER) as workers:
        await until(lambda: workers.owns_partitions(0), workers)
        with pytest.raises(Refusal, match="expected no workers, found 1") as refused:
            await repartition.move(old, new, compiled, print)
        assert refused.value.code == UNSAFE
        await until(lambda: is_consumed(old, sent), workers)
        workers.processes[0].terminate()
        await asyncio.to_thread(workers.processes[0].wait, 60)
    assert new.topic("usage") not in await names(old)
    outcome = await repartition.preview(old, new)
    assert outcome.carried["usage"] == 0
    assert outcome.carried[topics.CHANGELOG] > 0
    await repartition.move(old, new, compiled, print)
    await produce(old, islice(days, 3), sent)
    await work(old, tmp_path)
    with pytest.raises(Refusal, match="the old workers read on after the state was moved"):
        await repartition.move(old, new, compiled, print)
    async with topics.admin(new) as admin:
        await admin.delete_topics([topics.kafka_name(topic, new) for topic in topics.TOPICS])


async def names(settings: Settings) -> set[str]:
    async with topics.admin(settings) as admin:
        return set(await admin.list_topics())


def test_the_same_prefix_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Topics that would be their own copies are refused before anything is asked of Kafka."""
    assert main(["repartition", "--partitions", "16", "--prefix", ""]) == 2
    assert "--prefix: expected another than BELLWETHER_TOPIC_PREFIX" in capsys.readouterr().err
