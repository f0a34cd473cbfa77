"""Receivers of alerts on this machine, alerts to deliver, and the notifier that delivers them."""

import asyncio
import base64
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer

from state.murmur2 import partition_of
from streams.notify.load import Load
from streams.notify.observer import DeliveryObserver
from streams.notify.run import notify
from streams.notify.targets import Target
from streams.settings import Settings

ROOT = Path(__file__).parents[3]
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()


def an_alert(number: int = 1, state: str = "firing", sequence: int = 1, **fields: Any) -> dict[str, Any]:
    """An alert record in the form of the contract."""
    step = {
        "playbook": "rescue",
        "goal": "keep",
        "steps": ["call"],
        "owner": "ann@example.com",
        "due_at": "2026-03-12T00:00:00.000Z",
    }
    alert = {
        "alert_id": f"{number:032x}",
        "sequence": sequence,
        "account_id": f"acme-{number}",
        "rule": "band-red",
        "code": "BAND_RED",
        "title": "in the red",
        "episode": 1,
        "state": state,
        "severity": "critical",
        "from_band": "yellow",
        "to_band": "red",
        "scores": {"health": 31.25, "risk": 0.8, "expansion": 0.1, "coverage": 0.9},
        "trajectory": {"slope_per_day": -1.5, "acceleration": 0.0, "expected_crossing": None},
        "reasons": [{"code": "LOGINS", "text": "logins down 42 % <!channel>", "contribution": -20.5}],
        "why_it_moved": [],
        "next_step": None if state == "resolved" else step,
        "model": {"name": "m", "version": 1, "fingerprint": "f"},
        "occurred_at": "2026-03-09T00:00:00.000Z",
        "dedup_key": f"{number:032x}",
    }
    if state == "resolved":
        alert["resolution"] = "CONDITION_ENDED"
    return alert | fields


async def write_alerts(settings: Settings, alerts: Sequence[dict[str, Any]]) -> None:
    """Write alerts as the worker does: keyed by account, committed in a transaction."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, transactional_id=f"{settings.app_id}-{random.randrange(1 << 30)}"
    )
    await producer.start()
    try:
        async with producer.transaction():
            for alert in alerts:
                key = alert["account_id"].encode()
                partition = partition_of(key, settings.partitions)
                await producer.send(settings.topic("alerts"), orjson.dumps(alert), key, partition)
    finally:
        await producer.stop()


@dataclass
class Receiver:
    """An HTTP receiver that remembers what it was sent.

    Parameters
    ----------
    answer
        (how many requests were before, webhook-id or "") → HTTP status.
    """

    answer: Callable[[int, str], int] = lambda _, __: 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    gate: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        """Remember a request, wait for the gate where there is one, and answer."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = self.answer(len(self.requests), headers.get("webhook-id", ""))
        self.requests.append((headers, body))
        if self.gate is not None:
            await self.gate.wait()
        return web.Response(status=status, headers=self.headers, text="said")

    @property
    def ids(self) -> list[str]:
        """The webhook-ids in the order they came."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    async def has(self, count: int, seconds: float = 30) -> None:
        """Wait until at least `count` requests came."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Serve a receiver on a free port."""
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Standing(DeliveryObserver):
    """Remembers how targets stand."""

    def __init__(self) -> None:
        self.owed: dict[str, int] = {}
        self.behind: dict[str, int] = {}
        self.up: dict[str, bool] = {}
        self.given_up: list[str] = []
        self.fates: list[str] = []

    def stands(self, target: str, waiting: int, behind: int, *, is_up: bool) -> None:
        """Remember the latest."""
        self.owed[target], self.behind[target], self.up[target] = waiting, behind, is_up

    def decided(self, fate: str) -> None:
        """Count."""
        self.fates.append(fate)

    def gave_up(self, target: str) -> None:
        """Count."""
        self.given_up.append(target)

    async def has(self, condition: Callable[["Standing"], bool], seconds: float = 30) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def notifying(
    settings: Settings, *targets: Target, enabled: frozenset[str] = frozenset(), load: Load | None = None
) -> AsyncIterator[Standing]:
    """Run a notifier in this process."""
    standing = Standing()
    task = asyncio.create_task(notify(settings, targets, standing, enabled, load))
    try:
        yield standing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def notifier_process(settings: Settings, file: Path, log: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A notifier as a process of its own; killed at the end."""
    environment = {**os.environ, **settings.environ(), "PYTHONPATH": str(ROOT), **environ}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "streams.cli", "notify", str(file)],
            env=environment, cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
