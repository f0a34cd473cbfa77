"""The order of application across topics: examples drawn as time lines, and laws."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.merge import SIBLING_WAIT_SECONDS, Chunk, GapError, Inbox, RewoundError

TOPICS = ("usage", "billing", "ticks")


@dataclass(frozen=True)
class At:
    """A record as far as merging looks at it."""

    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple = ()


def chunk(topic: str, start: int, *times: int, behind: bool = False, siblings: int = 1) -> Chunk:
    """Return a chunk whose records begin at offset ``start`` and have these timestamps."""
    records = [At(start + index, time, None, b"v") for index, time in enumerate(times)]
    return Chunk(topic, 0, records, start, start + len(times), behind, 1, siblings)


def inbox(*chunks: Chunk, behind: tuple[str, ...] = ()) -> Inbox:
    """Return an inbox that was offered these chunks."""
    made = Inbox(TOPICS, patience_seconds=0.5, capacity=2, full_bytes=4)
    made.restart(dict.fromkeys(TOPICS, 0), behind)
    for each in chunks:
        made.offer(each)
    return made


def taken(box: Inbox, max_records: int = 100, now: float = 0.0) -> str:
    """Return what the inbox hands out, as ``topic:times`` separated by blanks."""
    runs = []
    while found := box.take(max_records, now):
        runs += found
    return " ".join(f"{topic[0]}:{','.join(str(r.timestamp) for r in records)}" for topic, records in runs)


def test_the_earliest_record_goes_first_and_ties_go_to_the_topic_named_first() -> None:
    """Chunks are cut where the other topic has an earlier record; at 5 both have one, usage goes first."""
    # usage    1 · 3 · 5 ·
    # billing  · 2 · · 5 8
    assert taken(inbox(chunk("usage", 0, 1, 3, 5), chunk("billing", 0, 2, 5, 8))) == "u:1 b:2 u:3,5 b:5,8"


def test_within_a_topic_the_order_of_the_log_stands() -> None:
    """A record with an earlier timestamp behind a later one does not overtake it."""
    assert taken(inbox(chunk("usage", 0, 5, 1), chunk("billing", 0, 3))) == "b:3 u:5,1"


def test_no_more_than_asked_for_is_handed_out_at_once() -> None:
    """Of five records two are taken, the rest stays for later."""
    box = inbox(chunk("usage", 0, 1, 2, 3, 4, 5))
    assert [len(run.records) for run in box.take(2, 0.0)] == [2]
    assert box.applied_to("usage") == 2


def test_a_topic_known_to_have_more_is_waited_for_but_not_for_ever() -> None:
    """Usage is behind in its log: billing waits half a second for it, then goes on."""
    box = inbox(chunk("usage", 0, 1, behind=True), chunk("billing", 0, 9))
    assert taken(box, now=0.0) == "u:1"
    assert box.retry_at == 0.5
    assert taken(box, now=0.4) == ""
    assert taken(box, now=0.5) == "b:9"


def test_what_was_waited_for_goes_first_when_it_arrives() -> None:
    """The wait ends as soon as the topic's next chunk is here."""
    box = inbox(chunk("usage", 0, 1, behind=True), chunk("billing", 0, 9))
    assert taken(box) == "u:1"
    box.offer(chunk("usage", 1, 4))
    assert taken(box) == "u:4 b:9"


def test_chunks_of_one_fetch_are_waited_for() -> None:
    """Two chunks were fetched together: the first is not applied before the second is here."""
    box = inbox(chunk("usage", 0, 5, siblings=2))
    assert taken(box) == ""
    box.offer(chunk("billing", 0, 3, siblings=2))
    assert taken(box) == "b:3 u:5"


def test_a_lost_sibling_delays_by_milliseconds_only() -> None:
    """When the second chunk of a fetch never comes, the first is applied after the sibling wait."""
    box = inbox(chunk("usage", 0, 5, siblings=2))
    assert taken(box, now=0.0) == ""
    assert taken(box, now=SIBLING_WAIT_SECONDS) == "u:5"


def test_a_tick_is_due_when_all_that_was_fetched_before_it_is_applied() -> None:
    """What was fetched before a tick goes before it, even the later parts; what came after does not hold it up."""
    box = inbox(chunk("usage", 0, 10, 20), chunk("ticks", 0, 15), chunk("billing", 0, 12))
    assert taken(box) == "u:10 b:12 t:15 u:20"


def test_an_old_record_fetched_after_a_tick_does_not_hold_it_up() -> None:
    """A record with an old timestamp that arrived later goes after the tick once all before the tick is applied."""
    box = inbox(chunk("usage", 0, 10), chunk("ticks", 0, 15), chunk("billing", 0, 11))
    assert taken(box) == "u:10 t:15 b:11"


def test_a_tick_is_due_when_nothing_from_before_its_time_is_left() -> None:
    """A chunk of a sparse topic that spans months does not hold up the ticks of a backlog."""
    box = inbox(chunk("billing", 0, 5, 90), chunk("usage", 0, 6, 60), chunk("ticks", 0, 50))
    assert taken(box) == "b:5 u:6,60 t:50 b:90"  # whether it is due is decided when a chunk is used up


def test_a_tick_ends_what_is_handed_out() -> None:
    """Its sweep must run before anything else is applied, so nothing comes with it."""
    box = inbox(chunk("ticks", 0, 1, 2), chunk("usage", 0, 9))
    assert [run.topic for run in box.take(100, 0.0)] == ["ticks"]


def test_a_gap_is_refused() -> None:
    """A chunk that starts beyond the end of the one before means records would be lost."""
    box = inbox(chunk("usage", 0, 1))
    with pytest.raises(GapError) as caught:
        box.offer(chunk("usage", 3, 4))
    assert str(caught.value) == "usage[0]: expected the next chunk to start at offset 1, got 3"


def test_a_log_that_begins_again_is_refused() -> None:
    """A chunk that starts before the end of the one before it would pass for records that the state has seen."""
    box = inbox(chunk("usage", 0, 1, 2))
    with pytest.raises(RewoundError) as caught:
        box.offer(chunk("usage", 0, 1))
    assert str(caught.value) == "the log goes on at 0, before the state's position 2"


def test_markers_count_as_applied_once_everything_before_them_is() -> None:
    """An empty chunk moves the position, but only past what is handed out."""
    box = inbox(chunk("usage", 0, 1), Chunk("usage", 0, (), 1, 4))
    assert box.applied_to("usage") == 0
    assert taken(box) == "u:1"
    assert box.applied_to("usage") == 4


def test_a_topic_is_full_at_its_capacity_and_its_bytes() -> None:
    """Two chunks of four bytes together fill a topic here, and only that one; one alone never does, nor two small ones."""
    small, large = (
        inbox(chunk("usage", 0, 1), chunk("usage", 1, 2)),
        inbox(chunk("usage", 0, 1, 2), chunk("usage", 2, 3, 4)),
    )
    alone = inbox(chunk("usage", 0, *range(9)))
    assert (large.is_full("usage"), large.is_full("billing")) == (True, False)
    assert (small.is_full("usage"), alone.is_full("usage")) == (False, False)


def test_what_waits_is_counted_until_it_is_handed_out() -> None:
    """Records of all topics wait; those handed out do not."""
    box = inbox(chunk("usage", 0, 1, 3), chunk("billing", 0, 2))
    before = box.waiting
    box.take(1, 0.0)
    assert (before, box.waiting) == (3, 2)


times = st.lists(st.integers(0, 20), min_size=1, max_size=8)


@given(st.lists(st.tuples(st.sampled_from(TOPICS), times), max_size=8), st.integers(1, 5))
def test_everything_is_handed_out_once_and_in_log_order(given_chunks: list[tuple[str, list[int]]], limit: int) -> None:
    """Whatever the chunks and the limit: each topic's offsets come out as 0, 1, 2… and none is missing."""
    box, ends = inbox(), dict.fromkeys(TOPICS, 0)
    for topic, stamps in given_chunks:
        box.offer(chunk(topic, ends[topic], *stamps))
        ends[topic] += len(stamps)
    seen: dict[str, list[int]] = {topic: [] for topic in TOPICS}
    while runs := box.take(limit, 0.0):
        assert sum(len(run.records) for run in runs) <= limit
        for topic, records in runs:
            seen[topic] += [record.offset for record in records]
    assert seen == {topic: list(range(end)) for topic, end in ends.items()}
    assert all(box.applied_to(topic) == ends[topic] for topic in TOPICS)


@given(times.map(sorted), times.map(sorted), st.integers(1, 9))
def test_logs_in_time_order_come_out_in_time_order(usage: list[int], billing: list[int], limit: int) -> None:
    """Two topics whose timestamps rise merge into one rising sequence with usage first among equals, at any limit."""
    box = inbox(chunk("usage", 0, *usage), chunk("billing", 0, *billing))
    out = []
    while runs := box.take(limit, 0.0):
        out += [(record.timestamp, TOPICS.index(topic)) for topic, records in runs for record in records]
    assert out == sorted([(time, 0) for time in usage] + [(time, 1) for time in billing])
