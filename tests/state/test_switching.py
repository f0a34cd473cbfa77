"""Laws of a change of the model: it stands at one place of the log, loses nothing, and never looks like the customer's doing."""

import json
from collections import Counter
from random import Random

import pytest

from scoring.compile import compile_model
from scoring.presets import load_model, parse_text
from state.layout import NO_CLOSE
from state.partition import Partition
from tests.state.journals import DAY, HOUR, START, Log, Run, Traffic, book_journal, cut, signals_of
from tests.state.looking import alerts_of, dead_of, feed, partition_for, restored, seen
from tests.state.switches import record_of, text_of, variant, with_switches
from tests.state.test_partition_laws import flush_at, rows_of, written

SEEDS = range(16)


def random_case(seed: int, steps: int = 90, changes: int = 5):
    """Return models that differ, the first of them the one that scores at first, and a journal with changes between them."""
    random = Random(seed)
    models = [variant(random, version) for version in (1, 2, 3)]
    if seed % 4 == 0:
        models[1] = load_model("saas-renewal")
    rules = {rule.name for model in models for rule in compile_model(model).rules}
    traffic = Traffic(random, sorted(rules), ("a", "b", "c"), signals_of(models[0]))
    return random, models, with_switches(traffic.journal(steps), random, models, changes)


@pytest.mark.parametrize("seed", SEEDS)
def test_cutting_a_log_with_changes_differently_changes_nothing(seed):
    """One record at a time, or all in the longest runs: the same rows, alerts, dead letters and counts."""
    random, models, journal = random_case(seed)
    one, other = partition_for(models[0], generation=32), partition_for(models[0], generation=32, lines=40)
    feed(one, cut(journal, random, 1))
    feed(other, journal)
    assert rows_of(one) == rows_of(other)
    assert seen(one) == seen(other)
    flushes = [one.take_flush()], [other.take_flush()]
    assert alerts_of(flushes[0]) == alerts_of(flushes[1])
    assert dead_of(flushes[0]) == dead_of(flushes[1])
    assert one.counts == other.counts
    assert one.counts["models", "applied"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_resuming_around_a_change_writes_what_would_have_been_written(seed):
    """Restored at any flush, whatever model is given to start with: the same flushes, byte for byte, and the same rows."""
    random, models, journal = random_case(seed)
    chunks = list(cut(journal, random, 15))
    changed = [k for k, (topic, _) in enumerate(chunks) if topic == "models"]
    around = {k for place in changed for k in (place - 1, place, place + 1) if 0 <= k < len(chunks)}
    ends = around | set(random.sample(range(len(chunks)), 5)) | {len(chunks) - 1}
    live = partition_for(models[0], generation=32)
    flushes = flush_at(live, chunks, ends)
    for done, end in enumerate(sorted(ends)[:-1], start=1):
        again = restored(random.choice(models), flushes[:done], generation=32)
        assert again.take_flush() is None
        assert list(map(written, flush_at(again, chunks, ends, end + 1))) == list(map(written, flushes[done:]))
        assert rows_of(again) == rows_of(live)
        compacted = restored(random.choice(models), flushes[:done], is_compacted=True, generation=32)
        flush_at(compacted, chunks, ends, end + 1)
        assert rows_of(compacted) == rows_of(live)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_journal_replays_to_the_same_state_over_changes(seed):
    """The runs noted in journal records, read from the logs in that order, give the same rows and alerts again."""
    random, models, journal = random_case(seed)
    live = partition_for(models[0], generation=32)
    log = {(topic, record.offset): record for topic, records in journal for record in records}
    flushes = []
    for chunk in cut(journal, random, 15):
        feed(live, [chunk])
        if random.random() < 0.3:
            flushes.append(live.take_flush())
    flushes.append(live.take_flush())
    replayed, again = partition_for(models[0], generation=32), []
    for flush in filter(None, flushes):
        for topic, first, end in json.loads(flush.journal.value)["runs"]:
            feed(replayed, [(topic, [log[topic, k] for k in range(first, end + 1) if (topic, k) in log])])
        again.append(replayed.take_flush())
    assert rows_of(replayed) == rows_of(live)
    assert [flush.alerts for flush in again] == [flush.alerts for flush in flushes if flush]
    assert [flush.scores for flush in again] == [flush.scores for flush in flushes if flush]


def halves(journal: list[Run], random: Random) -> tuple[list[Run], list[Run]]:
    """Return a journal cut in two."""
    place = random.randrange(1, len(journal))
    return journal[:place], journal[place:]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_version_that_means_the_same_changes_nothing(seed):
    """Only the version differs: all that accounts show, and all later alerts, are as without the change.

    But for accounts that are closed at the time: nobody scores them, so their day closes cannot be carried over.
    """
    random, models, _ = random_case(seed)
    journal = Traffic(random, ["r0", "r1"], ("a", "b"), signals_of(models[0])).journal(80)
    first, second = halves(journal, random)
    plain, changed = partition_for(models[0]), partition_for(models[0])
    feed(plain, first)
    feed(changed, first)
    before = seen(changed)
    is_open = {account: not shown["closed"] for account, shown in before.items()}

    def of_open(partition: Partition) -> dict[str, object]:
        return {account: shown for account, shown in seen(partition).items() if is_open.get(account, True)}

    changed.change_model(compile_model(parse_text(text_of(models[0], version=9), "again")))
    assert of_open(changed) == of_open(plain) == {account: before[account] for account in before if is_open[account]}
    feed(plain, second)
    feed(changed, second)
    assert of_open(changed) == of_open(plain)
    alerts, others = (
        [line[:-1] for line in alerts_of([partition.take_flush()]) if is_open.get(line[0], True)]
        for partition in (changed, plain)
    )
    assert alerts == others


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_before_anything_happened_is_a_start_with_the_new_model(seed):
    """An empty partition that changes its model is one that began with it: no signal counts as new."""
    random, models, _ = random_case(seed)
    journal = Traffic(random, ["r0", "r1"], ("a", "b"), signals_of(models[2])).journal(60)
    begun, changed = partition_for(models[2]), partition_for(models[0])
    changed.change_model(compile_model(models[2]))
    feed(begun, journal)
    feed(changed, journal)
    assert rows_of(changed) == rows_of(begun)
    assert seen(changed) == seen(begun)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_raises_nothing_and_marks_what_it_ends(seed):
    """At the change nothing fires; what resolves says MODEL_CHANGED; ids are never used twice, sequences have no gap."""
    _, models, journal = random_case(seed, changes=8)
    partition, alerts, ended = partition_for(models[0]), [], 0
    for topic, records in journal:
        feed(partition, [(topic, records)])
        flush = partition.take_flush()
        told = [json.loads(message.value) for message in flush.alerts] if flush else []
        if topic == "models":
            assert {alert["state"] for alert in told} <= {"resolved"}
            assert {alert["resolution"] for alert in told} <= {"MODEL_CHANGED"}
            ended += len(told)
        else:
            assert "MODEL_CHANGED" not in {alert.get("resolution") for alert in told}
        alerts += told
    begun = Counter(
        a["alert_id"] for a in alerts if a["state"] == "firing" and "repeated" not in a and "escalated_from" not in a
    )
    resolved = Counter(alert["alert_id"] for alert in alerts if alert["state"] == "resolved")
    assert set(resolved) <= {alert["alert_id"] for alert in alerts}
    assert max(resolved.values(), default=1) == 1
    for account in {alert["account_id"] for alert in alerts}:
        sequences = [alert["sequence"] for alert in alerts if alert["account_id"] == account]
        assert sequences == list(range(1, len(sequences) + 1))
    for identity in begun:
        states = [alert["state"] for alert in alerts if alert["alert_id"] == identity]
        assert states[0] == "firing"
        assert "resolved" not in states[:-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_both_models_store_is_kept(seed):
    """Signals with an equal definition keep sums, items and last events; others begin empty; alerts of rules in both stay."""
    random, models, _ = random_case(seed)
    journal = Traffic(random, ["r0", "r1"], ("a", "b"), ()).journal(80)
    partition = feed(partition_for(models[0]), journal)
    before = seen(partition)
    partition.change_model(compile_model(models[2]))
    after = seen(partition)
    same = {s.name for s in models[0].signals} & {s.name for s in models[2].signals}
    for account, view in after.items():
        for name in same:
            is_same = models[0].signal(name).fingerprint == models[2].signal(name).fingerprint
            assert view["signals"][name] == (before[account]["signals"][name] if is_same else ([0] * 4, 0, None, None))
        for rule in view["rules"].keys() & before[account]["rules"].keys():
            was, now = before[account]["rules"][rule], view["rules"][rule]
            assert now[2] == was[2], "an episode is neither begun nor lost"
            assert now[0] in (was[0], "inactive"), "a rule is as it was, or sleeps"
        for column in ("day", "closed", "positions"):
            assert view[column] == before[account][column]


def grown(partition: Partition) -> tuple[float, float | None]:
    """Return coverage and health of the only account."""
    view = seen(partition)["a"]
    return view["coverage"], view["health"]


MODEL = """
name = "tiny"
version = 1
minimum_coverage = 0.2
[signals.logins]
from = "usage"
measure = "count"
[inputs.logins]
value = "rate(logins, 30d)"
curve = [[0, 0], [2, 100]]
weight = 1
[[bands]]
name = "red"
enter_below = 40
leave_above = 45
"""
WIDER = (
    MODEL.replace("version = 1", "version = 2")
    + """
[signals.exports]
from = "usage"
measure = "count"
events = ["export"]
[inputs.exports]
value = "rate(exports, 14d)"
curve = [[0, 0], [1, 100]]
weight = 1
"""
)


def daily(log: Log, first: int, last: int) -> None:
    """Let an account log in twice and export once a day."""
    for day in range(first, last):
        at = START + day * DAY
        log.event("usage", "a", at, event="login")
        log.event("usage", "a", at + HOUR, event="login")
        log.event("usage", "a", at + 2 * HOUR, event="export")
        log.tick(at + 3 * HOUR)


def test_a_new_signal_grows_into_the_score_and_is_never_taken_for_silence():
    """An input without history weighs nothing, then more each day; its rate is taken over the days it was counted."""
    log = Log()
    daily(log, 0, 60)
    log.add("models", record_of(WIDER), START + 60 * DAY)
    partition = feed(partition_for(parse_text(MODEL, "tiny")), log.journal)
    assert grown(partition) == (0.5, 100.0)
    coverages = []
    for day in range(60, 80):
        log.journal.clear()
        daily(log, day, day + 1)
        feed(partition, log.journal)
        coverage, health = grown(partition)
        coverages.append(coverage)
        assert health == 100.0
    assert coverages == sorted(coverages)
    assert coverages[6] == pytest.approx(0.5 + 0.5 * 7 / 14, abs=0.04)
    assert coverages[-1] == 1.0


def test_snapshots_say_that_the_model_changed():
    """Every account is told anew under the new version, with the band and health it had; later snapshots say no more of it."""
    log = Log()
    daily(log, 0, 30)
    partition = feed(partition_for(parse_text(MODEL, "tiny")), log.journal)
    partition.take_flush()
    log.journal.clear()
    stricter = MODEL.replace("version = 1", "version = 2").replace("[2, 100]", "[20, 100]")
    log.add("models", record_of(stricter), START + 30 * DAY)
    flush = feed(partition, log.journal).take_flush()
    (snapshot,) = (json.loads(message.value) for message in flush.scores)
    assert snapshot["model"]["version"] == 2
    change = snapshot["model_change"]
    assert change["code"] == "MODEL_CHANGED"
    assert (change["from"]["version"], change["band"], change["health"]) == (1, "green", 100.0)
    assert snapshot["band"] == "red"
    assert flush.alerts == []
    log.journal.clear()
    daily(log, 30, 60)
    later = feed(partition, log.journal).take_flush()
    assert later.alerts == []
    assert "model_change" not in json.loads(later.scores[-1].value)


def test_a_slope_does_not_see_the_change():
    """Health falls by half at the change: slope and changes over days are what they were before it."""
    log = Log()
    daily(log, 0, 40)
    partition = feed(partition_for(parse_text(MODEL, "tiny")), log.journal)
    before = seen(partition)["a"]
    stricter = MODEL.replace("version = 1", "version = 2").replace("[2, 100]", "[6, 100]")
    partition.change_model(compile_model(parse_text(stricter, "tiny")))
    after = seen(partition)["a"]
    assert after["health"] < before["health"] - 30
    assert after["slope"] == before["slope"]


def test_closes_end_where_the_new_score_begins():
    """For a steady account every kept close is the new model's health, also where its baseline is another one."""
    log = Log()
    daily(log, 0, 60)
    partition = feed(partition_for(parse_text(MODEL, "tiny")), log.journal)
    other = MODEL.replace("version = 1", "version = 2").replace("[2, 100]", "[4, 100]")
    model = parse_text(other.replace("weight = 1", "weight = 1\nreference = 95"), "tiny")
    partition.change_model(compile_model(model))
    (totals,) = partition.store.rows.totals[:1]
    health = seen(partition)["a"]["health"]
    assert model.baseline == 95
    closes = [model.baseline + total / 256 for total in totals.tolist() if total != NO_CLOSE]
    assert len(closes) > 50
    assert closes[-20:] == pytest.approx([health] * 20, abs=0.5)
    assert sum(abs(close - health) < 0.5 for close in closes) > 45


def test_what_is_no_model_is_a_dead_letter():
    """A record that cannot be read, or a model with faults, changes nothing; the same model again is a duplicate."""
    log = Log()
    log.event("usage", "a", START)
    log.add("models", b"{", START)
    log.add("models", record_of(MODEL).replace(b"rate(logins", b"rate(logouts"), START)
    log.add("models", record_of(MODEL), START)
    partition = feed(partition_for(parse_text(MODEL, "tiny")), log.journal)
    flush = partition.take_flush()
    assert dead_of([flush]) == [("models", 0, "INVALID_JSON"), ("models", 1, "UNKNOWN_VALUE")]
    assert partition.counts["models", "duplicate"] == 1
    assert partition.compiled.model.version == 1


def test_the_book_switched_and_rolled_back_under_restores_equals_the_one_that_ran_through():
    """The demo's book changes its model twice and is restored at each of twelve flushes: the same rows, alerts, scores."""
    old = load_model("saas-renewal")
    new = parse_text(text_of(old, version=2, minimum_coverage=0.5), "new")
    journal = book_journal(3, accounts=20, days=110)
    journal = with_switches(journal, Random(1), [new], 1)
    chunks = list(cut(journal, Random(3), 200))
    ends = set(range(len(chunks) // 13, len(chunks), len(chunks) // 13))
    through = partition_for(old)
    whole = flush_at(through, chunks, ends)
    resumed, flushes, start = partition_for(old), [], 0
    for end in [*sorted(ends), len(chunks) - 1]:
        flushes += [flush for flush in flush_at(resumed, chunks[: end + 1], set(), start) if flush]
        resumed = restored(old, flushes)
        start = end + 1
    assert rows_of(resumed) == rows_of(through)
    assert alerts_of(flushes) == alerts_of(whole)
    assert [flush.scores for flush in flushes] == [flush.scores for flush in whole if flush]
