"""Laws of a partition: how its log is cut, when it is flushed and restored, and how events are ordered must not show."""

import json
from datetime import datetime
from random import Random

import pytest

from scoring.presets import load_model
from state.moments import rfc3339
from state.partition import Partition
from tests.state.journals import DAY, HOUR, START, Log, Run, Traffic, book_journal, cut, signals_of
from tests.state.looking import alerts_of, dead_of, feed, partition_for, restored, seen
from tests.state.random_models import random_model

SEEDS = range(12)


def rows_of(partition: Partition) -> dict[str, bytes]:
    """Return account → row bytes."""
    return {account: partition.row_bytes(account) for account in partition.store.numbers}


def random_case(seed: int, steps: int = 90):
    """Return a random model, or a preset, and a journal."""
    random = Random(seed)
    model = random_model(random) if seed % 3 else load_model("saas-renewal")
    rules = [f"band-{band.name}" for band in model.bands] + [rule.name for rule in model.rules]
    return random, model, Traffic(random, rules, ("a", "b", "c"), signals_of(model)).journal(steps)


@pytest.mark.parametrize("seed", SEEDS)
def test_cutting_the_log_differently_changes_nothing(seed):
    """One record at a time, or all in the longest runs: the same rows, alerts, dead letters and counts."""
    random, model, journal = random_case(seed)
    one, other = partition_for(model, generation=32), partition_for(model, generation=32)
    feed(one, cut(journal, random, 1))
    feed(other, journal)
    assert rows_of(one) == rows_of(other)
    assert seen(one) == seen(other)
    flushes = [one.take_flush()], [other.take_flush()]
    assert alerts_of(flushes[0]) == alerts_of(flushes[1])
    assert dead_of(flushes[0]) == dead_of(flushes[1])
    assert one.counts == other.counts


def joined(journal: list[Run]) -> list[Run]:
    """Return the journal as its records tell it: neighbouring runs of a topic are one."""
    runs: list[Run] = []
    for topic, records in journal:
        if runs and runs[-1][0] == topic:
            runs[-1][1].extend(records)
        else:
            runs.append((topic, list(records)))
    return runs


@pytest.mark.parametrize("seed", SEEDS)
def test_journal_records_replay_to_the_same_state(seed):
    """The runs noted in journal records, read from the logs in that order, give the same rows again."""
    random, model, journal = random_case(seed)
    live = partition_for(model, generation=32)
    log = {(topic, record.offset): record for topic, records in journal for record in records}
    runs = []
    for chunk in cut(journal, random, 15):
        feed(live, [chunk])
        if random.random() < 0.3:
            runs += json.loads(live.take_flush().journal.value)["runs"]
    last = live.take_flush()
    runs += json.loads(last.journal.value)["runs"] if last else []
    replayed = partition_for(model, generation=32)
    for topic, first, end in runs:
        feed(replayed, [(topic, [log[topic, k] for k in range(first, end + 1) if (topic, k) in log])])
    assert rows_of(replayed) == rows_of(live)


def flush_at(partition: Partition, chunks: list[Run], ends: set[int], start: int = 0) -> list:
    """Apply chunks from number `start` on, flushing after those in `ends` and at the end; return the flushes."""
    flushes = []
    for k in range(start, len(chunks)):
        feed(partition, [chunks[k]])
        if k in ends or k == len(chunks) - 1:
            flushes.append(partition.take_flush())
    return flushes


def written(flush) -> tuple:
    """Return what a flush puts into its transaction."""
    if flush is None:
        return ()
    records = (flush.changelog, flush.scores, flush.alerts, flush.dead_letters, flush.rerouted)
    return (flush.sequence, flush.journal, flush.offsets, *records)


@pytest.mark.parametrize("seed", SEEDS)
def test_resuming_anywhere_writes_what_would_have_been_written(seed):
    """A partition restored at any flush goes on to write the same flushes, byte for byte."""
    random, model, journal = random_case(seed)
    chunks = list(cut(journal, random, 15))
    ends = set(random.sample(range(len(chunks)), min(8, len(chunks)))) | {len(chunks) - 1}
    live = partition_for(model, generation=32)
    flushes = flush_at(live, chunks, ends)
    for done, end in enumerate(sorted(ends)[:-1], start=1):
        again = restored(model, flushes[:done], generation=32)
        assert again.take_flush() is None
        assert list(map(written, flush_at(again, chunks, ends, end + 1))) == list(map(written, flushes[done:]))
        assert rows_of(again) == rows_of(live)


@pytest.mark.parametrize("seed", SEEDS)
def test_resuming_from_a_compacted_changelog_changes_nothing(seed):
    """The last value per key is enough: whatever was overwritten, rows and later flushes are the same."""
    random, model, journal = random_case(seed)
    chunks = list(cut(journal, random, 15))
    ends = set(random.sample(range(len(chunks)), min(8, len(chunks)))) | {len(chunks) - 1}
    live = partition_for(model, generation=32)
    flushes = flush_at(live, chunks, ends)
    end = sorted(ends)[len(ends) // 2 - 1] if len(ends) > 1 else -1
    done = sorted(ends).index(end) + 1 if end >= 0 else 0
    again = restored(model, flushes[:done], is_compacted=True, generation=32)
    rest = flush_at(again, chunks, ends, end + 1)
    assert rows_of(again) == rows_of(live)
    for one, other in zip(rest, flushes[done:], strict=True):
        assert sorted(one.changelog) == sorted(other.changelog)
        assert sorted(one.scores) == sorted(other.scores)
        assert alerts_of([one]) == alerts_of([other])
        assert one.journal == other.journal


def test_book_restored_day_by_day_equals_the_one_that_ran_through():
    """The demo's book, killed and restored at twelve flushes one after the other, ends in the same rows and alerts."""
    model = load_model("saas-renewal")
    journal = book_journal(3, accounts=20, days=110)
    chunks = list(cut(journal, Random(3), 200))
    ends = set(range(len(chunks) // 13, len(chunks), len(chunks) // 13))
    through = partition_for(model)
    whole = flush_at(through, chunks, ends)
    resumed, flushes = partition_for(model), []
    start = 0
    for end in [*sorted(ends), len(chunks) - 1]:
        flushes += [flush for flush in flush_at(resumed, chunks[: end + 1], set(), start) if flush]
        resumed = restored(model, flushes)
        start = end + 1
    assert rows_of(resumed) == rows_of(through)
    assert alerts_of(flushes) == alerts_of(whole)
    assert [flush.scores for flush in flushes] == [flush.scores for flush in whole if flush]


ORDER_FREE = ("signals", "values", "coverage")


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_events_does_not_show_in_what_is_counted(seed):
    """Events of one topic in any order, within 90 days: the same sums, distinct counts, open items, values, coverage."""
    random = Random(seed)
    model = random_model(random)
    now = START + 80 * DAY
    events = []
    for k in range(60):
        traffic = Traffic(random, [])
        traffic.now = START + int(random.uniform(0, 80) * DAY)
        topic, fields = random.choice(
            (("usage", traffic._usage()), ("billing", traffic._billing()), ("support", traffic._support()))
        )
        fields.pop("seats", None)  # attributes follow the log, not the time they speak of
        events.append((topic, {**fields, "id": f"e{k}"}, traffic.now))
    shown = []
    for _ in range(2):
        log = Log()
        for topic, fields, at in random.sample(events, len(events)):
            log.event(topic, "a", at, written_at=now, **fields)
        log.tick(now + 5 * HOUR)
        shown.append(seen(feed(partition_for(model), log.journal))["a"])
    assert {name: shown[0][name] for name in ORDER_FREE} == {name: shown[1][name] for name in ORDER_FREE}


@pytest.mark.parametrize("seed", SEEDS)
def test_repeated_records_change_nothing(seed):
    """Every event written twice counts once; only the offsets differ."""
    _, model, journal = random_case(seed)
    twice = Log()
    once = Log()
    for topic, records in journal:
        for record in records:
            if topic == "ticks":
                once.tick(json.loads(record.value)["as_of_ms"])
                twice.tick(json.loads(record.value)["as_of_ms"])
            else:
                once.add(topic, record.value, record.timestamp)
                twice.add(topic, record.value, record.timestamp)
                twice.add(topic, record.value, record.timestamp)
    partitions = [feed(partition_for(model), log.journal) for log in (once, twice)]
    views = [seen(partition) for partition in partitions]
    for account in views[0]:
        for view in views:
            view[account].pop("positions")
    assert views[0] == views[1]
    assert alerts_of([partitions[0].take_flush()]) == alerts_of([partitions[1].take_flush()])


@pytest.mark.parametrize("seed", SEEDS)
def test_shifting_all_times_by_whole_days_shifts_all_results(seed):
    """Scores speak of distances in time: 1 000 days later everything is the same, 1 000 days later."""
    _, model, journal = random_case(seed)
    shift = 1_000 * DAY
    later = [
        (
            topic,
            [
                record._replace(timestamp=record.timestamp + shift, value=shifted(record.value, shift))
                for record in records
            ],
        )
        for topic, records in journal
    ]
    flushes = [feed(partition_for(model), runs).take_flush() for runs in (journal, later)]
    one, other = (alerts_of([flush]) for flush in flushes)
    assert [(*line[:5], line[5] + shift, *line[6:]) for line in one] == other


def shifted(value: bytes | None, shift: int) -> bytes | None:
    """Return a record with every instant in it moved."""

    def move(part):
        if isinstance(part, dict):
            moved = {"as_of_ms": shift, "day": shift // DAY}
            return {name: part[name] + moved[name] if name in moved else move(part[name]) for name in part}
        if isinstance(part, str) and len(part) == 24 and part.endswith("Z"):
            return rfc3339(round(datetime.fromisoformat(part).timestamp() * 1000) + shift)
        return part

    try:
        return json.dumps(move(json.loads(value))).encode()
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize("seed", range(4))
def test_accounts_spread_over_partitions_score_as_in_one(seed):
    """Events written to the wrong partition are rerouted once, with their origin, and count as if written to the right."""
    random = Random(seed)
    model = random_model(random)
    journal = Traffic(random, [], ("a", "b", "c", "d")).journal(60)
    journal = [(topic, records) for topic, records in journal if topic not in ("ticks", "commands")]
    whole = feed(partition_for(model), cut(journal, random, 1))
    parts = [partition_for(model, number=k, count=4) for k in range(4)]
    logs = [Log() for _ in parts]
    for run in cut(journal, random, 1):
        feed(parts[1], [run])
        flush = parts[1].take_flush()
        for message in flush.rerouted if flush else []:
            assert message.partition != 1
            log = logs[message.partition]
            log.journal.clear()
            log.add("rerouted", message.value, message.timestamp, tuple(message.headers))
            feed(parts[message.partition], log.journal)
    found = {account: view for part in parts for account, view in seen(part).items()}
    wanted = seen(whole)
    for view in (*found.values(), *wanted.values()):
        view.pop("positions")
    assert found == wanted
    assert sum(part.counts.get(("rerouted", "applied"), 0) for part in parts) > 0


def test_growth_of_the_store_keeps_every_row():
    """A thousand accounts with a thousand users each way: rows and items survive every doubling, and a restore."""
    model = load_model("saas-renewal")
    log = Log()
    for k in range(1_000):
        log.event("usage", f"account-{k}", START + k, user_id=f"u{k}")
        log.event("usage", "busy", START + k, user_id=f"u{k}")
        log.event("billing", f"account-{k}", START + k, event="invoice_issued", invoice_id=f"i{k}")
    partition = feed(partition_for(model), log.journal)
    view = seen(partition)
    assert len(view) == 1_001
    assert view["busy"]["signals"]["users"][0] == [1_000] * 4
    assert all(view[f"account-{k}"]["signals"]["invoices"][1] == 1 for k in range(1_000))
    again = restored(model, [partition.take_flush()])
    assert rows_of(again) == rows_of(partition)
    assert seen(again) == view
