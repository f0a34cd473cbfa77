"""`bellwether drift` without a folder: a real worker's score history and outcomes joined, as report and as metrics."""

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.processes import free_ports
from scoring.presets import load_model
from state.decode import decode_event
from state.events import Outcome
from state.moments import rfc3339
from streams import metrics as m
from streams.demo.book import Book
from streams.demo.event import Event
from streams.feedback.exporting import Exporting
from streams.feedback.joining import Feedback, Question
from streams.feedback.judging import REASONS, Asked
from streams.settings import Settings
from tests.faults.verify import read_logs
from tests.streams.recount import is_consumed
from tests.streams.test_end_to_end import feed, until
from tests.streams.test_feedback import DAY, assert_same
from tests.streams.workers import REAL_WORKER, ROOT, Workers

HORIZON, RECENT, SECONDS = 28, 35, 240.0
WORDS = ("--outcome", "churned", "--horizon", f"{HORIZON}d", "--recent", f"{RECENT}d", "--json")
LEAVING = {60: 2, 75: 2, 90: 2}
"""Day → accounts that leave then."""


def weeks() -> Iterator[list[list[Event]]]:
    """Yield the weeks of a book in which some accounts leave, each a list of days."""
    book, number = Book(7, accounts=20, days=110), 0
    days = list(book.by_day())
    for day, count in LEAVING.items():
        at_ms = days[day][-1].arrives_at_ms
        for account in sorted(book.names)[number : number + count]:
            body = {"id": f"left-{account}", "account_id": account, "occurred_at": rfc3339(at_ms), "outcome": "churned"}
            days[day].append(Event("outcomes", account, orjson.dumps(body), at_ms, at_ms, ""))
        number += count
    return (days[first : first + 7] for first in range(0, len(days), 7))


@pytest.mark.timeout(900)
async def test_the_report_of_a_running_application_is_that_of_a_plain_recount(
    provisioned: Settings, tmp_path: Path
) -> None:
    """Of whatever a worker wrote to `score-history` while a book went by; metrics follow as more is written."""
    settings = replace(provisioned, clock="log", commit_max_ms=200, score_history="on", metrics_port=0)
    sent: Counter[str] = Counter()
    coming = list(weeks())
    with Workers(settings, tmp_path, count=1, command=REAL_WORKER) as workers:
        for week in coming[:-1]:
            await feed(settings, week, sent)
            await until(lambda: is_consumed(settings, sent), workers)
        workers.processes[0].terminate()  # what ticks close after the last event would come between two readers
        await asyncio.to_thread(workers.processes[0].wait, SECONDS)
    report = await asyncio.to_thread(asked, settings)
    logs = await read_logs(settings, ["score-history", "outcomes"])
    closes = [orjson.loads(record.value) for record in flat(logs, "score-history")]
    told = [decode_event("outcomes", record.value) for record in flat(logs, "outcomes")]
    outcomes = [(each.account_id, each.occurred_at_ms, each.outcome) for each in told if isinstance(each, Outcome)]
    ratio = HORIZON * DAY / load_model(settings.model).horizon_ms
    assert_same(report, closes, outcomes, Asked("churned", HORIZON * DAY, ratio, RECENT * DAY))
    assert report["kept_promises"]["recent"]["rows"] > 30
    assert report["kept_promises"]["recent"]["outcomes"] > 0
    assert report["said_before_outcomes"]["30"]["churned"]["outcomes"] > 0
    assert {"health", "risk"} == report["scores"].keys()
    assert report["inputs"]
    assert report["playbooks"]
    with following(settings) as port:
        deadline = time.monotonic() + SECONDS
        newest = datetime.fromisoformat(report["to"]).timestamp()
        assert_shown(await shown(port, newest, deadline), report)
        with Workers(settings, tmp_path, count=1, command=REAL_WORKER) as workers:
            await feed(settings, coming[-1], sent)
            await until(lambda: is_consumed(settings, sent), workers)
            await shown(port, newest + 86_400, time.monotonic() + SECONDS)


def test_what_is_not_known_yet_is_no_number() -> None:
    """Before the first report, and after one of an application without a close, no figure stands at 0 but the reasons."""
    model, registry = load_model("saas-renewal"), CollectorRegistry()
    exporting = Exporting(registry)
    assert not exporting.is_ready
    assert told(registry) == {}
    exporting.show(Feedback(Question("churned", HORIZON * DAY, RECENT * DAY), [model]).report())
    assert exporting.is_ready
    found = told(registry)
    assert {name for name, _ in found} == {m.REFRESH.name, m.JUDGED.name}
    assert set(found.values()) == {0.0}


def told(registry: CollectorRegistry) -> dict[tuple[str, tuple], float]:
    """Return (series, its labels) → number of what is a number."""
    samples = [each for family in registry.collect() for each in family.samples if not math.isnan(each.value)]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}


def flat(logs, topic: str) -> list:
    """Return a topic's records of all partitions."""
    return [record for (name, _), records in logs.items() for record in records if name == topic]


def asked(settings: Settings) -> dict:
    """Return the command's report."""
    environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streams.cli", "drift", *WORDS]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@contextmanager
def following(settings: Settings, words: tuple[str, ...] = WORDS) -> Iterator[int]:
    """Run the command for good; yield the port of its metrics."""
    (port,) = free_ports(1)
    environ = {**os.environ, **replace(settings, metrics_port=port).environ(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streams.cli", "drift", *words, "--follow", "--every", "1"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def assert_shown(found: dict[tuple[str, tuple], float], report: dict) -> None:
    """Compare metrics with the report."""
    assert {name for name, _ in found} == {metric.name for metric in m.FEEDBACK_METRICS}
    assert found["bellwether_ranking_auc_ratio", ()] == pytest.approx(report["kept_promises"]["recent"]["auc"])
    for band, kept in report["bands"].items():
        assert found["bellwether_judged_predictions", (("band", band),)] == kept["rows"]
        if kept["rows"]:
            assert found["bellwether_observed_outcome_ratio", (("band", band),)] == pytest.approx(kept["came"])
    needed = {reason: found["bellwether_model_needs_refresh", (("reason", reason),)] for reason in REASONS}
    assert needed == report["needs_refresh"]


async def shown(port: int, since: float, deadline: float) -> dict[tuple[str, tuple], float]:
    """Wait until the newest close is of a midnight from `since` on; return (series, its labels) → number."""
    while True:
        found = await asyncio.to_thread(scraped, port)
        if found.get(("bellwether_newest_close_timestamp_seconds", ()), 0.0) >= since:
            return found
        assert time.monotonic() < deadline, "the metrics do not follow the topic"
        await asyncio.sleep(0.2)


def scraped(port: int) -> dict[tuple[str, tuple], float]:
    """Return what is exported; nothing while nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
    except URLError:
        return {}
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }
