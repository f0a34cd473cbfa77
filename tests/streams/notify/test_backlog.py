"""The backlog: every wanted record is delivered, in its alert's order, and no more often than crashes make unavoidable."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.notify.backlog import OWED_AT_MOST, Backlog, Remembered, remembered

RECORDS = st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=1, max_size=60)


def alert(number: int) -> dict[str, object]:
    """What the backlog looks at."""
    return {"alert_id": f"a{number}"}


@given(RECORDS, st.integers(0, 2**32))
def test_everything_is_delivered_in_order_whatever_crashes(records: list[int | None], seed: int) -> None:
    """Tries fail, processes die, positions are read back: each wanted record is delivered, first times in alert order."""
    draw = random.Random(seed)
    log: list[int] = []
    kept = (0, "")
    now_ms = 0
    for _ in range(10_000):
        backlog = Backlog(remembered(*kept))
        crash_after = draw.randrange(1, 40)
        for _ in range(crash_after):
            now_ms += 1000
            if not backlog.is_full and backlog.position < len(records):
                at = backlog.position
                backlog.add(at, None if records[at] is None else alert(records[at]))
            for owed in list(backlog.due(now_ms)):
                owed.is_under_way = True
                if draw.random() < 0.5:
                    log.append(owed.offset)
                    backlog.settle(owed)
                else:
                    backlog.postpone(owed, now_ms + draw.randrange(5000), is_unanswered=False)
            if draw.random() < 0.7:
                kept = backlog.committed()
        if remembered(*kept) == Remembered(len(records)):
            break
    assert sorted(set(log)) == [offset for offset, record in enumerate(records) if record is not None]
    for number in range(5):
        firsts = [offset for offset in dict.fromkeys(log) if records[offset] == number]
        assert firsts == sorted(firsts)


@given(RECORDS)
def test_without_a_crash_everything_is_delivered_once(records: list[int | None]) -> None:
    """What was settled and committed is not owed again, and what was owed keeps its tries."""
    backlog = Backlog(remembered(0, ""))
    for offset, record in enumerate(records):
        backlog.add(offset, None if record is None else alert(record))
    first = list(backlog.due(0))
    for owed in first[::2]:
        backlog.settle(owed)
    for owed in first[1::2]:
        backlog.postpone(owed, 7000, is_unanswered=True)
    again = Backlog(remembered(*backlog.committed()))
    for offset in range(again.position, len(records)):
        record = records[offset]
        again.add(offset, None if record is None else alert(record))
    assert again.waiting == backlog.waiting
    assert {owed.offset: owed.tries for owed in again.due(10**9)} == {
        owed.offset: owed.tries for owed in backlog.due(10**9)
    }
    assert len(first[1::2]) == sum(owed.tries for owed in again.due(10**9))


def test_metadata_fits_into_kafka() -> None:
    """A full backlog's metadata is below the 4 096 bytes that brokers keep."""
    backlog = Backlog(remembered(10**9, ""))
    for offset in range(OWED_AT_MOST):
        backlog.add(10**9 + offset * 1000, alert(offset))
    for owed in list(backlog.due(10**13)):
        backlog.postpone(owed, 1_800_000_000_000, is_unanswered=False)
    assert backlog.is_full
    assert len(backlog.committed()[1]) < 4000


def test_what_met_nobody_is_tried_when_the_target_answers() -> None:
    """`hurry` makes due what met nobody, and leaves the rest to its table."""
    backlog = Backlog(remembered(0, ""))
    for offset in range(2):
        backlog.add(offset, alert(offset))
    met_nobody, was_refused = list(backlog.due(0))
    backlog.postpone(met_nobody, 10**9, is_unanswered=True)
    backlog.postpone(was_refused, 10**9, is_unanswered=False)
    assert list(backlog.due(1000)) == []
    backlog.hurry()
    assert list(backlog.due(1000)) == [met_nobody]


def test_foreign_metadata_counts_as_none() -> None:
    """A position committed by hand, with any text beside it, is just a position."""
    assert remembered(7, "moved by ann") == remembered(7, '{"version":9}') == remembered(7, "[1]") == Remembered(7)
