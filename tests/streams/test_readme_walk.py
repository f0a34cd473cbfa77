"""What README says to type, typed: its commands in their order, on servers and files of one's own."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.processes import free_ports
from tests.sources import TOP
from tests.test_docs import shell_lines

LINES = [line.split()[1:] for line in shell_lines() if line.startswith("bellwether ")]
PATIENCE_SECONDS = 400  # a first worker compiles for a minute, beside others for several


class Terminal:
    """Types commands into a folder, in an environment that `up` completes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (port,) = free_ports(1)
        self.environ = {**os.environ, "PYTHONPATH": str(TOP)}
        self.environ |= {"BELLWETHER_DATA_DIR": str(folder / "data"), "BELLWETHER_METRICS_PORT": str(port)}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command and return it; what it says goes to a file of its name."""
        command = [sys.executable, "-m", "streams.cli", *words]
        with (self.folder / words[0]).open("w") as said:
            return subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=said, stderr=subprocess.STDOUT)

    def type(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it said."""
        code = self.start(*words).wait(timeout=PATIENCE_SECONDS)
        return code, (self.folder / words[0]).read_text()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A folder with two files of events of the account acme; servers that were started in it are stopped."""
    days = [datetime.now(UTC) - timedelta(days=age, hours=1) for age in range(30, 0, -1)]
    events = [
        {"id": day.isoformat(), "account_id": "acme", "occurred_at": day.isoformat(), "event": "login", "user_id": "u"}
        for day in days
    ]
    (tmp_path / "usage.jsonl").write_text("\n".join(map(json.dumps, events)))
    paid = f"id,account_id,occurred_at,event,amount\np1,acme,{days[3].isoformat()},invoice_paid,120.50\n"
    (tmp_path / "billing.csv.gz").write_bytes(gzip.compress(paid.encode()))
    found = Terminal(tmp_path)
    yield found
    assert found.type("down")[0] == 0


@pytest.mark.timeout(1500)
async def test_whoever_types_what_readme_says_sees_a_score(terminal: Terminal) -> None:
    """Servers up (on free ports), topics made, a worker started, files sent, and the account explained."""
    assert [words[0] for words in LINES] == ["up", "topics", "worker", "produce", "explain"]
    up, create, worker, produce, explain = LINES
    code, said = await asyncio.to_thread(terminal.type, *up, "--kafka-port", "0", "--redis-port", "0", "--json")
    assert code == 0, said
    where = json.loads(said.splitlines()[-1])
    terminal.environ |= {"BELLWETHER_KAFKA": where["kafka"], "BELLWETHER_REDIS_URL": where["redis_url"]}
    code, said = await asyncio.to_thread(terminal.type, *create)
    assert code == 0, said
    running = terminal.start(*worker)
    try:
        code, said = await asyncio.to_thread(terminal.type, *produce)
        assert code == 0, said
        assert "31 events sent" in said
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (explained := await asyncio.to_thread(terminal.type, *explain))[0] != 0:
            assert running.poll() is None, "the worker ended"
            assert time.monotonic() < deadline, explained[1]
    finally:
        running.terminate()
        code = await asyncio.to_thread(running.wait, timeout=PATIENCE_SECONDS)
    assert explained[1].startswith("acme")
    assert "health" in explained[1]
    assert code == 0, (terminal.folder / worker[0]).read_text()
