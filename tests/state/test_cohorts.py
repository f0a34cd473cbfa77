"""Cohorts: what partitions say of a day adds up, and holidays of everybody are no silence of anybody."""

import json
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.cohorts import busyness
from scoring.model import Model
from scoring.parse import parse
from state.cohorts import DECODER, CohortFold, Reference, Sums
from state.history import HistoryPartition
from tests.state.journals import DAY, HOUR, Log
from tests.state.looking import feed, partition_for, restored, seen

MONDAY = 1_772_409_600_000 - DAY  # 2026-03-01 is a Sunday
SIGNALS = {"visits": {"from": "usage", "measure": "count"}}


def model_of(value: str) -> Model:
    """Return a model of one value, its sub-score 100 minus ten times the distance from 0."""
    curve = [[-10, 0], [0, 100], [10, 0]]
    content = {
        "name": "one",
        "version": 1,
        "signals": SIGNALS,
        "inputs": {"it": {"value": value, "curve": curve, "weight": 1}},
        "bands": [{"name": "red", "enter_below": 1, "leave_above": 5}],
    }
    return parse(content, "one")


def lived(value: str, *, days: int, accounts: int, holiday: range, gone: str = "", gone_from: int = 0) -> dict:
    """Return account → value after some days of three visits each, but for days off and the one who left."""
    model = model_of(value)
    state = HistoryPartition(_compiled(model))
    log = Log()
    for day in range(days):
        start = MONDAY + day * DAY
        log.journal.clear()
        for k in range(accounts):
            name = f"a{k}"
            if day in holiday or (name == gone and day >= gone_from):
                continue
            for hour in (9, 12, 15):
                log.event("usage", name, start + hour * HOUR + k, id=f"{day}-{k}-{hour}")
        state.tick(start + 6 * HOUR)
        for topic, records in log.journal:
            state.apply(topic, records)
        state.tick(start + DAY)
    return {account: view["values"][0] for account, view in seen(state).items()}


def _compiled(model: Model):
    from scoring.compile import compile_model  # noqa: PLC0415 - beside its one use

    return compile_model(model)


def test_holiday_of_everybody_is_no_fall_of_anybody():
    """After ten days off that all accounts took, momentum in cohort days is near 0, in calendar days far below."""
    relative = lived("momentum(visits, cohort)", days=70, accounts=60, holiday=range(58, 68))
    absolute = lived("momentum(visits)", days=70, accounts=60, holiday=range(58, 68))
    assert max(abs(value) for value in relative.values()) < 0.2
    assert all(value < -0.5 for value in absolute.values())


def test_silence_stands_still_in_a_holiday():
    """Of ten days off the last two, not reported yet, count, and of each other the part that sixty accounts leave open."""
    relative = lived("silence(visits, cohort)", days=70, accounts=60, holiday=range(60, 70))
    absolute = lived("silence(visits)", days=70, accounts=60, holiday=range(60, 70))
    assert max(relative.values()) < 0.45 * min(absolute.values())


def test_who_stays_away_after_the_holiday_is_seen():
    """One account that does not come back falls, against a cohort that did."""
    found = lived("momentum(visits, cohort)", days=75, accounts=60, holiday=range(58, 65), gone="a7", gone_from=58)
    assert found.pop("a7") < -1.0
    assert max(abs(value) for value in found.values()) < 0.2


def test_few_accounts_are_hardly_a_cohort():
    """Two accounts that pause together fall nearly as in calendar days: two say little about a day."""
    relative = lived("momentum(visits, cohort)", days=70, accounts=2, holiday=range(58, 68))
    absolute = lived("momentum(visits)", days=70, accounts=2, holiday=range(58, 68))
    assert relative["a0"] == pytest.approx(absolute["a0"], abs=0.25)


def test_without_references_a_cohort_day_is_a_calendar_day():
    """Nothing reported: every value counts calendar days, but for the fewer days a rate leans on."""
    log = Log()
    for day in range(40):
        log.event("usage", "a", MONDAY + day * DAY + 9 * HOUR, id=str(day))
    log.tick(MONDAY + 40 * DAY)
    pairs = {"momentum(visits)": "momentum(visits, cohort)", "rate(visits, 30d)": "rate(visits, 30d, cohort)"}
    for calendar, cohort in pairs.items():
        one, other = (seen(feed(partition_for(model_of(value)), log.journal)) for value in (calendar, cohort))
        assert one["a"]["values"] == pytest.approx(other["a"]["values"], abs=1e-6)


def reference(day: int, accounts: int, paces: int, model: Model) -> bytes:
    """Return a reference's record."""
    totals = {model.signals[0].fingerprint: {"": (accounts, paces)}}
    return msgspec.json.encode(Reference(day, totals))


def test_reference_that_comes_late_counts_from_tomorrow():
    """What was scored up to the clock stays as it was; the next midnight takes the reference in. A restore agrees."""
    model = model_of("silence(visits, cohort)")
    log = Log()
    for day in range(30):
        log.event("usage", "a", MONDAY + day * DAY + 9 * HOUR, id=str(day))
    clock = MONDAY + 40 * DAY + 5 * HOUR
    log.tick(clock)
    partition = feed(partition_for(model), log.journal)
    before = seen(partition)["a"]["values"]
    late = Log()
    for day in range(30, 38):
        late.add("cohorts", reference(MONDAY // DAY + day, 980, 0, model), clock)
    feed(partition, late.journal)
    assert seen(partition)["a"]["values"] == before
    flushes = [partition.take_flush()]
    log.journal.clear()
    log.tick(MONDAY + 41 * DAY)
    again = restored(model, flushes)
    for one in (partition, again):
        feed(one, log.journal)
    assert seen(partition)["a"]["values"][0] < before[0] / 2
    assert seen(partition) == seen(again)


@given(st.integers(0, 500), st.integers(0, 4_000), st.integers(0, 4_000_000))
def test_busyness_rises_with_paces_and_stays_within_bounds(accounts, pace, prior):
    """A day is never busier than the busiest account or the wider cohort, and more pace never makes it quieter."""
    own = busyness(accounts, accounts * pace, prior)
    assert min(prior, pace * 1_000) - 1 <= own <= max(prior, pace * 1_000)
    assert busyness(accounts, accounts * pace + 1, prior) >= own


@given(st.integers(0, 2**32))
def test_order_of_partitions_does_not_show_in_references(seed):
    """However the partitions' logs interleave, repeated reading included, the same references come, each once, by day."""
    random = Random(seed)
    sums = [[Sums(day, {"s": {"": (random.randrange(9), random.randrange(99))}}) for day in range(5)] for _ in range(3)]
    found = []
    for _ in range(2):
        fold, references = CohortFold(3), []
        queues = [list(own) for own in sums]
        while any(queues):
            number = random.choice([k for k, queue in enumerate(queues) if queue])
            fold.take(number, queues[number][0])
            if random.random() < 0.7:
                queues[number].pop(0)  # else it is read again
            references += fold.complete()
        found.append(references)
    assert found[0] == found[1]
    assert [one.day for one in found[0]] == list(range(5))


def test_fold_goes_on_after_what_is_written():
    """Read again from the start, sums whose reference stands in the log already give none."""
    fold = CohortFold(1)
    for day in range(4):
        fold.take(0, Sums(day, {}))
    fold.take(0, Reference(2, {}))
    assert [one.day for one in fold.complete()] == [3]


@pytest.mark.parametrize("seed", range(3))
def test_accounts_spread_over_partitions_have_the_same_cohort(seed):
    """Three partitions whose sums are folded, day by day, score as one partition with all accounts."""
    model = model_of("surprise(visits, cohort)")
    random = Random(seed)
    events = [
        (f"a{k}", MONDAY + day * DAY + random.randrange(6, 20) * HOUR, random.choice(("x", "y")))
        for day in range(60)
        for k in range(40)
        if random.random() < (0.1 if 40 <= day < 47 else 0.8)
    ]

    def run(count: int) -> dict:
        parts = [partition_for(model) for _ in range(count)]
        logs, fold = [Log() for _ in parts], CohortFold(count)
        for day in range(60):
            for number, part in enumerate(parts):
                log = logs[number]
                log.journal.clear()
                for name, at, segment in events:
                    if at // DAY == MONDAY // DAY + day and int(name[1:]) % count == number:
                        log.event("accounts", name, at, segment=segment if day == 0 else "x")
                        log.event("usage", name, at)
                log.tick(MONDAY + day * DAY + 30 * HOUR)
                feed(part, log.journal)
                for message in part.take_flush().cohorts:
                    fold.take(number, DECODER.decode(message.value))
            for found in fold.complete():
                for number, part in enumerate(parts):
                    logs[number].journal.clear()
                    logs[number].add("cohorts", json.dumps(msgspec.to_builtins(found)).encode() + b"", MONDAY)
                    value = logs[number].journal[0][1][0].value.replace(b"{", b'{"kind":"reference",', 1)
                    record = logs[number].journal[0][1][0]._replace(value=value)
                    feed(part, [("cohorts", [record])])
        return {name: view["values"] for part in parts for name, view in seen(part).items()}

    assert run(3) == run(1)
