"""Several processes that share a history give the bytes of one, and leave nothing behind."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring.compile import Compiled, compile_model
from scoring.presets import load_model
from streams.backtest.outcomes import read_answers
from streams.backtest.question import Question, parse_as_of, parse_horizon
from streams.backtest.run import collect
from streams.demo.book import Book
from streams.replay import Sinks, Totals, files_of
from streams.sharing import Task, processes_for, replay_all
from tests.streams.books import written

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """The preset, which counts cohort days: the processes need each other's sums."""
    return compile_model(load_model("saas-renewal"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of thirty accounts in the order of arrival: late, broken and repeated events included."""
    return written(Book(seed=12, accounts=30, days=110), tmp_path_factory.mktemp("book"))


def replayed(folder: Path, compiled: Compiled, processes: int) -> tuple[Totals, dict[str, list[Any]], list[str]]:
    """Replay a folder; return totals, everything handed out, and what was noted."""
    out: dict[str, list[Any]] = {"alerts": [], "fired": [], "snapshots": [], "rejected": []}
    notes: list[str] = []
    sinks = Sinks(out["alerts"].append, out["fired"].append, out["snapshots"].append, out["rejected"].append)

    def again() -> None:
        for found in out.values():
            found.clear()

    totals, _ = replay_all(Task(files_of(folder), compiled, 7 * DAY_MS), sinks, notes.append, processes, again)
    return totals, out, notes


@pytest.mark.parametrize("processes", [2, 3])
def test_shared_is_unshared_byte_for_byte(folder: Path, compiled: Compiled, processes: int) -> None:
    """Alerts, snapshots of every week, rejected lines and totals are the same, in the same order."""
    alone, one, _ = replayed(folder, compiled, 1)
    together, several, _ = replayed(folder, compiled, processes)
    assert all(one[name] for name in one)
    assert several == one
    assert together == alone


def test_rows_of_a_backtest_are_the_same(folder: Path, compiled: Compiled) -> None:
    """Every column of the rows, the accounts, bands before outcomes and alerts are equal, bit for bit."""
    files = files_of(folder)
    answers = read_answers(files, Question("churned", parse_horizon("30d")))
    one, several = (collect(files, compiled, answers, parse_as_of("weekly"), processes=k) for k in (1, 2))
    assert one.account.size
    for field in dataclasses.fields(one):
        mine, other = getattr(one, field.name), getattr(several, field.name)
        assert mine.tobytes() == other.tobytes() if isinstance(mine, np.ndarray) else mine == other, field.name


def test_more_segments_than_cohorts_are_left_to_one_process(folder: Path, compiled: Compiled, tmp_path: Path) -> None:
    """Which segments become cohorts depends on who was met first, so one process sees all; the outcome is the same."""
    for path in folder.glob("*.jsonl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    known = (tmp_path / "accounts.jsonl").read_text()
    at = json.loads(known.splitlines()[0])["occurred_at"]
    lines = [{"account_id": f"extra-{k}", "occurred_at": at, "segment": f"s{k}"} for k in range(40)]
    (tmp_path / "accounts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + known)
    alone, one, _ = replayed(tmp_path, compiled, 1)
    together, several, notes = replayed(tmp_path, compiled, 2)
    assert (together, several) == (alone, one)
    assert any("segments" in note for note in notes)


def test_little_data_is_not_shared(folder: Path) -> None:
    """Starting processes costs more than a small folder takes."""
    assert processes_for(files_of(folder)) == 1


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends with exit 130 and one word; the processes that shared the history are gone."""
    big = tmp_path / "usage.jsonl"
    lines = (
        f'{{"id":"u{n}","account_id":"a{n % 50}","occurred_at":"2026-01-{n // 20_000 + 1:02}T00:00:00Z","event":"e"}}\n'
        for n in range(400_000)
    )
    big.write_text("".join(lines))
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "replay",
        str(tmp_path),
        "--processes",
        "2",
        "--model",
        "saas-renewal",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as running:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        deadline = time.monotonic() + 120
        while running.poll() is None and len(children.read_text().split()) < 2:
            assert time.monotonic() < deadline
        started = [int(pid) for pid in children.read_text().split()]
        os.killpg(running.pid, signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert len(started) == 2
    assert running.returncode == 130
    assert told.decode().strip().splitlines()[-1] == "interrupted"
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
