"""The simulated book: deterministic, plausible, and true to what it says it planted."""

import hashlib
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from state.decode import decode_event
from state.rejections import Rejection
from streams.demo import Book, Event
from streams.demo.stories import Calendar
from streams.demo.traffic import season
from streams.demo.truth import DAY_MS, Expectation, Noise, Story

# Frozen before any model was tuned on the book. A change here makes earlier results incomparable: say so in the changelog.
GOLDEN_DIGEST = "3dc55f098694ab01eb0cd1a2dc26fc150b62f70249930ee5812eb50ddefbd03d"


@pytest.fixture(scope="module")
def book() -> Book:
    """A book of 400 accounts."""
    return Book(seed=1, accounts=400)


@pytest.fixture(scope="module")
def events(book: Book) -> list[Event]:
    """Its events in order of arrival."""
    return list(book.events())


def daily_usage(events: list[Event], account_id: str, start_ms: int, days: int) -> np.ndarray:
    """Return usage events of an account for each day, duplicates and bad ones left out."""
    counts = np.zeros(days)
    for event in events:
        if event.topic == "usage" and event.account_id == account_id and event.fault in {"", "late"}:
            counts[(event.occurred_at_ms - start_ms) // DAY_MS] += 1
    return counts


def of_accounts(events: list[Event], accounts: set[str], topic: str) -> list[Event]:
    """Return the sound events of some accounts on a topic."""
    return [e for e in events if e.topic == topic and e.account_id in accounts and e.fault in {"", "late"}]


def test_the_book_is_frozen() -> None:
    """All events of a small fixed book, stories and faults included, have the digest they had when it was frozen."""
    digest = hashlib.sha256()
    for event in Book(seed=1, accounts=60, days=120).events():
        digest.update(repr(tuple(event)).encode())
    assert digest.hexdigest() == GOLDEN_DIGEST


def test_same_parameters_give_the_same_book(book: Book, events: list[Event]) -> None:
    """A second book of the same seed has the same events and the same truth, and may be read twice."""
    again = Book(seed=1, accounts=400)
    assert list(again.events()) == events
    assert list(again.events()) == events
    assert again.truth == book.truth


def test_another_seed_gives_another_book(events: list[Event]) -> None:
    """Another seed shares no usage with the first."""
    other = {event.value for event in Book(seed=2, accounts=400).events() if event.topic == "usage" and not event.fault}
    assert not other & {event.value for event in events if event.topic == "usage" and not event.fault}


def test_events_arrive_in_order_inside_the_book(book: Book, events: list[Event]) -> None:
    """Arrival never goes back, and everything arrives inside the book's days."""
    assert all(before.arrives_at_ms <= after.arrives_at_ms for before, after in pairwise(events))
    assert events[0].arrives_at_ms >= book.truth.start_ms
    assert events[-1].arrives_at_ms < book.truth.end_ms


def test_every_sound_event_is_accepted_and_every_bad_one_is_not(events: list[Event]) -> None:
    """The decoder of the live path takes all events but the planted bad ones (time limits are the state's to check)."""
    for event in events:
        is_broken = event.fault.startswith("bad: ") and event.fault not in {"bad: future", "bad: expired"}
        rejected = isinstance(decode_event(event.topic, event.value), Rejection)
        assert rejected == is_broken, event


def test_bad_events_are_as_many_as_the_truth_says(book: Book, events: list[Event]) -> None:
    """Each kind of broken event occurs as often as the truth says, and each kind occurs."""
    counted = Counter(event.fault.removeprefix("bad: ") for event in events if event.fault.startswith("bad: "))
    assert dict(counted) == book.truth.bad_events
    assert len(counted) == 11


def test_duplicates_are_exact_and_soon_and_late_events_keep_their_day(events: list[Event]) -> None:
    """A duplicate repeats the bytes within half an hour; a late event arrives an hour to four days after it happened."""
    sound = {event.value: event for event in events if event.fault != "duplicate"}
    copies = [event for event in events if event.fault == "duplicate"]
    late = [event for event in events if event.fault == "late"]
    originals = [sound[copy.value].arrives_at_ms for copy in copies]
    assert all(0 < copy.arrives_at_ms - at <= 1_800_000 for copy, at in zip(copies, originals, strict=True))
    assert all(3_600_000 <= event.arrives_at_ms - event.occurred_at_ms <= 4 * DAY_MS for event in late)
    usage = sum(event.topic == "usage" for event in events)
    assert 0.0005 < len(copies) / usage < 0.002
    assert 0.003 < len(late) / usage < 0.007


def test_ids_are_unique_but_for_duplicates(events: list[Event]) -> None:
    """No two events of a topic share an id, planted duplicates apart."""
    ids: dict[str, set[bytes]] = defaultdict(set)
    for event in events:
        if event.fault in {"", "late"} and event.topic != "accounts":
            found = event.value.split(b'"id":"', 1)[1].split(b'"', 1)[0]
            assert found not in ids[event.topic]
            ids[event.topic].add(found)


def test_a_full_book_has_the_size_of_a_demonstration() -> None:
    """2 000 accounts over 120 days make 300 000 to 500 000 events and 25 to 40 accounts for each story."""
    book = Book(seed=3)
    assert 300_000 <= sum(len(day) for day in book.by_day()) <= 500_000
    planted = Counter(story.story for story in book.truth.stories)
    assert set(planted) == set(Story)
    assert all(25 <= count <= 40 for count in planted.values())
    assert len(book.truth.stories) + len(book.truth.healthy) == 2_000
    small = sum(noise is Noise.SMALL for noise in book.truth.healthy.values())
    assert 60 <= small <= 140


def test_usage_follows_the_week_and_the_year(events: list[Event], book: Book) -> None:
    """Weekends carry about 30 % of a working day's usage, and the turn of the year clearly less than the weeks around it."""
    counts = np.zeros(book.truth.days)
    for event in events:
        if event.topic == "usage" and not event.fault.startswith("bad"):
            counts[(event.occurred_at_ms - book.truth.start_ms) // DAY_MS] += 1
    weeks = counts[:28].reshape(4, 7).mean(axis=0)  # the book starts on a Monday
    assert 0.22 < weeks[5:].mean() / weeks[:5].mean() < 0.38
    assert counts[47:61].mean() < 0.65 * counts[28:42].mean()


def test_the_season_is_known_to_the_day() -> None:
    """Monday 3 November is an ordinary working day, Saturday 8 November a weekend, 25 December almost silent."""
    factors = season(Calendar(1_762_128_000_000, 120))
    assert factors[[0, 5]].tolist() == [1.25, 0.375]
    assert factors[52] == pytest.approx(0.125)


def test_people_use_the_product_unequally(events: list[Event]) -> None:
    """In busy accounts of several people, the first does much more than an even share (Zipf), and all appear."""
    people: dict[str, Counter[bytes]] = defaultdict(Counter)
    for event in events:
        if event.topic == "usage" and not event.fault:
            people[event.account_id][event.value.rsplit(b"-u", 1)[1]] += 1
    busy = [users for users in people.values() if users.total() > 300 and 5 <= len(users) <= 40]
    assert len(busy) > 10
    assert all(users[b'1"}'] > 1.5 * users.total() / len(users) for users in busy)


def test_invoices_are_paid_mostly_on_time_and_never_while_payments_fail(book: Book, events: list[Event]) -> None:
    """Healthy accounts pay nearly all invoices; a failing account pays none that falls due after its story starts."""
    failing = {story.account_id: story for story in book.truth.stories if story.story is Story.PAYMENT}
    assert failing
    for account_id, story in failing.items():
        billing = of_accounts(events, {account_id}, "billing")
        after = [event for event in billing if event.occurred_at_ms >= story.start_ms]
        assert sum(b"payment_failed" in event.value for event in after) >= 3
        assert not any(b"invoice_paid" in event.value for event in after)
    healthy = of_accounts(events, set(book.truth.healthy), "billing")
    assert not any(b"payment_failed" in event.value for event in healthy)
    issued = sum(b"invoice_issued" in e.value and e.occurred_at_ms < book.truth.end_ms - 20 * DAY_MS for e in healthy)
    assert sum(b"invoice_paid" in event.value for event in healthy) >= issued


def test_a_ramp_down_ends_at_five_percent(book: Book, events: list[Event]) -> None:
    """In the last ten days before the ramp ends, ramp-down accounts use about 5 to 15 % of what they used before it."""
    before, after = 0.0, 0.0
    shape = season(Calendar(book.truth.start_ms, book.truth.days))
    for story in book.truth.stories:
        if story.story is Story.RAMP_DOWN:
            use = daily_usage(events, story.account_id, book.truth.start_ms, book.truth.days)
            start, end = ((at - book.truth.start_ms) // DAY_MS for at in (story.start_ms, story.end_ms))
            before += use[:start].sum() / shape[:start].sum()
            after += use[end - 10 : end].sum() / shape[end - 10 : end].sum()
    assert 0.05 < after / before < 0.2


def test_silence_is_silent_and_the_recovered_come_back(book: Book, events: list[Event]) -> None:
    """Silent accounts have no usage from their start on; recovered ones fall below a quarter and return above half."""
    shape = season(Calendar(book.truth.start_ms, book.truth.days))
    levels = []  # recovered accounts: before, at the bottom, afterwards
    for story in book.truth.stories:
        use = daily_usage(events, story.account_id, book.truth.start_ms, book.truth.days) / shape
        start, end = ((at - book.truth.start_ms) // DAY_MS for at in (story.start_ms, story.end_ms))
        if story.story is Story.SILENCE:
            assert use[start:].sum() == 0.0
            assert use[:start].sum() > 0.0
        if story.story is Story.RECOVERED:
            levels.append([use[:start].mean(), use[start + 15 : start + 29].mean(), use[end:].mean()])
    before, bottom, afterwards = np.mean(levels, axis=0)
    assert bottom < 0.25 * before
    assert afterwards > 0.5 * before


def test_a_storm_keeps_critical_tickets_open_for_days(book: Book, events: list[Event]) -> None:
    """A ticket storm opens at least five grave tickets in four days and resolves them after the tenth day."""
    for story in book.truth.stories:
        if story.story is not Story.TICKET_STORM:
            continue
        support = of_accounts(events, {story.account_id}, "support")
        during = [e for e in support if story.start_ms <= e.occurred_at_ms <= story.start_ms + 4 * DAY_MS]
        graves = [e for e in during if b"ticket_opened" in e.value and (b"critical" in e.value or b'"high"' in e.value)]
        assert len(graves) >= 5
        assert any(b"ticket_escalated" in event.value for event in support)
        grave_ids = {event.value.split(b'"ticket_id":"')[1].split(b'"')[0] for event in graves}
        resolved = [e for e in support if b"ticket_resolved" in e.value and any(i + b'"' in e.value for i in grave_ids)]
        assert sum(e.occurred_at_ms >= story.start_ms + 10 * DAY_MS for e in resolved) >= 5


def test_a_lost_champion_is_recorded(book: Book, events: list[Event]) -> None:
    """The account event says that the champion is missing, on the day the story starts."""
    for story in book.truth.stories:
        if story.story is Story.CHAMPION:
            notes = [
                e for e in of_accounts(events, {story.account_id}, "accounts") if b'"champion":"missing"' in e.value
            ]
            assert [note.occurred_at_ms - story.start_ms < DAY_MS for note in notes] == [True]


def test_nothing_happens_after_the_end_of_a_contract(book: Book, events: list[Event]) -> None:
    """An account that churned inside the book has an outcome and no later event of its own."""
    ends = {e.account_id: e.occurred_at_ms for e in events if e.topic == "outcomes" and b"churned" in e.value}
    assert ends
    for event in events:
        if event.account_id in ends and not event.fault.startswith("bad"):
            assert event.occurred_at_ms <= ends[event.account_id]
    planted = {s.account_id for s in book.truth.stories if s.story in {Story.RAMP_DOWN, Story.SILENCE}}
    assert planted <= set(ends)


def test_the_windows_of_the_truth_lie_inside_the_book(book: Book) -> None:
    """Every story starts after the calm days and leaves room to be caught, before its outcome and inside the book."""
    for story in book.truth.stories:
        assert story.start_ms >= book.truth.start_ms + 35 * DAY_MS
        if story.expects is Expectation.QUIET:
            continue
        assert story.alert_by_ms is not None
        assert story.start_ms + 10 * DAY_MS <= story.alert_by_ms <= book.truth.end_ms
        assert story.outcome_at_ms is None or story.alert_by_ms < story.outcome_at_ms
        assert story.resolve_by_ms is None or story.alert_by_ms < story.resolve_by_ms <= book.truth.end_ms


@pytest.mark.parametrize("days", [110, 365])
def test_books_of_any_allowed_length_hold_every_story(days: int) -> None:
    """The shortest book and a year-long one plant every story inside their days."""
    truth = Book(seed=5, accounts=20, days=days).truth
    assert {story.story for story in truth.stories} == set(Story)
    assert all(story.alert_by_ms is None or story.alert_by_ms <= truth.end_ms for story in truth.stories)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed: expected 0 or more, got -1 — choose another number"),
        ({"accounts": 19}, "accounts: expected 20 or more, got 19 — every story needs an account"),
        (
            {"days": 60},
            "days: expected 110 to 730, got 60 — the longest story takes 70 days after 35 calm ones",
        ),
        ({"start_ms": 5}, "start_ms: expected a UTC midnight, got 5 — round it down to a whole day"),
    ],
)
def test_parameters_out_of_range_are_refused(given: dict[str, int], message: str) -> None:
    """A parameter out of range is refused with what was expected, what was given and what to do."""
    with pytest.raises(ValueError, match="expected") as caught:
        Book(**({"seed": 1} | given))
    assert str(caught.value) == message
