"""A real Alertmanager takes our alerts and sees them end."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streams.notify.targets import Alertmanager, Target
from streams.settings import Settings
from tests.streams.notify.receivers import an_alert, notifying, write_alerts

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n"


@pytest.fixture
def port() -> int:
    """A free port for an Alertmanager; where that is not installed the test is skipped, except in CI."""
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("no Alertmanager: install Debian's package prometheus-alertmanager")
        pytest.skip("no Alertmanager: install Debian's package prometheus-alertmanager")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def alertmanager(tmp_path: Path, port: int) -> AsyncIterator[str]:
    """The address of an Alertmanager that runs."""
    async with running(tmp_path, port) as url:
        yield url


@asynccontextmanager
async def running(folder: Path, port: int) -> AsyncIterator[str]:
    """Run an Alertmanager that remembers nothing of an earlier one; killed at the end."""
    assert PROGRAM is not None
    (folder / "alertmanager.yml").write_text(CONFIG)
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
        stdout=log,
        stderr=log,
    )
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while not await _is_ready(session, port):
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
        log.close()


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/-/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def standing_alerts(url: str) -> list[dict[str, Any]]:
    """The alerts that Alertmanager holds for unresolved."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v2/alerts") as response:
        found: list[dict[str, Any]] = await response.json()
        return found


async def test_alertmanager_sees_an_alert_begin_and_end(provisioned: Settings, alertmanager: str) -> None:
    """Firing stands with its labels until the resolve; a second alert is not touched by it."""
    target = Target("am", Alertmanager(alertmanager, ""), from_beginning=True)
    await write_alerts(provisioned, [an_alert(1), an_alert(2)])
    async with notifying(provisioned, target):
        async with asyncio.timeout(30):
            while len(await standing_alerts(alertmanager)) < 2:
                await asyncio.sleep(0.05)
        first = next(a for a in await standing_alerts(alertmanager) if a["labels"]["account_id"] == "acme-1")
        assert first["labels"] == {
            "alertname": "band-red",
            "account_id": "acme-1",
            "alert_id": f"{1:032x}",
            "severity": "critical",
        }
        assert first["startsAt"] == "2026-03-09T00:00:00.000Z"
        assert first["annotations"]["summary"] == "acme-1: in the red is firing (yellow → red)"
        await write_alerts(provisioned, [an_alert(1, "resolved", 2, occurred_at="2026-03-10T00:00:00.000Z")])
        async with asyncio.timeout(30):
            while len(await standing_alerts(alertmanager)) > 1:
                await asyncio.sleep(0.05)
        (left,) = await standing_alerts(alertmanager)
        assert left["labels"]["account_id"] == "acme-2"


async def test_an_alert_that_grew_graver_is_one_alert(provisioned: Settings, alertmanager: str) -> None:
    """Escalated, the milder one ends and the graver one stands; the resolve ends that too."""
    target = Target("am", Alertmanager(alertmanager, ""), from_beginning=True)
    graver = {"severity": "critical", "escalated_from": "warning"}
    await write_alerts(provisioned, [an_alert(severity="warning"), an_alert(sequence=2, **graver)])
    async with notifying(provisioned, target):
        async with asyncio.timeout(30):
            while [a["labels"]["severity"] for a in await standing_alerts(alertmanager)] != ["critical"]:
                await asyncio.sleep(0.05)
        await write_alerts(provisioned, [an_alert(1, "resolved", 3, **graver)])
        async with asyncio.timeout(30):
            while await standing_alerts(alertmanager):
                await asyncio.sleep(0.05)


async def accounts_standing(url: str, wanted: list[str]) -> None:
    """Wait until exactly these accounts' alerts stand."""
    async with asyncio.timeout(30):
        while sorted(alert["labels"]["account_id"] for alert in await standing_alerts(url)) != wanted:
            await asyncio.sleep(0.05)


async def test_what_stands_is_told_again(provisioned: Settings, tmp_path: Path, port: int) -> None:
    """An Alertmanager killed and started empty hears of what still fires, also from a notifier that was not there before.

    What was resolved meanwhile is not told again, nor what this target was never to hear of.
    """
    target = Target("am", Alertmanager(f"http://127.0.0.1:{port}", "", resend_ms=200), minimum_severity="critical")
    old = an_alert(9, severity="critical")
    await write_alerts(provisioned, [old])  # before the target began
    async with notifying(provisioned, target):
        await asyncio.sleep(3)
        await write_alerts(provisioned, [an_alert(1), an_alert(2), an_alert(3, severity="info")])
        async with running(tmp_path, port) as url:
            await accounts_standing(url, ["acme-1", "acme-2"])
        async with running(tmp_path, port) as url:
            await accounts_standing(url, ["acme-1", "acme-2"])
            await write_alerts(provisioned, [an_alert(2, "resolved", 2)])
            await accounts_standing(url, ["acme-1"])
    async with running(tmp_path, port) as url, notifying(provisioned, target):
        await accounts_standing(url, ["acme-1"])
        await asyncio.sleep(1)
        await accounts_standing(url, ["acme-1"])
