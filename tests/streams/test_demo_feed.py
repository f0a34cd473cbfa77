"""Feeding and watching, against the real embedded Kafka; reading real histories from files."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from state.murmur2 import partition_of
from streams.demo import Book, Event
from streams.demo.feed import Feed, History, run_feed, slices
from streams.demo.histories import Histories
from streams.demo.outcomes import Outcome
from streams.demo.watch import Watch
from streams.halt import Refusal
from streams.settings import Settings

DAY_MS = 86_400_000


def event(at_ms: int) -> Event:
    """Return a small event that arrives at an instant."""
    return Event("usage", "a", b"{}", at_ms, at_ms)


def alert_body(number: int, state: str = "firing", severity: str = "warning") -> bytes:
    """Return an alert as workers write it, cut to what is read here."""
    return orjson.dumps(
        {
            "alert_id": f"alert-{number}",
            "account_id": f"acct-{number:05d}",
            "rule": "falling",
            "state": state,
            "severity": severity,
            "from_band": "green",
            "to_band": "yellow",
            "reasons": [{"code": "X", "text": "logins down 42 % in 14 days", "contribution": -9.0}],
            "occurred_at": "2026-01-02T00:00:00.000Z",
        }
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, with a deadline."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def test_slices_are_half_open_and_none_is_left_out() -> None:
    """An event at the border belongs to the later slice; slices without events are yielded too, to keep the pace."""
    history = History(0, 50, [[event(0), event(9), event(10)], [event(35)]])
    cut = [(end, [found.arrives_at_ms for found in events]) for end, events in slices(history, 10)]
    assert cut == [(10, [0, 9]), (20, [10]), (30, []), (40, [35])]


async def test_the_feed_sends_everything_once_in_order_at_its_time(provisioned: Settings) -> None:
    """Every record lands in its account's partition, with its arrival as timestamp, in order of arrival."""
    book = Book(seed=1, accounts=20, days=110)
    expected = list(book.events())
    feed = Feed()
    await run_feed(History(book.truth.start_ms, book.truth.end_ms, book.by_day()), provisioned, 0.5, feed)
    assert feed.sent == len(expected)
    assert feed.by_topic == Counter(found.topic for found in expected)
    assert sum(n for fault, n in feed.faults.items() if fault.startswith("bad")) == sum(book.truth.bad_events.values())
    for topic, count in feed.by_topic.items():
        records = await read_all(provisioned, topic, count)
        for number, found in records.items():
            mine = [e for e in expected if e.topic == topic and partition_of(e.account_id.encode(), 4) == number]
            assert found == [(e.account_id.encode(), e.value, e.arrives_at_ms) for e in mine]


async def read_all(settings: Settings, topic: str, count: int) -> dict[int, list[tuple[bytes, bytes, int]]]:
    """Return (key, value, timestamp) of ``count`` records of a topic, by partition."""
    places = [TopicPartition(settings.topic(topic), number) for number in range(settings.partitions)]
    found: dict[int, list[tuple[bytes, bytes, int]]] = {number: [] for number in range(settings.partitions)}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(places)
        async with asyncio.timeout(20):
            while sum(map(len, found.values())) < count:
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[place.partition] += [(record.key, record.value, record.timestamp) for record in records]
    finally:
        await consumer.stop()
    return found


async def test_the_feed_keeps_its_pace(provisioned: Settings) -> None:
    """Ten days fed in a second take about a second, whatever few events they hold."""
    history = History(0, 10 * DAY_MS, [[event(day * DAY_MS) for day in range(10)]])
    started = time.monotonic()
    await run_feed(history, provisioned, 1.0, Feed())
    assert 0.85 < time.monotonic() - started < 5.0


async def test_the_watch_counts_and_shows_loud_firings(provisioned: Settings) -> None:
    """Firing warnings are counted and shown, a few a second; info and resolves are kept but not shown."""
    lines: list[str] = []
    async with Watch(provisioned, lines.append, {"acct-00000": "Amber Works 1"}) as watch:
        async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
            bodies = [alert_body(number) for number in range(8)]
            for body in [*bodies, alert_body(8, severity="info"), alert_body(0, state="resolved")]:
                await producer.send_and_wait(provisioned.topic("alerts"), body, partition=0)
        await until(lambda: len(watch.alarms) == 10)
        assert watch.fired == 8
    assert lines[0] == (
        "2026-01-02  warning   acct-00000 Amber Works 1  green → yellow  falling  logins down 42 % in 14 days"
    )
    assert len(lines) <= 8


async def test_the_watch_measures_lag_against_the_groups_commits(provisioned: Settings) -> None:
    """Lag is what was fed less what the group has committed; without a group, everything."""
    async with AIOKafkaProducer(bootstrap_servers=provisioned.kafka) as producer:
        for _ in range(5):
            await producer.send_and_wait(provisioned.topic("usage"), b"{}", partition=1)
    async with Watch(provisioned, print, {}) as watch:
        assert await watch.members() == 0
        assert await watch.positions() == {}
        assert await watch.lag({}) == 5
        place = TopicPartition(provisioned.topic("usage"), 1)
        group = AIOKafkaConsumer(
            place.topic, bootstrap_servers=provisioned.kafka, group_id=provisioned.app_id, enable_auto_commit=False
        )
        await group.start()
        try:
            await group.commit({place: 3})
            assert await watch.members() == 1
        finally:
            await group.stop()
        positions = await watch.positions()
        assert positions[place] == 3
        assert await watch.lag(positions) == 2


def write(path: Path, rows: list[dict[str, object]], more: bytes = b"") -> None:
    """Write JSON lines, compressed."""
    path.write_bytes(gzip.compress(b"\n".join(orjson.dumps(row) for row in rows) + b"\n" + more))


def test_histories_are_merged_by_time_and_topic(tmp_path: Path) -> None:
    """Files are merged by event time, then topic rank; lines that are no events are counted and left out."""
    use = [
        {"id": f"u{day}", "account_id": "a", "event": "x", "occurred_at": f"2024-01-0{day}T00:00:00Z"} for day in (3, 2)
    ]
    write(tmp_path / "usage.jsonl.gz", use, b"nonsense\n")
    write(tmp_path / "accounts.jsonl.gz", [{"account_id": "b", "name": "B", "occurred_at": "2024-01-02T00:00:00Z"}])
    left = {"id": "o1", "account_id": "a", "outcome": "churned", "occurred_at": "2024-01-05T12:00:00Z"}
    write(tmp_path / "outcomes.jsonl.gz", [left])
    (tmp_path / "README.md").write_text("not events")
    histories = Histories(tmp_path)
    events = [found for day in histories.history.days for found in day]
    assert [(found.topic, found.account_id) for found in events] == [
        ("accounts", "b"),
        ("usage", "a"),
        ("usage", "a"),
        ("outcomes", "a"),
    ]
    assert events[1].value.startswith(b'{"id":"u2"')
    assert histories.rejected == 1
    assert histories.accounts == ["b", "a"]
    assert histories.outcomes == {"a": Outcome("churned", 1_704_456_000_000)}
    assert (histories.history.start_ms, histories.history.end_ms) == (1_704_153_600_000, 1_704_456_000_001)


def test_a_folder_without_histories_is_refused(tmp_path: Path) -> None:
    """A folder without event files is refused with what was expected and what to do."""
    with pytest.raises(Refusal) as caught:
        Histories(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: expected files such as usage.jsonl or billing.jsonl.gz, found none — check the path"
    )
