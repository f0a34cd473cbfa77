"""`bellwether model shadow --follow` beside a real worker on the embedded Kafka."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scoring.presets import model_text
from streams.alert_contract import begins
from streams.demo.book import Book
from streams.settings import Settings
from tests.streams.recount import is_consumed, read_all
from tests.streams.test_end_to_end import feed, owns, until
from tests.streams.test_model_publish import version_of
from tests.streams.workers import REAL_WORKER, ROOT, Workers

FOLLOWED_FROM_DAY = 60
FOLLOWED_TO_DAY = 80
STRICT = {"enter_below = 58": "enter_below = 78", "leave_above = 68": "leave_above = 84"}


async def fired(settings: Settings, after: Mapping[str, int]) -> Counter[str]:
    """Return rule → alerts that fired in later flushes than the given ones (partition → sequence), from the topic."""
    found: Counter[str] = Counter()
    for partition, records in (await read_all(settings, settings.topic("alerts"))).items():
        for record in records:
            alert = json.loads(record.value)  # type: ignore[attr-defined]
            if begins(alert) and alert["decided_at"]["journal_sequence"] > after[str(partition)]:
                found[alert["rule"]] += 1
    return found


async def bands(settings: Settings) -> dict[str, str]:
    """Return account → band in its latest score record, of the accounts that have one."""
    latest: dict[bytes, bytes | None] = {}
    for records in (await read_all(settings, settings.topic("scores"))).values():
        latest |= {record.key: record.value for record in records}  # type: ignore[attr-defined]
    scores = [json.loads(value) for value in latest.values() if value is not None]
    return {score["account_id"]: score["band"] for score in scores}


class Follower:
    """The command as a process; its reports go to a file, so that it never waits for a reader and the latest is at hand."""

    def __init__(self, settings: Settings, model: Path, folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "streams.cli",
            "model",
            "shadow",
            str(model),
            "--follow",
            "--every",
            "0.5",
            "--json",
        ]
        environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
        self._reports, self._errors = folder / "reports.jsonl", folder / "follower.log"
        with self._reports.open("wb") as reports, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=reports, stderr=errors)

    def latest(self) -> dict[str, Any] | None:
        """Return the last report that is written whole."""
        whole = [line for line in self._reports.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return json.loads(whole[-1]) if whole else None

    async def report_when(
        self, is_wanted: Callable[[dict[str, Any]], Awaitable[bool]], seconds: float = 120
    ) -> dict[str, Any]:
        """Return the latest report, once it is as wanted."""
        ends = time.monotonic() + seconds
        while True:
            report = self.latest()
            if report and await is_wanted(report):
                return report
            assert self.process.poll() is None, self._errors.read_text()
            assert time.monotonic() < ends, f"no such report in {seconds} s, the last: {report}"
            await asyncio.sleep(0.1)


async def has_begun(report: dict[str, Any]) -> bool:
    """Whether there is a report; what it says does not matter."""
    del report
    return True


@pytest.mark.timeout(600)
async def test_a_shadow_follows_a_worker(provisioned: Settings, tmp_path: Path) -> None:
    """Its live side fires what the worker fires and stands where the worker's scores stand; Ctrl-C ends it with 0."""
    settings = replace(provisioned, clock="log", commit_max_ms=200)
    days = list(Book(7, accounts=30, days=110).by_day())[:FOLLOWED_TO_DAY]
    sent: Counter[str] = Counter()
    path = tmp_path / "strict.toml"
    path.write_text(version_of(model_text("saas-renewal"), 2, **STRICT))
    with Workers(settings, tmp_path, count=1, command=REAL_WORKER) as workers:
        await until(lambda: owns(workers, 0), workers)
        await feed(settings, days[:FOLLOWED_FROM_DAY], sent)
        await until(lambda: is_consumed(settings, sent), workers)
        follower = Follower(settings, path, tmp_path)
        try:
            first = await follower.report_when(has_begun)
            assert first["accounts"] == 30
            assert first["differing"] > 0
            await feed(settings, days[FOLLOWED_FROM_DAY:], sent)
            await until(lambda: is_consumed(settings, sent), workers)

            async def agrees(report: dict[str, Any]) -> bool:
                """Whether its live side fired and stands as the topics say; the last flushes may be on their way."""
                told = await bands(settings)
                stands = {each["account"]: each["live"] for each in report["differences"]}
                return (
                    report["alerts"]["live"] == await fired(settings, first["began_after"])
                    and stands.items() <= told.items()
                )

            last = await follower.report_when(agrees)
            assert sum(last["alerts"]["shadow"].values()) != 0
            assert last["alerts"]["shadow"] != last["alerts"]["live"]
            follower.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(follower.process.wait, 30) == 0
        finally:
            follower.process.kill()
            follower.process.wait()
