"""A live installation to watch: worker, notifier and drift on the embedded stack, real Prometheus and Alertmanager, a feed."""

import asyncio
import itertools
import json
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from deploy.local.processes import Server, free_ports, lock
from streams.outbox import Outbox
from streams.settings import Settings
from tests.deploy.programs import alertmanager, prometheus
from tests.deploy.scaling import write_scaled_rules
from tests.sources import TOP
from tests.streams.test_drift_live import WORDS
from tests.streams.workers import REAL_WORKER, Workers

SCRAPE = "1s"
READY_SECONDS = 60
PAUSE_SECONDS = 0.25
ALL_ANSWER = 'count(up{job=~"bellwether.*"} == 1) == 3'
RULES = sorted((TOP / "deploy" / "prometheus" / "rules").glob("*.yml"))


@dataclass
class Feed:
    """Sends events as they would come: usage, support, now and then a new account with an alert.

    Attributes
    ----------
    settings
        Where to send.
    is_support_silent
        Send nothing on `support`.
    is_poisoned
        Send two broken records on `usage` for each good one.
    """

    settings: Settings
    is_support_silent: bool = False
    is_poisoned: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Send until cancelled."""
        async with Outbox(self.settings) as outbox:
            for topic in ("usage", "support"):
                await outbox.open(self.settings.topic(topic))
            while True:
                for _ in range(20):
                    await self._send(outbox, "usage", f"acct-{next(self._numbers) % 50}", event="login")
                if not self.is_support_silent:
                    await self._annoy(outbox)
                for _ in range(40 if self.is_poisoned else 0):
                    await outbox.add(self.settings.topic("usage"), b"acct-1", b'{"event": 1}', _now_ms())
                await outbox.flush()
                await asyncio.sleep(PAUSE_SECONDS)

    async def send_support(self, count: int) -> None:
        """Send many events of support at once."""
        async with Outbox(self.settings) as outbox:
            await outbox.open(self.settings.topic("support"))
            for number in range(count):
                await self._send(outbox, "support", f"acct-{number % 50}", event="ticket_updated", ticket_id="t")

    async def _annoy(self, outbox: Outbox) -> None:
        """Send what makes a new account, and under the model of simulations its first alert."""
        account = f"new-{next(self._numbers)}"
        await self._send(outbox, "usage", account, event="login")
        for ticket in ("t1", "t2"):
            await self._send(outbox, "support", account, event="ticket_opened", ticket_id=ticket)

    async def _send(self, outbox: Outbox, topic: str, account: str, **more: str) -> None:
        now = datetime.now(UTC)
        event = {"id": str(next(self._numbers)), "account_id": account, "occurred_at": now.isoformat(), **more}
        await outbox.add(self.settings.topic(topic), account.encode(), json.dumps(event).encode(), _now_ms())


@dataclass
class Live:
    """What runs, and what Prometheus and Alertmanager say of it."""

    settings: Settings
    workers: Workers
    feed: Feed
    prometheus: str
    alertmanager: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query; raise where Prometheus refuses it."""
        address = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        found: list[dict[str, Any]] = (await _ask(address))["data"]["result"]
        return found

    async def firing(self, name: str) -> list[dict[str, str]]:
        """Return the labels of Alertmanager's active alerts of this name, inhibited ones included."""
        alerts = await _ask(f"{self.alertmanager}/api/v2/alerts?active=true&inhibited=true")
        return [alert["labels"] for alert in alerts if alert["labels"]["alertname"] == name]

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str, seconds: float = 60) -> Any:
        """Wait until a condition holds; return what it returned."""
        deadline = time.monotonic() + seconds
        while not (found := await condition()):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
            await asyncio.sleep(0.1)
        return found

    async def until_firing(self, name: str) -> dict[str, str]:
        """Wait until an alert of this name is active; return its labels."""
        labels: list[dict[str, str]] = await self.until(lambda: self.firing(name), f"{name} fires")
        return labels[0]

    async def until_resolved(self, name: str) -> None:
        """Wait until no alert of this name is active."""

        async def is_resolved() -> bool:
            return not await self.firing(name)

        await self.until(is_resolved, f"{name} is resolved")


@asynccontextmanager
async def running(settings: Settings, past: Settings, folder: Path) -> AsyncIterator[Live]:
    """Start everything on topics that exist, drift on those of `past`, for which months went by; end it afterwards."""
    prometheus_port, alertmanager_port, worker_port, notifier_port, drift_port = free_ports(5)
    addresses = [f"http://127.0.0.1:{port}" for port in (prometheus_port, alertmanager_port)]
    targets = folder / "targets.toml"
    targets.write_text(f'[targets.operations]\nkind = "alertmanager"\nurl = "{addresses[1]}"\n')
    ports = {"bellwether": worker_port, "bellwether-notify": notifier_port, "bellwether-drift": drift_port}
    _configure(folder, ports | {"prometheus": prometheus_port, "alertmanager": alertmanager_port})
    worker = Workers(replace(settings, metrics_port=worker_port), folder, command=REAL_WORKER)
    for name in ("notifier", "drift"):
        (folder / name).mkdir()
    notify = ("-m", "streams.cli", "notify", str(targets))
    notifier = Workers(replace(settings, metrics_port=notifier_port), folder / "notifier", command=notify)
    follow = ("-m", "streams.cli", "drift", "--follow", *WORDS)
    drift = Workers(replace(past, metrics_port=drift_port), folder / "drift", command=follow)
    servers = [
        _server("prometheus", folder, prometheus_port, prometheus(), "--config.file=prometheus.yml"),
        _server("alertmanager", folder, alertmanager_port, alertmanager(), "--config.file=alertmanager.yml"),
    ]
    feed = Feed(settings)
    live = Live(settings, worker, feed, *addresses)
    try:
        with worker, notifier, drift:
            for server in servers:
                server.start(READY_SECONDS)
            # All, before the first event: a count that begins before it is first scraped has not risen for Prometheus.
            await live.until(lambda: live.query(ALL_ANSWER), "worker, notifier and drift answer")
            feeding = asyncio.create_task(feed.run())
            try:
                yield live
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
    finally:
        for server in servers:
            server.kill()


def _configure(folder: Path, ports: dict[str, int]) -> None:
    """Write the shipped configuration with our addresses, faster."""
    config = yaml.safe_load((TOP / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]}]
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "rules").mkdir()
    for path in RULES:
        write_scaled_rules(path, folder / "rules")
    shipped = TOP / "deploy" / "alertmanager" / "alertmanager.yml"
    (folder / "alertmanager.yml").write_text(shipped.read_text(encoding="utf-8"))


def _server(name: str, folder: Path, port: int, program: Path, config: str) -> Server:
    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1):
                return True
        except OSError:
            return False

    flag, file = config.split("=")
    data = folder / f"{name}-data"
    data.mkdir()
    command = [program, f"{flag}={folder / file}", f"--web.listen-address=127.0.0.1:{port}"]
    command += [f"--storage.tsdb.path={data}"] if name == "prometheus" else [f"--storage.path={data}"]
    command += [] if name == "prometheus" else ["--cluster.listen-address="]
    return Server(name, command, folder / f"{name}.log", is_ready, lock_descriptor=lock(data))


async def _ask(address: str) -> Any:
    def ask() -> Any:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - ours
            return json.load(answer)

    return await asyncio.to_thread(ask)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
