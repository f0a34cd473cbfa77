"""Real Prometheus and Alertmanager on a live installation: metrics arrive, boards show data, faults raise the right alert."""

import asyncio
import json
import math
import signal
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from deploy.local import Stack
from streams import topics
from streams.metrics import FEEDBACK_METRICS, METRICS, MOST_SERIES, NEWEST_CLOSE, NOTIFIER_METRICS, Kind
from streams.settings import Settings
from tests.deploy.boards import queries
from tests.deploy.live import Live, running
from tests.deploy.past import MODEL, write_past
from tests.deploy.programs import alertmanager, prometheus, promtool
from tests.deploy.scaling import scaled_expression
from tests.sources import TOP

FILLED = ("event_to_alert_seconds", "projection_delay_seconds", "record_delay_seconds", "commit_duration_seconds")
SCRAPES = "10s"
SUPPORTED = 'sum(increase(bellwether_applied_records_total{topic="support"}[10m])) > 2400'
REPORTED = f"{NEWEST_CLOSE.name} > 0"


@pytest.fixture(scope="module")
async def live(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    """One installation for this file, fed, with data in every histogram."""
    prometheus(), alertmanager()
    settings = Settings(
        kafka=stack.kafka, redis_url=stack.redis_url.removesuffix("/0") + "/15", app_id="watched",
        topic_prefix="watched-", partitions=4, tick_seconds=1, poison_limit=1001, log_format="json",
        model=str(TOP / "tests" / "simulation" / "model.toml"),
    )  # fmt: skip
    past = replace(settings, app_id="past", topic_prefix="past-", partitions=1, model=MODEL)
    created = [*await topics.create(settings), *await topics.create(past)]
    await write_past(past)
    async with running(settings, past, tmp_path_factory.mktemp("live")) as installation:
        await installation.feed.send_support(3000)
        await installation.until(lambda: installation.query(SUPPORTED), "Prometheus has seen support come")
        await installation.until(lambda: installation.query(REPORTED), "drift has read what there is", 180)
        for name in FILLED:
            await installation.until(
                lambda name=name: installation.query(f"sum(rate(bellwether_{name}_count[{SCRAPES}])) > 0"), name, 180
            )
        yield installation
    async with topics.admin(settings) as admin:
        await admin.delete_topics(created)


@pytest.mark.timeout(400)
async def test_every_declared_metric_arrives(live: Live) -> None:
    """Prometheus has every metric of worker, notifier and drift, and a worker's series stay under what is declared."""
    for metric in (*METRICS, *NOTIFIER_METRICS, *FEEDBACK_METRICS):
        name = metric.name + ("_count" if metric.kind is Kind.HISTOGRAM else "")
        assert await live.query(name), name
    scraped = await live.query('scrape_samples_scraped{job=~"bellwether.*"}')
    assert len(scraped) == 3
    assert max(float(series["value"][1]) for series in scraped) < MOST_SERIES


async def test_promtool_has_no_remark_about_what_runs(live: Live) -> None:
    """Prometheus's linter takes what worker, notifier and drift export after some minutes of work, as it stands."""
    for series in await live.query('up{job=~"bellwether.*"}'):
        address = f"http://{series['metric']['instance']}/metrics"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: ASYNC210 - nothing else waits here
            body = answer.read()
        ran = await asyncio.to_thread(
            subprocess.run, [promtool(), "check", "metrics"], input=body, capture_output=True, timeout=60, check=False
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b""), address


async def test_every_query_of_the_boards_has_data(live: Live) -> None:
    """No panel is empty: each query returns at least one series with a number."""

    async def is_filled(query: str) -> bool:
        found = await live.query(scaled_expression(query).replace("$__rate_interval", SCRAPES))
        return any(not math.isnan(float(series["value"][1])) for series in found)

    for board, panel, query in queries():
        await live.until(lambda query=query: is_filled(query), f"{board}, {panel}: {query}", 20)


async def test_a_redis_that_stops_is_told_and_resolved(live: Live, stack: Stack) -> None:
    """Without Redis the alert about Redis fires and no other of severity critical; with it again it is resolved."""
    assert stack.redis is not None
    stack.redis.kill()
    try:
        assert (await live.until_firing("BellwetherRedisDown"))["severity"] == "critical"
        assert await live.query("sum(bellwether_partitions{state='serving'}) == 4")
    finally:
        stack.redis.start()
    await live.until_resolved("BellwetherRedisDown")


async def test_poison_is_told_and_resolved(live: Live) -> None:
    """Two broken records in three burn the budget of accepted records; the alert ends with them."""
    assert not await live.firing("BellwetherDeadLettersFast")
    live.feed.is_poisoned = True
    try:
        assert (await live.until_firing("BellwetherDeadLettersFast"))["slo"] == "accepted"
    finally:
        live.feed.is_poisoned = False
    await live.until_resolved("BellwetherDeadLettersFast")


async def test_a_silent_producer_is_told_and_resolved(live: Live) -> None:
    """While usage goes on and support is silent, the alert names support alone; the first event resolves it."""
    live.feed.is_support_silent = True
    try:
        await live.until_firing("BellwetherTopicSilent")
        assert [labels["topic"] for labels in await live.firing("BellwetherTopicSilent")] == ["support"]
    finally:
        live.feed.is_support_silent = False
    await live.until_resolved("BellwetherTopicSilent")


async def test_a_stopped_worker_is_told_and_resolved(live: Live) -> None:
    """Without its only worker nobody answers; Alertmanager keeps what follows from that quiet; a new one resolves it."""
    live.workers.signal(0, signal.SIGTERM)
    await asyncio.to_thread(live.workers.processes[0].wait, 30)
    assert (await live.until_firing("BellwetherNoWorker"))["severity"] == "critical"
    live.workers.revive()
    await live.until_resolved("BellwetherNoWorker")
    await live.until(lambda: live.query("sum(bellwether_partitions{state='serving'}) == 4"), "served again")
    assert live.workers.exits == [0]


async def test_every_log_line_is_an_object_and_alerts_are_named(live: Live) -> None:
    """After all of the above each line is one JSON object, and alerts carry their id and the journal's sequence."""
    text = live.workers.log(0).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if not line.startswith("kernel: ")]
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)
    raised = [line for line in lines if line["message"] == "alert firing"]
    assert len({(line["alert_id"], line["sequence"]) for line in raised}) == len(raised) > 10
