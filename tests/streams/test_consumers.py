"""The consumers in docs/consumers.md, run as they stand there."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.streams.notify.receivers import an_alert, write_alerts
from tests.streams.projecting import projecting

PAGE = Path(__file__).parents[2] / "docs" / "consumers.md"
EXAMPLES = dict(
    re.findall(r"^## From (\w+)\n.*?^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
)
LONGEST = 30


@contextmanager
def consumer(name: str, settings: Settings, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An example as a process; killed at the end."""
    with output.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", EXAMPLES[name]], env={**os.environ, **settings.environ()}, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def printed(output: Path) -> list[str]:
    """The lines so far."""
    return output.read_text().splitlines()


async def lines(output: Path, count: int, process: subprocess.Popen[bytes]) -> list[str]:
    """Wait until so many lines are printed, and return them."""
    async with asyncio.timeout(60):
        while len(found := printed(output)) < count:
            assert process.poll() is None, found
            await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("name", ["Kafka", "Redis"])
async def test_an_example_sees_every_alert_also_after_a_crash(name: str, provisioned: Settings, tmp_path: Path) -> None:
    """It prints each alert; killed and started again it goes on, and misses nothing that came meanwhile."""
    output = tmp_path / "output"
    async with projecting(provisioned):
        await write_alerts(provisioned, [an_alert(number) for number in range(20)])
        with consumer(name, provisioned, output) as process:
            await lines(output, 20, process)
        await write_alerts(provisioned, [an_alert(number, "resolved", 2) for number in range(20)])
        with consumer(name, provisioned, output) as process:
            shown = await lines(output, 40, process)
    wanted = {(f"acme-{number}", "band-red", state) for number in range(20) for state in ("firing", "resolved")}
    assert {tuple(line.split()[:3]) for line in shown} == wanted


@pytest.mark.parametrize("name", ["Kafka", "Redis"])
def test_an_example_is_short(name: str) -> None:
    """Thirty lines of code at most: whoever reads it sees all there is to it."""
    assert len([line for line in EXAMPLES[name].splitlines() if line.strip()]) <= LONGEST
