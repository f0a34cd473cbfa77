"""`replay`: files through the live kernel give what the live system would have said, whatever the ticks and blocks."""

import json
from pathlib import Path
from typing import Any

import pytest

from scoring.compile import Compiled, compile_model
from scoring.presets import load_model
from state.moments import rfc3339
from streams import event_order
from streams.alert_contract import begins
from streams.cli import main
from streams.demo.book import Book
from streams.event_order import in_order
from streams.replay import TOPICS, Rejected, Replay, Sinks, files_of
from tests.streams.books import written

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MODEL = "saas-renewal"


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """The preset."""
    return compile_model(load_model(MODEL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of twenty accounts as files, in the order of arrival: late events and broken ones included."""
    return written(Book(seed=11, accounts=20, days=110), tmp_path_factory.mktemp("book"))


def replayed(folder: Path, compiled: Compiled, every_ms: int | None = None) -> tuple[Replay, list[bytes], list[Any]]:
    """Replay a folder, files read whole; return the replay, its alerts and the snapshots of each step."""
    alerts: list[bytes] = []
    steps: list[Any] = []
    replay = Replay(compiled, Sinks(alert=alerts.append, snapshots=steps.append), every_ms)
    files = files_of(folder)
    replay.run(in_order(files, TOPICS, frozenset(file.name for file in files)))
    return replay, alerts, steps


def test_hourly_ticks_change_nothing(folder: Path, compiled: Compiled) -> None:
    """Rows and alerts of daily ticks equal those of a tick at every full hour, byte for byte; so do shared snapshots."""
    daily, daily_alerts, daily_steps = replayed(folder, compiled, DAY_MS)
    hourly, hourly_alerts, hourly_steps = replayed(folder, compiled, HOUR_MS)
    accounts = daily.state.store.names
    assert daily_alerts
    assert daily_alerts == hourly_alerts
    assert [daily.state.row_bytes(name) for name in accounts] == [hourly.state.row_bytes(name) for name in accounts]
    assert daily_steps[:-1] == hourly_steps[23:-1:24]


def test_blocks_change_nothing(
    folder: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However many lines are read at once, the output is the same."""
    for file in files_of(folder):
        lines = [line for stretch in in_order([file], TOPICS, frozenset((file.name,))) for line in stretch.lines]
        (tmp_path / Path(file.name).name).write_bytes(b"\n".join(line.value for line in lines))
    outputs = []
    for size in (50, 100_000):
        monkeypatch.setattr(event_order, "LINES_AT_ONCE", size)
        alerts: list[bytes] = []
        Replay(compiled, Sinks(alert=alerts.append)).run(in_order(files_of(tmp_path), TOPICS))
        outputs.append(alerts)
    assert outputs[0] == outputs[1] == replayed(folder, compiled)[1]


def test_snapshots_come_at_every_step_and_at_the_end(folder: Path, compiled: Compiled) -> None:
    """Steps are counted from the first event's midnight; the last snapshot is that of the full hour after the last event."""
    replay, _, steps = replayed(folder, compiled, 7 * DAY_MS)
    instants = [{one["at"] for one in step} for step in steps]
    steps_ms = range(replay.start_ms + 7 * DAY_MS, replay.end_ms, 7 * DAY_MS)
    assert instants == [{rfc3339(at_ms)} for at_ms in (*steps_ms, replay.end_ms)]
    assert replay.end_ms % HOUR_MS == 0


def test_closed_accounts_have_no_snapshot(folder: Path, compiled: Compiled) -> None:
    """Accounts whose outcome closed them are counted as closed and left out of the steps after it."""
    replay, _, steps = replayed(folder, compiled)
    bands = replay.bands()
    assert bands["closed"] > 0
    assert sum(bands.values()) == 20
    assert len(steps[-1]) == 20 - bands["closed"]


def usage(n: int, at: str, **fields: object) -> str:
    """Return a usage event of one account."""
    return json.dumps({"id": f"u{n}", "account_id": "acme", "occurred_at": at, "event": "login", **fields})


def test_rejected_lines_are_told_with_file_line_and_path(compiled: Compiled, tmp_path: Path) -> None:
    """Broken lines leave no trace but a report that leads to them; a repeated id is no rejection."""
    file = tmp_path / "usage.jsonl"
    at = "2026-03-01T10:00:00Z"
    lines = [usage(1, at), "{", "", usage(2, at, quantity=-1), usage(1, at), usage(3, "2026-02-30T10:00:00Z")]
    file.write_text("\n".join(lines))
    told: list[Rejected] = []
    replay = Replay(compiled, Sinks(rejected=told.append))
    replay.run(in_order(files_of(tmp_path), TOPICS))
    assert [(found.file, found.line, found.reason, found.path) for found in told] == [
        (str(file), 2, "INVALID_JSON", "$"),
        (str(file), 4, "NEGATIVE", "$.quantity"),
        (str(file), 6, "INVALID_TIME", "$.occurred_at"),
    ]
    assert (replay.n_lines, replay.n_rejected) == (5, 3)
    assert replay.counts() == {"applied": 1, "duplicate": 1, "dead_letter": 3}


def test_command_writes_files_and_a_summary(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0; scores and alerts as JSON lines; one JSON object on the last line that agrees with them."""
    scores, alerts = tmp_path / "scores.jsonl", tmp_path / "alerts.jsonl"
    options = ["--model", MODEL, "--scores", str(scores), "--alerts", str(alerts), "--every", "7d", "--json"]
    assert main(["replay", str(folder), *options]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    fired = [one for one in map(json.loads, alerts.read_text().splitlines()) if begins(one)]
    assert told["accounts"] == 20
    assert told["events"] == told["applied"] + told["duplicate"] + told["rejected"]
    assert told["rejected"] == len(told["rejections"]) > 0
    assert sum(told["alerts"]["by_rule"].values()) == sum(told["alerts"]["by_severity"].values()) == len(fired) > 0
    assert sum(told["bands"].values()) == 20
    last = [json.loads(line) for line in scores.read_text().splitlines() if f'"at":"{told["to"]}"' in line]
    assert len(last) == 20 - told["bands"]["closed"]
    fields = ("account_id", "at", "health", "band", "risk", "expansion", "coverage", "slope_per_day")
    assert set(fields) <= last[0].keys()


def test_folder_without_events_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and one sentence that says what was expected."""
    assert main(["replay", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip() == (
        f"{tmp_path}: expected files such as usage.jsonl or billing.jsonl.gz, found none — check the path"
    )
