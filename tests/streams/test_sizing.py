"""The plan on paper: its formulas, by figures that can be checked in the head."""

from pathlib import Path

import orjson
import pytest

from streams.bench.results import record
from streams.bench.sizing import GIB, PROCESS_BYTES, Load, main, plan

BENCH = {
    "events_per_second": 50_000,
    "cpu_seconds_per_million": 20.0,
    "bytes_per_account": 10_000,
    "changelog_bytes_per_event": 300.0,
    "output_bytes_per_event": 800.0,
    "restore_accounts_per_second": 20_000,
    "sweep_accounts_per_second": 5_000_000,
}


def test_the_largest_need_decides() -> None:
    """Workers are as many as events, memory or restores ask for; partitions leave room to double them."""
    load = Load(accounts=24e6, events_per_second=300_000, use=0.6, worker_gib=1e6, restore_seconds=100)
    found = plan(load, BENCH)
    assert [found[f"workers for the {need}"] for need in ("events", "memory", "restore")] == [10, 1, 12]
    assert (found["workers"], found["partitions"]) == (12, 32)
    assert (found["accounts of a worker"], found["restore of a worker, s"]) == (2_000_000, 100)
    assert found["cores for scoring"] == 10
    assert found["sweep of a worker at midnight, s"] == 9.6  # of 24 ticks at 5 million accounts a second
    assert found["changelog, MB/s before copies"] == 90


def test_memory_is_planned_with_a_quarter_to_spare() -> None:
    """Three quarters of a worker's memory, less what an empty one takes, are for accounts."""
    gib = 4 * (PROCESS_BYTES + 1e9) / 3 / GIB
    found = plan(Load(accounts=1e6, events_per_second=1, worker_gib=gib), BENCH)
    assert found["workers for the memory"] == 10
    assert found["memory of a worker, GiB"] == pytest.approx((1e9 + PROCESS_BYTES) / GIB, abs=0.1)


def test_disks_write_every_copy() -> None:
    """What comes in and what goes out, times the copies; never fewer brokers than copies."""
    found = plan(Load(events_per_second=100_000, event_bytes=200, copies=3, broker_bytes=100e6), BENCH)
    assert (found["written to disks, MB/s"], found["brokers"]) == (300, 3)


def test_the_plan_reads_what_the_bench_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command takes the bench's file of results as it is, and says which file it wants when given another."""
    kept, other = tmp_path / "kept.json", tmp_path / "other.json"
    record(kept, "bench", ["bellwether", "bench"], BENCH)
    other.write_bytes(orjson.dumps(BENCH))
    monkeypatch.setattr("sys.argv", ["sizing", "--bench", str(kept), "--accounts", "1e6", "--events", "1e5", "--json"])
    assert main() == 0
    assert orjson.loads(capsys.readouterr().out) == plan(Load(accounts=1e6, events_per_second=1e5), BENCH)
    monkeypatch.setattr("sys.argv", ["sizing", "--bench", str(other)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"bellwether bench --results {other}" in capsys.readouterr().err
