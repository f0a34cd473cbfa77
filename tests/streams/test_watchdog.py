"""When the watchdog calls a partition stuck, on leases whose numbers are set by hand; and workers that are stuck."""

import asyncio
import urllib.request
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.processes import free_ports
from streams.halt import FAILED
from streams.lease import Lease
from streams.observer import Observer
from streams.settings import Settings
from streams.watchdog import Watchdog
from tests.streams.counting import CountingFold
from tests.streams.workers import ROOT, Workers

STANDING_STILL = ROOT / "tests/streams/standing_still.py"
ENDS = {("usage", 0): 10}


def make(generation: int | None = 1) -> tuple[Lease, Watchdog]:
    """Return one lease that has read nothing yet, and a watchdog of 60 s over it."""
    lease = Lease(0, CountingFold(0), None, ("usage",))
    lease.starts = {"usage": 0}
    if generation is not None:
        lease.serve(generation)

    async def log_ends() -> dict[tuple[str, int], int]:
        return ENDS

    return lease, Watchdog([lease], log_ends, is_owed, Observer(), 60.0)


async def is_owed() -> bool:
    """Say that there are fewer workers than partitions."""
    return True


async def test_a_worker_without_partitions_is_left_out_only_when_there_are_enough() -> None:
    """Nothing owned for 60 s: stuck when each should have one, fine when there are more workers than partitions."""

    async def is_not_owed() -> bool:
        return False

    async def log_ends() -> dict[tuple[str, int], int]:
        return {}

    owed, spare = (Watchdog([], log_ends, check, Observer(), 60.0) for check in (is_owed, is_not_owed))
    later = monotonic() + 61.0
    assert await owed._is_left_out(later)
    assert not await spare._is_left_out(later)
    assert not await owed._is_left_out(later - 30.0)


def test_waiting_records_and_no_movement_for_the_limit_is_stuck() -> None:
    """Ten records wait; nothing moved for 60 s."""
    _, dog = make()
    assert dog.look(ENDS, 0.0) is None
    assert dog.look(ENDS, 59.0) is None
    assert dog.look(ENDS, 60.0) == "partition 0: 10 records wait and nothing was consumed"


def test_movement_starts_the_wait_anew() -> None:
    """One record applied in between, and the minute begins again."""
    lease, dog = make()
    dog.look(ENDS, 0.0)
    lease.records_applied += 1
    assert dog.look(ENDS, 50.0) is None
    assert dog.look(ENDS, 100.0) is None


def test_nothing_to_do_is_not_stuck() -> None:
    """An empty log may stand still for ever."""
    _, dog = make()
    assert dog.look({("usage", 0): 0}, 0.0) is None
    assert dog.look({("usage", 0): 0}, 10_000.0) is None


def test_a_rebalance_that_never_ends_is_stuck() -> None:
    """A lease that does not serve and restores nothing."""
    _, dog = make(generation=None)
    dog.look(ENDS, 0.0)
    assert dog.look(ENDS, 60.0) == "partition 0: a rebalance or restore made no progress"


def test_a_restore_that_proceeds_is_not_stuck() -> None:
    """Loading changelog records counts as movement."""
    lease, dog = make(generation=None)
    dog.look(ENDS, 0.0)
    lease.loaded += 1_000
    assert dog.look(ENDS, 60.0) is None


def test_state_that_is_never_committed_is_stuck() -> None:
    """Applied but not flushed for the limit."""
    lease, dog = make()
    lease.fold.dirty = True
    for now in (0.0, 30.0, 59.0):
        lease.records_applied += 1
        assert dog.look(ENDS, now) is None
    lease.records_applied += 1
    assert dog.look(ENDS, 60.0) == "partition 0: nothing was committed"


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ("apply", "records wait and nothing was consumed"),
        ("commit", "nothing was committed"),
        ("loop", "the event loop has not turned"),
    ],
)
async def test_a_worker_that_stands_still_ends_itself(
    provisioned: Settings, tmp_path: Path, scene: str, reason: str
) -> None:
    """Stuck in applying, in committing, or with its loop: one line says so, code 1, and readiness and the metric show it before."""
    settings = replace(provisioned, metrics_port=free_ports(1)[0])
    seen: list[float] = []
    with Workers(settings, tmp_path, command=(str(STANDING_STILL), scene)) as workers:
        async with asyncio.timeout(150), AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
            while workers.processes[0].poll() is None:
                await producer.send(settings.topic("usage"), b"{}", key=b"a", partition=0)
                seen.append(await asyncio.to_thread(standstill_seconds, settings.metrics_port))
                await asyncio.sleep(0.3)
        assert workers.processes[0].returncode == FAILED
    told = [line for line in workers.log(0).read_text().splitlines() if "watchdog:" in line]
    assert len(told) == 1
    assert reason in told[0]
    assert "15 s; the supervisor should start it again (exit code 1)" in told[0]
    assert scene == "loop" or max(seen) >= 1.0


def standstill_seconds(port: int) -> float:
    """Return what the worker tells Prometheus, 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) for line in lines if line.startswith("bellwether_standstill_seconds "))
