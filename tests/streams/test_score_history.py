"""Day closes on `score-history`: each account's health at the end of every day, once, however a partition is cut and resumed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from scoring.compile import Compiled, compile_model
from scoring.plan import BASELINE
from scoring.presets import load_model, model_text, parse_text
from state.flush import Message
from state.partition import Partition
from streams.demo.book import Book
from streams.scorer import new_partition
from streams.settings import Settings
from tests.faults.verify import read_logs
from tests.state.journals import DAY, Log, Run
from tests.state.looking import feed
from tests.streams.recount import is_consumed
from tests.streams.test_end_to_end import feed as produce
from tests.streams.test_end_to_end import until
from tests.streams.workers import REAL_WORKER, Workers

KEPT = Settings(partitions=1, score_history="on")
Close = tuple[str, str, float]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_model(load_model("saas-renewal"))


@pytest.fixture(scope="module")
def journal() -> list[Run]:
    """Return a book of 110 days with a tick at every midnight."""
    log, day = Log(), None
    for event in Book(3, accounts=20, days=110).events():
        today = event.arrives_at_ms // DAY
        if day is not None and today > day:
            log.tick(today * DAY)
        day = today
        log.add(event.topic, event.value, event.arrives_at_ms)
    return log.journal


def closes(messages: Sequence[Message]) -> list[Close]:
    """Return account, instant and health of records."""
    read = [orjson.loads(message.value or b"") for message in messages]
    return [(each["account_id"], each["at"], each["health"]) for each in read]


def play(partition: Partition, journal: list[Run], every: int) -> list[Message]:
    """Apply a journal with a flush every so many runs; return what the flushes tell of days."""
    told = []
    for first in range(0, len(journal), every):
        feed(partition, journal[first : first + every])
        flush = partition.take_flush()
        assert flush is not None
        told += flush.history
    return told


def test_every_day_of_an_account_is_told_once_in_order(compiled: Compiled, journal: list[Run]) -> None:
    """No day twice, none left out between an account's first and last; bands stand beside the newest of each flush."""
    told = play(new_partition(0, KEPT, compiled), journal, 40)
    days: dict[str, list[int]] = {}
    for message in told:
        assert message.key is not None
        assert message.timestamp is not None
        assert message.timestamp % DAY == 0
        days.setdefault(message.key.decode(), []).append(message.timestamp // DAY)
    assert len(days) == 20
    gaps = Counter(later - earlier for known in days.values() for earlier, later in pairwise(known))
    assert set(gaps) == {1}
    with_band = [b'"band"' in (message.value or b"") for message in told]
    assert 20 * 20 < sum(with_band) < len(told)


def test_a_close_is_the_score_at_that_midnight(compiled: Compiled, journal: list[Run]) -> None:
    """Health as the snapshot of the same instant has it, but for rounding: 1/256 a contribution."""
    partition = new_partition(0, KEPT, compiled)
    told, shown = [], {}
    for run in journal:
        feed(partition, [run])
        flush = partition.take_flush()
        assert flush is not None
        told += closes(flush.history)
        for message in flush.scores:
            score = orjson.loads(message.value or b"{}")
            # The first is the tick's; what comes late is scored as of the same instant, and no close is revised.
            shown.setdefault((score.get("account_id"), score.get("at")), score.get("health"))
    both = [(health, shown[account, at]) for account, at, health in told if shown.get((account, at)) is not None]
    assert len(both) > 100
    assert all(abs(close - health) < 0.1 for close, health in both)


def test_a_close_says_the_risk_that_was_told_and_weekly_what_made_it_up(compiled: Compiled, journal: list[Run]) -> None:
    """Risk and expansion are the newest snapshot's; on Mondays contributions add up to the health, but for rounding and limits."""
    partition = new_partition(0, KEPT, compiled)
    latest: dict[str, dict] = {}
    weekly, compared = [], 0
    for first in range(0, len(journal), 15):
        feed(partition, journal[first : first + 15])
        flush = partition.take_flush()
        assert flush is not None
        shown_now = [orjson.loads(message.value) for message in flush.scores if message.value]
        latest |= {each["account_id"]: each for each in shown_now}
        for record in (orjson.loads(message.value or b"") for message in flush.history):
            assert record["model"] == compiled.model.fingerprint
            if "contributions" in record:
                weekly.append(record)
            if "risk" in record:
                # A snapshot comes with every change of a thousandth; so the last one is at most that far off.
                shown = latest[record["account_id"]]
                assert (record["risk"], record["expansion"]) == pytest.approx(
                    (shown["risk"], shown["expansion"]), abs=2e-3
                )
                compared += 1
    assert compared > 500
    assert len(weekly) > 200
    assert all(datetime.fromisoformat(record["at"]).weekday() == 0 for record in weekly)
    assert all(list(record["contributions"]) == [item.name for item in compiled.model.inputs] for record in weekly)
    baseline = compiled.plan.scales[0, BASELINE]
    exact = [
        record for record in weekly if abs(baseline + sum(record["contributions"].values()) - record["health"]) < 0.2
    ]
    assert len(exact) > 0.3 * len(weekly)  # the rest have weight without data, or a limit


def test_cuts_and_restores_change_nothing(compiled: Compiled, journal: list[Run]) -> None:
    """Many flushes, and a partition restored from its changelog now and then, tell what few flushes tell."""
    few = closes(play(new_partition(0, KEPT, compiled), journal, 100))
    partition, told, changelog = new_partition(0, KEPT, compiled), [], []
    for first in range(0, len(journal), 70):
        feed(partition, journal[first : first + 70])
        flush = partition.take_flush()
        assert flush is not None
        told += closes(flush.history)
        changelog += flush.changelog
        if first % 1400 == 0:
            partition = new_partition(0, KEPT, compiled)
            partition.load(changelog)
            partition.finish_load()
    assert sorted(told) == sorted(few)


def test_a_change_of_the_model_tells_what_was_closed_before_it(compiled: Compiled, journal: list[Run]) -> None:
    """Days before it are told as they were closed, nothing twice."""
    other = compile_model(parse_text(model_text("saas-renewal").replace("version = 1", "version = 2", 1), "other"))
    cut = len(journal) // 2
    plain = closes(play(new_partition(0, KEPT, compiled), journal[:cut], cut))
    partition = new_partition(0, KEPT, compiled)
    feed(partition, journal[:cut])
    partition.change_model(other)
    flush = partition.take_flush()
    assert flush is not None
    assert closes(flush.history) == plain
    after = closes(play(partition, journal[cut:], 50))
    assert after
    assert not {(account, at) for account, at, _ in plain} & {(account, at) for account, at, _ in after}


def test_nothing_is_told_where_it_is_off(compiled: Compiled, journal: list[Run]) -> None:
    """Off is the default."""
    assert play(new_partition(0, Settings(partitions=1), compiled), journal[:500], 100) == []


@pytest.mark.timeout(600)
async def test_a_worker_that_is_killed_tells_every_day_once(provisioned: Settings, tmp_path: Path) -> None:
    """On the topic itself, across kill -9: no day of an account twice, none left out."""
    settings = replace(provisioned, clock="log", commit_max_ms=200, score_history="on")
    days = list(Book(7, accounts=20, days=110).by_day())
    sent: Counter[str] = Counter()
    with Workers(settings, tmp_path, count=1, command=REAL_WORKER) as workers:
        for first in range(0, 45, 15):
            await produce(settings, days[first : first + 15], sent)
            await until(lambda: is_consumed(settings, sent), workers)
            workers.processes[0].kill()
    logs = await read_logs(settings, ["score-history"])
    places = [(record.key, orjson.loads(record.value)["at"]) for records in logs.values() for record in records]
    assert len({account for account, _ in places}) > 10
    assert [each for each, count in Counter(places).items() if count > 1] == []
    for records in logs.values():
        ordered: dict[bytes, list[str]] = {}
        for record in records:
            ordered.setdefault(record.key, []).append(orjson.loads(record.value)["at"])
        assert all(known == sorted(known) for known in ordered.values())
