"""Publishing models: what is refused, what is said, and a change under two workers on the real embedded Kafka."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from scoring.presets import model_text
from streams.cli import main
from streams.demo.book import Book
from streams.scorer import load_compiled
from streams.settings import Settings
from tests.faults.verify import read_logs, recount
from tests.streams.recount import is_consumed, read_all
from tests.streams.test_end_to_end import feed, owns, until
from tests.streams.workers import REAL_WORKER, Workers

CHANGED_DAY = 60


def version_of(text: str, version: int, **changes: str) -> str:
    """Return a model file as its next version, approved, with texts in it replaced."""
    head = f'version = {version}\napprover = "ops-lead@example.com"\n'
    text = text.replace("version = 1\n", head, 1)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def told(provisioned: Settings, monkeypatch, capsys):
    """Return a function that runs `bellwether model …` and gives its exit code, its JSON and what it said."""
    for name, value in provisioned.environ().items():
        monkeypatch.setenv(name, value)

    async def run(*arguments: str):
        capsys.readouterr()
        code = await asyncio.to_thread(main, ["model", *arguments, "--json"])
        output = capsys.readouterr()
        last = output.out.splitlines()[-1:]
        return code, json.loads(last[0]) if last and last[0].startswith("{") else None, output.err

    return run


async def test_what_may_not_be_published_is_refused(told, tmp_path: Path) -> None:
    """No approver, its owner as approver, a version that was there, faults, and signals without history: one sentence each."""
    text = model_text("saas-renewal")
    path = tmp_path / "m.toml"

    async def refused(content: str, *more: str) -> str:
        path.write_text(content)
        code, _, said = await told("publish", str(path), "--wait", "0", "--by", "ann", *more)
        assert code == 1
        return said

    assert "$.approver: expected who approved this version" in await refused(text.replace("version = 1", "version = 2"))
    own = version_of(text, 2).replace("ops-lead@example.com", "cs-ops@example.com")
    assert "expected somebody other than its author, got 'cs-ops@example.com', its owner" in await refused(own)
    assert "who publishes it" in await refused(version_of(text, 2).replace("ops-lead@example.com", "ann"))
    assert "$.version: expected more than 1" in await refused(version_of(text, 1))
    assert "$.inputs" in await refused('name = "m"\nversion = 2\n')
    other = version_of(model_text("ecommerce-rfm"), 2)
    assert "every account would be without a score until the signals of" in await refused(other)
    young_input = """
        [signals.logins]
        from = "usage"
        measure = "count"
        events = "login"
        [inputs.logging_in]
        value = "rate(logins, 30d)"
        curve = [[0, 0], [1, 100]]
        weight = 0.1
        [segments.large]
        weights = { logging_in = 1000 }
    """
    young = await refused(version_of(text, 2) + young_input)
    assert "got 9% in segment large: every account in segment large would be without a score" in young
    code, history, _ = await told("history")
    assert (code, history["publications"]) == (0, [])
    code, _, said = await told("rollback")
    assert code == 1
    assert "expected a published model to return from" in said


@pytest.mark.timeout(900)
async def test_a_change_under_two_workers_loses_and_invents_nothing(
    told, provisioned: Settings, tmp_path: Path
) -> None:
    """Published while events flow, a worker killed in between, then rolled back: rows, alerts and scores are the fold's."""
    settings = replace(provisioned, clock="log", commit_max_ms=200)
    days = list(Book(7, accounts=30, days=110).by_day())
    sent: Counter[str] = Counter()
    path = tmp_path / "second.toml"
    path.write_text(
        version_of(
            model_text("saas-renewal"),
            2,
            **{"enter_below = 58": "enter_below = 78", "leave_above = 68": "leave_above = 84"},
        )
    )
    with Workers(settings, tmp_path, count=2, command=REAL_WORKER) as workers:
        await until(lambda: owns(workers, 0) and owns(workers, 1), workers)
        await feed(settings, days[:CHANGED_DAY], sent)
        await until(lambda: is_consumed(settings, sent), workers)
        code, same, _ = await told("shadow", "saas-renewal")
        assert (code, same["accounts"], same["differing"]) == (0, 30, 0)
        code, beside, _ = await told("shadow", str(path))
        assert code == 0
        assert beside["differing"] > 0
        assert sum(beside["moves"].values()) == beside["differing"]
        code, published, said = await told("publish", str(path), "--by", "ann", "--wait", "60")
        assert code == 0, said
        assert (published["version"], published["arrived"], published["partitions"]) == (2, 4, 4)
        await feed(settings, days[CHANGED_DAY:80], sent)
        workers.processes[0].kill()
        await feed(settings, days[80:90], sent)
        await until(lambda: is_consumed(settings, sent), workers)
        await until(lambda: owns(workers, 0), workers)  # the killed one is back
        code, back, said = await told("rollback", "--by", "bob", "--note", "too strict", "--wait", "60")
        assert code == 0, said
        assert (back["version"], back["arrived"]) == (1, 4)
        await feed(settings, days[90:], sent)
        await until(lambda: is_consumed(settings, sent), workers)
        for process in workers.processes:
            process.terminate()
        ends = [await asyncio.to_thread(process.wait, 30) for process in workers.processes]
    assert ends == [0, 0]
    check = recount(settings, load_compiled(settings), await read_logs(settings), compacted=["scores"])
    assert check.alerts > 0
    assert all(fold.compiled.model.version == 1 for fold in check.folds.values())
    assert all(fold.counts["models", "applied"] == 2 for fold in check.folds.values())
    alerts = [
        orjson.loads(r.value) for part in (await read_all(settings, settings.topic("alerts"))).values() for r in part
    ]
    assert {alert["model"]["version"] for alert in alerts} == {1, 2}
    scores = [
        orjson.loads(r.value)
        for part in (await read_all(settings, settings.topic("scores"))).values()
        for r in part
        if r.value
    ]
    changes = [score["model_change"]["from"]["version"] for score in scores if "model_change" in score]
    assert set(changes) == {1, 2}
    assert scores[-1]["model"]["version"] == 1
    code, history, _ = await told("history")
    assert [(each["version"], each["rollback"], each["by"]) for each in history["publications"]] == [
        (2, False, "ann"),
        (1, True, "bob"),
    ]
    assert (history["arrived"], history["partitions"]) == (4, 4)
