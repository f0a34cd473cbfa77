"""An independent reader of a real run: folds the committed journal over the input logs again and compares everything.

The journal says in which order a partition applied its inputs and where each flush was taken. A fresh state fed in that
order must write, flush by flush, the very records that stand in the topics.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

import orjson

from scoring.compile import compile_model
from scoring.presets import load_model
from state.layout import INPUT_TOPICS
from state.partition import Partition
from streams.settings import Settings
from tests.streams.recount import read_all


@dataclass
class Refold:
    """What a run left behind and what it should have: all lists empty means all is well."""

    accounts: int = 0
    alerts: int = 0
    snapshots: dict[str, bytes | None] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    consumed: dict[str, int] = field(default_factory=dict)
    wrong_rows: list[str] = field(default_factory=list)
    wrong_alerts: list[str] = field(default_factory=list)
    wrong_scores: list[str] = field(default_factory=list)
    journal_faults: list[str] = field(default_factory=list)


async def refold(settings: Settings) -> Refold:
    """Read all topics of a run, fold them again by the journal, compare rows, alerts and score records."""
    found = Refold()
    logs = {topic: await read_all(settings, settings.topic(topic)) for topic in INPUT_TOPICS}
    journal = await read_all(settings, settings.topic("journal"))
    alerts = await read_all(settings, settings.topic("alerts"))
    scores = await read_all(settings, settings.topic("scores"))
    changelog = await read_all(settings, settings.changelog)
    for number in range(settings.partitions):
        by_offset = {topic: {record.offset: record for record in logs[topic][number]} for topic in INPUT_TOPICS}
        state, written_alerts, written_scores = _fold(settings, number, by_offset, journal[number], found)
        restored = _restore(settings, number, changelog[number])
        found.wrong_rows += [
            f"{account}: {_differences(state, restored, account)}"
            for account in {*state.store.numbers, *restored.store.numbers}
            if not _are_equal(state, restored, account)
        ]
        _compare(found.wrong_alerts, written_alerts, [(r.key, r.value) for r in alerts[number]])
        _compare(found.wrong_scores, written_scores, [(r.key, r.value) for r in scores[number]])
        found.accounts += len(restored.store)
        found.alerts += len(alerts[number])
        found.snapshots.update({record.key.decode(): record.value for record in scores[number]})
        for kind, count in state.counts.items():
            found.counts[kind] = found.counts.get(kind, 0) + count
    return found


def _fold(settings, number, by_offset, journal, found):
    state = _empty(settings, number)
    written_alerts, written_scores = [], []
    next_offset = defaultdict(int)
    for sequence, record in enumerate(journal, start=1):
        entry = orjson.loads(record.value)
        if entry["sequence"] != sequence:
            found.journal_faults.append(f"partition {number}: expected sequence {sequence}, got {entry['sequence']}")
        for topic, first, last in entry["runs"]:
            if first < next_offset[topic]:
                found.journal_faults.append(f"partition {number}: {topic} {first} was applied before")
            skipped = [o for o in range(next_offset[topic], first) if o in by_offset[topic]]
            if skipped:
                found.journal_faults.append(f"partition {number}: {topic} {skipped[0]} was passed over")
            next_offset[topic] = last + 1
            state.apply(topic, [by_offset[topic][o] for o in range(first, last + 1) if o in by_offset[topic]])
            while not state.sweep(100_000):
                pass
        flush = state.take_flush()
        written_alerts += [(message.key, message.value) for message in flush.alerts]
        written_scores += [(message.key, message.value) for message in flush.scores]
    for topic, records in by_offset.items():
        found.consumed[topic] = found.consumed.get(topic, 0) + sum(o < next_offset[topic] for o in records)
        # The last tick may be written while its worker is told to stop: the next owner reads it.
        if topic not in ("ticks", "cohorts") and records and max(records) >= next_offset[topic]:
            found.journal_faults.append(f"partition {number}: {topic} was not read to its end")
    return state, written_alerts, written_scores


def _restore(settings, number, changelog):
    state = _empty(settings, number)
    state.load(changelog)
    state.finish_load()
    return state


@cache
def _compiled(model):
    return compile_model(load_model(model))


def _empty(settings, number):
    return Partition(number, settings.partitions, _compiled(settings.model), app_id=settings.app_id)


def _are_equal(one, other, account):
    known = account in one.store.numbers, account in other.store.numbers
    if known == (True, True):
        return one.row_bytes(account) == other.row_bytes(account)
    # An account all of whose events were refused has a number in memory and no row.
    alone = one if known[0] else other
    return alone.store.rows.dirty[alone.store.numbers[account]] == 0


def _differences(one, other, account):
    """Return where two rows differ, by matrix and column, to begin the search with."""
    rows = [(state.store.rows, state.store.numbers.get(account)) for state in (one, other)]
    if None in (rows[0][1], rows[1][1]):
        return f"known to {[number is not None for _, number in rows]}"
    (left, first), (right, second) = rows
    return {
        name: [
            (int(column), getattr(left, name)[first][column].item(), getattr(right, name)[second][column].item())
            for column in (getattr(left, name)[first] != getattr(right, name)[second]).nonzero()[0][:8]
        ]
        for name in ("ints", "derived", "narrow", "wide", "closes")
        if (getattr(left, name)[first] != getattr(right, name)[second]).any()
    } or {"profiles": (one.store.profiles.get(first), other.store.profiles.get(second)), "items": "or items"}


def _compare(faults, expected, got):
    for place in range(max(len(expected), len(got))):
        one = expected[place] if place < len(expected) else None
        two = got[place] if place < len(got) else None
        if one != two:
            faults.append(f"{place}: expected {one}, got {two}")
