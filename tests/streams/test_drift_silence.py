"""`bellwether drift` where nobody states outcomes: a silence in a real topic, beside the same events as a history."""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from scoring.presets import load_model
from state.moments import rfc3339
from streams import topics
from streams.access import kafka
from streams.backtest.outcomes import read_answers
from streams.backtest.question import Question, parse_outcome
from streams.outbox import Outbox
from streams.replay import files_of
from streams.settings import Settings
from tests.streams.test_drift_live import ROOT, SECONDS, following, scraped, shown
from tests.streams.test_feedback import DAY, START, close

MODEL = load_model("saas-renewal")
OUTCOME, HORIZON, RECENT = "silence:billing:purchase:21d", 28, 56
WORDS = ("--outcome", OUTCOME, "--horizon", f"{HORIZON}d", "--recent", f"{RECENT}d", "--json")
RATIO = HORIZON * DAY / MODEL.horizon_ms
LAST_DAYS = {"acme": 200, "bolt": 200, "cove": 61, "dune": 83, "elm": 110, "fern": 40}
"""Account → the day after which it buys no more; every five days until then, and pays invoices all the time."""
DAYS = 141

Body = dict[str, Any]


def bought(account: str, days: range) -> list[Body]:
    """Return what an account does on some days."""
    offset = sorted(LAST_DAYS).index(account) % 5
    found = []
    for day in days:
        name = "purchase" if day <= LAST_DAYS[account] and day % 5 == offset else "invoice_paid"
        at = rfc3339(START + day * DAY + 11 * DAY // 24)
        found.append({"id": f"{account}-{day}", "account_id": account, "event": name, "amount": 5, "occurred_at": at})
    return found


def told(days: range) -> list[Body]:
    """Return what is said of everybody on the Mondays among some days."""
    risks = {account: (1 + k) / 10 for k, account in enumerate(LAST_DAYS)}
    return [
        close(account, day, risk, model=MODEL.fingerprint)
        for day in days
        if day % 7 == 0
        for account, risk in risks.items()
    ]


async def write(settings: Settings, topic: str, bodies: list[Body], field: str) -> None:
    """Write records, each with the timestamp of what it speaks of."""
    async with Outbox(settings) as outbox:
        await outbox.open(settings.topic(topic))
        for body in bodies:
            at_ms = int(np.datetime64(body[field].removesuffix("Z"), "ms").astype(np.int64))
            await outbox.add(settings.topic(topic), body["account_id"].encode(), orjson.dumps(body), at_ms)


async def write_all(settings: Settings, days: range) -> None:
    """Write what everybody does on some days, and what is said of them."""
    events = [body for account in LAST_DAYS for body in bought(account, days)]
    await write(settings, "billing", sorted(events, key=lambda body: body["occurred_at"]), "occurred_at")
    await write(settings, "score-history", told(days), "at")


def asked(settings: Settings) -> dict[str, Any]:
    """Return the command's report."""
    environ = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streams.cli", "drift", *WORDS]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def recounted(folder: Path, days: int) -> dict[str, tuple[int, float]]:
    """Return rows and share that went silent, as the answers of a history say of the same predictions."""
    events = sorted(
        (body for account in LAST_DAYS for body in bought(account, range(days))), key=lambda b: b["occurred_at"]
    )
    folder.mkdir()
    (folder / "billing.jsonl").write_bytes(b"\n".join(orjson.dumps(body) for body in events) + b"\n")
    answers = read_answers(files_of(folder), Question(parse_outcome(OUTCOME), HORIZON * DAY))
    newest = START + (days - 1) // 7 * 7 * DAY
    mondays = [START + (day + 1) * DAY for day in range(0, days, 7)]  # a word counts from a day later on
    since = [at for at in mondays if at + HORIZON * DAY <= newest]
    found: dict[str, list[float]] = {"before": [], "recent": []}
    for account in LAST_DAYS:
        came = answers.happened([account] * len(since), np.array(since))
        for at, happened in zip(since, came.tolist(), strict=True):
            found["recent" if at > newest - (HORIZON + RECENT) * DAY else "before"].append(happened)
    return {name: (len(each), float(np.mean(each))) for name, each in found.items()}


def kept(report: dict[str, Any]) -> dict[str, tuple[int, float]]:
    """Return rows and share of a report's periods."""
    return {name: (each["rows"], pytest.approx(each["came"])) for name, each in report["kept_promises"].items()}


@pytest.mark.timeout(600)
async def test_silences_in_a_topic_are_those_of_the_same_events_as_a_history(
    provisioned: Settings, tmp_path: Path
) -> None:
    """Rows and shares are the answers' own; metrics follow what is bought; what was deleted decides nothing."""
    settings = replace(provisioned, metrics_port=0)
    await write_all(settings, range(DAYS))
    report = await asyncio.to_thread(asked, settings)
    expected = recounted(tmp_path / "first", DAYS)
    assert report["outcome"] == OUTCOME
    assert kept(report) == expected
    assert 0 < expected["recent"][1] < 1
    assert report["silence"] == {"silent": 4, "heard_from": None}
    assert report["said_before_outcomes"]["30"]["silent"]["outcomes"] == 2  # dune and elm, the others too long ago
    with following(settings, WORDS) as port:
        found = await settled(port, START + 140 * DAY)
        assert found["bellwether_silent_accounts", ()] == 4
        # Fern is back; nothing else is new but a week.
        back = {**bought("fern", range(150, 151))[0], "event": "purchase"}
        await write(settings, "billing", [back], "occurred_at")
        await write_all(settings, range(DAYS, 155))
        found = await settled(port, START + 154 * DAY)
        assert found["bellwether_silent_accounts", ()] == 3
        assert np.isnan(found["bellwether_heard_from_timestamp_seconds", ()])
    await forget(settings, half=True)
    left = await asyncio.to_thread(asked, settings)
    since = np.datetime64(left["silence"]["heard_from"].removesuffix("Z"), "ms").astype(np.int64)
    assert START + 20 * DAY < since < START + 120 * DAY
    assert left["kept_promises"]["recent"]["rows"] > 0
    assert left["kept_promises"]["before"]["rows"] < report["kept_promises"]["before"]["rows"]
    await forget(settings, half=False)
    nothing = await asyncio.to_thread(asked, settings)
    assert [each["rows"] for each in nothing["kept_promises"].values()] == [0, 0]


async def settled(port: int, newest_ms: int) -> dict[tuple[str, tuple], float]:
    """Return the metrics once they tell of a midnight, which is the last thing of a report that is set."""
    await shown(port, newest_ms / 1000, time.monotonic() + SECONDS)
    return await asyncio.to_thread(scraped, port)


async def forget(settings: Settings, *, half: bool) -> None:
    """Delete the first half of what each partition of `billing` holds, or all of it."""
    name = settings.topic("billing")
    places = [TopicPartition(name, number) for number in await topics.partitions(settings, name)]
    ends = await ends_of(settings, places)
    async with topics.admin(settings) as admin:
        await admin.delete_records({place: RecordsToDelete(end // 2 if half else end) for place, end in ends.items()})


async def ends_of(settings: Settings, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Return the ends of partitions that hold anything."""
    consumer = AIOKafkaConsumer(**kafka(settings))
    await consumer.start()
    try:
        return {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
    finally:
        await consumer.stop()
