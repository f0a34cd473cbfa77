"""A worker with a name that dies and comes back: Kafka keeps its partitions for it, and the others notice nothing."""

import asyncio
import signal
from pathlib import Path
from time import monotonic

import pytest

from streams.app import NAMED_SESSION_SECONDS
from streams.settings import Settings
from tests.streams.workers import Workers

TRIES = 3
"""On a busy machine a start may take longer than the session."""


@pytest.mark.timeout(400)
async def test_a_worker_that_comes_back_under_its_name_is_no_rebalance(provisioned: Settings, tmp_path: Path) -> None:
    """Killed and started again within the session it owns what it owned; the other was assigned nothing meanwhile."""
    with Workers(provisioned, tmp_path, count=0) as workers:
        workers.processes = [workers.start(index, BELLWETHER_INSTANCE_ID=f"worker-{index}") for index in range(2)]
        await until_two_and_two(workers)
        for _ in range(TRIES):
            before = [assignments(workers, index) for index in range(2)]
            began = monotonic()
            workers.signal(0, signal.SIGKILL)
            await asyncio.to_thread(workers.processes[0].wait)
            workers.processes[0] = workers.start(0, BELLWETHER_INSTANCE_ID="worker-0")
            while not workers.owns_partitions(0):
                await asyncio.sleep(0.2)
            if monotonic() - began < NAMED_SESSION_SECONDS - 3:
                break
            await until_two_and_two(workers)
        else:
            pytest.skip("starts take longer than a session on this machine now")
        assert owned(assignments(workers, 0)[-1]) == owned(before[0][-1])
        assert assignments(workers, 1) == before[1]


async def until_two_and_two(workers: Workers) -> None:
    """Wait until each of the workers owns two partitions."""
    while not all(lines and owned(lines[-1]).count(",") == 1 for lines in (assignments(workers, k) for k in range(2))):
        await asyncio.sleep(0.2)


def assignments(workers: Workers, index: int) -> list[str]:
    """Return the log lines that tell what a worker was assigned."""
    return [line for line in workers.log(index).read_text().splitlines() if "owning partitions" in line]


def owned(line: str) -> str:
    """Return the partitions that such a line names."""
    return line.partition("partitions [")[2].partition("]")[0]
