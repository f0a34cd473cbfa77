"""A book that is moved from some partitions into others in the middle of its life must not notice it."""

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from scoring.compile import compile_model
from scoring.model import Model
from scoring.presets import load_model
from state.changelog import StateMismatchError
from state.cohorts import DECODER, CohortFold
from state.duplicates import GENERATION, Duplicates
from state.flush import Flush, Message
from state.layout import POSITIONS, ROW_TOPICS, SEGMENT
from state.murmur2 import partition_of
from state.partition import Partition
from state.resettling import Resettling
from streams.demo.book import Book
from tests.state.journals import HOUR, START, Entry
from tests.state.looking import alerts_of, feed

TICK_HOURS = 7
MINUTE = 60_000
EVENT = b'{"id":"1","account_id":"a","event":"login","occurred_at":"2026-03-01T00:00:00Z"}'


class Layout:
    """A book's partitions, fed by account, with a tick every few hours."""

    def __init__(self, partitions: Sequence[Partition], apart_ms: int, *, is_summing: bool) -> None:
        self.partitions = partitions
        self.flushes: list[list[Flush]] = [[] for _ in partitions]
        self._ends: dict[tuple[str, int], int] = {}
        self.apart_ms = apart_ms
        self._is_summing = is_summing
        self._cohorts = CohortFold(len(partitions))

    def add(self, topic: str, key: str, value: bytes, at: int) -> None:
        """Apply an event where its account lives."""
        self._apply(topic, partition_of(key, len(self.partitions)), key.encode(), value, at)

    def tick(self, at: int) -> None:
        """Let time pass, flush, and tell everybody how busy the days were; some partitions are behind the others."""
        for number, partition in enumerate(self.partitions):
            value = json.dumps({"as_of_ms": at - number * self.apart_ms, "ends": {}}).encode()
            self._apply("ticks", number, None, value, at)
            self.flushes[number] += filter(None, [partition.take_flush()])
            for message in self.flushes[number][-1].cohorts:
                self._cohorts.take(number, DECODER.decode(message.value))
        if self._is_summing:
            for reference in self._cohorts.complete():
                body = {"kind": "reference", "day": reference.day, "totals": reference.totals}
                for number in range(len(self.partitions)):
                    self._apply("cohorts", number, None, json.dumps(body).encode(), at)

    def _apply(self, topic: str, number: int, key: bytes | None, value: bytes, at: int) -> None:
        offset = self._ends[topic, number] = self._ends.get((topic, number), -1) + 1
        feed(self.partitions[number], [(topic, [Entry(offset, at, key, value)])])

    def rows(self) -> dict[str, bytes]:
        """Return account → row bytes, without what belongs to the partition."""
        found = {}
        for partition in self.partitions:
            ints = partition.store.rows.ints
            ints[:, POSITIONS : POSITIONS + ROW_TOPICS] = -1
            ints[:, SEGMENT] = 0
            found |= {account: partition.row_bytes(account) for account in partition.store.numbers}
        return found

    def alerts(self) -> list[Flush]:
        """Return all flushes."""
        return [flush for flushes in self.flushes for flush in flushes]


def partitions_of(model: Model, count: int) -> list[Partition]:
    return [Partition(number, count, compile_model(model)) for number in range(count)]


def restored(empty: Partition, messages: Iterable[Message]) -> Partition:
    """Return a partition read back from a compacted changelog."""
    messages = list(messages)
    latest = {message.key: k for k, message in enumerate(messages)}
    empty.load([messages[k] for k in sorted(latest.values())])
    empty.finish_load()
    return empty


def resettled(model: Model, layout: Layout, count: int) -> list[Partition]:
    """Return the same accounts in another number of partitions."""
    resettling = Resettling(count)
    moved: list[Message] = []
    for empty, flushes in zip(partitions_of(model, len(layout.partitions)), layout.flushes, strict=True):
        old = restored(empty, (message for flush in flushes for message in flush.changelog))
        for messages in resettling.take(old):
            moved += messages
    moved += resettling.rest([{}] * count)
    new = [
        restored(empty, [message for message in moved if message.partition == empty.number])
        for empty in partitions_of(model, count)
    ]
    assert [len(each.store) for each in new] == resettling.accounts
    return new


@pytest.mark.parametrize(("before", "after", "apart_minutes"), [(2, 5, 0), (2, 5, 20), (3, 1, 0)])
def test_a_moved_book_lives_on_as_if_nothing_had_been(before: int, after: int, apart_minutes: int) -> None:
    """Rows, alerts and their sequences are those of the same partitions left alone, byte for byte."""
    model = load_model("saas-renewal")
    events = list(Book(7, accounts=40, days=110).events())
    half = events[len(events) * 3 // 5].arrives_at_ms
    apart_ms, is_summing = apart_minutes * MINUTE, not apart_minutes
    whole = Layout(partitions_of(model, before), apart_ms, is_summing=is_summing)
    old = part = Layout(partitions_of(model, before), apart_ms, is_summing=is_summing)
    due = events[0].arrives_at_ms // HOUR * HOUR + TICK_HOURS * HOUR
    for event in events:
        while event.arrives_at_ms >= due:
            whole.tick(due)
            part.tick(due)
            if part is old and due > half:
                part = Layout(resettled(model, old, after), 0, is_summing=is_summing)
                whole.apart_ms = 0
            due += TICK_HOURS * HOUR
        for layout in (whole, part):
            layout.add(event.topic, event.account_id, event.value, event.arrives_at_ms)
    for layout in (whole, part):
        layout.tick(due)
    told, wanted = alerts_of([*old.alerts(), *part.alerts()]), alerts_of(whole.alerts())
    assert part is not old
    assert len(alerts_of(part.alerts())) > 0
    assert told == wanted
    assert part.rows() == whole.rows()
    first = max(flush.sequence for flush in old.alerts())
    assert min(flush.sequence for flush in part.alerts()) == first + 1


def test_rows_of_two_models_are_not_mixed() -> None:
    """A partition that was written under another model than the first is refused, and both are named."""
    resettling = Resettling(3)
    for name in ("saas-renewal", "ecommerce-rfm"):
        partition = Partition(0, 1, compile_model(load_model(name)))
        feed(partition, [("usage", [Entry(0, START, b"a", EVENT)])])
        partition.take_flush()
        if name == "saas-renewal":
            list(resettling.take(partition))
    with pytest.raises(StateMismatchError, match=r"ecommerce-rfm .* let the workers bring all partitions to one model"):
        list(resettling.take(partition))


def test_ids_are_remembered_across_the_move() -> None:
    """What any old partition knew is a duplicate in every new one; where too many are known, the newest are kept."""

    def filled(first: int, count: int) -> Duplicates:
        known = Duplicates()
        ids = np.arange(first, first + count, dtype=np.uint64)
        assert not known.check(ids, np.full(count, HOUR), np.full(count, HOUR)).any()
        return known

    def repeats(known: Duplicates, *ids: int) -> list[bool]:
        moments = np.full(len(ids), HOUR)
        return known.check(np.array(ids, np.uint64), moments, moments).tolist()

    few = Duplicates.knowing([filled(1, 100), filled(1_000, 100)])
    again = Duplicates()
    for record in few.take_records():
        again.load_block(*record)
    again.finish_load(few.snapshot())
    for known in (few, again):
        assert repeats(known, 1, 100, 1_000, 1_099, 5_000) == [True, True, True, True, False]
        assert known.unchecked == 0
    many = Duplicates.knowing([filled(1, GENERATION), filled(1_000_000, GENERATION)])
    assert repeats(many, GENERATION, 1_000_000 + GENERATION - 1, 1) == [True, True, False]
