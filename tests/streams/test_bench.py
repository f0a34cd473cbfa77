"""The bench's workload, and the whole bench once, small."""

import subprocess
import sys
from collections import Counter

import orjson
import pytest

from state.decode import decode_event
from state.rejections import Rejection
from streams.bench.workload import TOPICS, Workload
from streams.cli import main

SMALL = Workload(events=20_000, accounts=1_000)


def test_the_workload_is_what_it_says() -> None:
    """Events come in time order, one account has about 27 % of them, and topics have the stated shares."""
    lines = list(SMALL.lines())
    times = [line.timestamp_ms for line in lines]
    assert times == sorted(times)
    assert SMALL.start_ms <= times[0] < times[-1] < SMALL.end_ms
    (_, busiest), *_ = Counter(line.account_id for line in lines).most_common(1)
    assert 0.25 < busiest / len(lines) < 0.29
    shares = Counter(line.topic for line in lines)
    assert {topic: SMALL.count(topic) for topic in TOPICS} == dict(shares)
    assert 0.94 < shares["usage"] / len(lines) < 0.96


def test_every_event_is_accepted_and_the_same_numbers_give_the_same_bytes() -> None:
    """No event of the workload is a dead letter, and a second run makes the same ones."""
    lines = list(SMALL.lines())
    assert not [line for line in lines[:2_000] if isinstance(decode_event(line.topic, line.value), Rejection)]
    assert lines == list(SMALL.lines())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_bench_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """`bellwether bench --quick --json` ends with 0 and the figures on the last line."""
    assert main(["bench", "--quick", "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    wanted = {
        "events_per_second",
        "cpu_seconds_per_million",
        "limit_events_per_second",
        "stock_faust_events_per_second",
        "restore_accounts_per_second",
        "sweep_accounts_per_second",
        "bytes_per_account",
        "changelog_bytes_per_event",
        "help_seconds",
        "worker_ready_seconds",
    }
    assert all(found[name] > 0 for name in wanted)
    for waits in (found["latency_ms"], found["latency_at_80_percent_ms"]):
        assert waits["alerts"] > 0
        assert waits["p50"] <= waits["p99"]
        assert waits["p50"] < waits["redis_p50"] <= waits["redis_p99"]
    stages = {"fetch", "decode", "resolve", "kernel", "encode", "sweep", "commit_wall"}
    assert stages <= found["stages_microseconds_per_event"].keys()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_restore_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Every account of the changelog is back, from at most two records each and those of its partitions."""
    assert main(["bench", "--restore", "1000", "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["accounts"] == 1_000
    assert 1_000 < found["changelog_records"] < 4_000
    assert found["assignments"] == 1
    assert found["restore_seconds"] > 0


def test_the_profile_names_the_kernel_and_what_feeds_it() -> None:
    """Applying, decoding and sweeping stand in the table, with their files."""
    command = [sys.executable, "-m", "streams.bench.profile", "--events", "20000", "--accounts", "500"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert "us an event" in told
    for name in ("apply_events (state/apply.py)", "sweep (state/advance.py)"):
        assert name in told, told
