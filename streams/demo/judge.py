"""Judges the alerts of a simulated book against the stories that were planted into it.

    story start          alert_by          outcome
    ----|-------------------|-----------------|-----> time
        |<---- caught ----->|<---- late ----->|
        |--- days after --->x--- days ahead ->|          x = first loud firing inside the window

Pure: the truth and the alerts go in, a report comes out. Only firing alerts of severity warning or critical count.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from streams.demo.alarms import Alarm, loud_by_account
from streams.demo.truth import DAY_MS, Expectation, Noise, PlantedStory, Story, Truth

DAYS_PER_MONTH = 30.0


class StoryRow(msgspec.Struct, frozen=True):
    """How one story fared over all accounts that carry it.

    Parameters
    ----------
    story, expects
        Which story, and what a watchful system says.
    planted
        Accounts that carry it.
    caught
        Accounts with a loud alert inside the window; where quiet is expected, accounts that stayed quiet.
    late
        Accounts whose first loud alert after the start came after the window.
    missed
        The rest: never alerted since the start; where quiet is expected, accounts that were alarmed.
    median_days_ahead
        Days from the alert to the outcome, over caught accounts whose outcome lies in the book.
    median_days_after_start
        Days from the start of the story to the alert, over caught accounts.
    resolves_expected, resolves_seen
        Caught accounts whose alert is expected to resolve by a date, and those whose alert did.
    """

    story: Story
    expects: Expectation
    planted: int
    caught: int
    late: int
    missed: int
    median_days_ahead: float | None
    median_days_after_start: float | None
    resolves_expected: int
    resolves_seen: int


class StoryReport(msgspec.Struct, frozen=True):
    """What the alerts made of a book.

    Parameters
    ----------
    stories
        One row for each story.
    healthy, healthy_alarmed
        Accounts without a story, and those of them with any loud alert.
    healthy_alarmed_by_noise
        Noise → (alarmed, accounts that have it).
    alerts_firing
        Loud firings over all accounts.
    account_months
        Accounts * days / 30.
    """

    stories: tuple[StoryRow, ...]
    healthy: int
    healthy_alarmed: int
    healthy_alarmed_by_noise: dict[Noise, tuple[int, int]]
    alerts_firing: int
    account_months: float

    @property
    def healthy_alarmed_ratio(self) -> float:
        """Share of the healthy accounts that were ever alarmed, 0 to 1."""
        return self.healthy_alarmed / self.healthy if self.healthy else 0.0

    @property
    def alerts_per_account_month(self) -> float:
        """Loud firings for each account and 30 days."""
        return self.alerts_firing / self.account_months

    @property
    def caught_ratio(self) -> float:
        """Share of the stories that ask for an alert which got one inside the window, 0 to 1."""
        rows = [row for row in self.stories if row.expects is not Expectation.QUIET]
        return sum(row.caught for row in rows) / max(1, sum(row.planted for row in rows))

    def as_builtins(self) -> dict[str, object]:
        """Return the report as JSON-ready values, the shares included."""
        body: dict[str, object] = msgspec.to_builtins(self)
        return body | {
            "caught_ratio": round(self.caught_ratio, 6),
            "healthy_alarmed_ratio": round(self.healthy_alarmed_ratio, 6),
            "alerts_per_account_month": round(self.alerts_per_account_month, 6),
        }


class _Verdict(msgspec.Struct, frozen=True):
    """How one planted story ended: ``caught``, ``late`` or ``missed``, and the alert that decided it."""

    word: str
    alarm: Alarm | None = None
    is_resolved: bool = False


def judge_stories(truth: Truth, alarms: Sequence[Alarm]) -> StoryReport:
    """Return what the alerts made of a book.

    Parameters
    ----------
    truth
        What was planted.
    alarms
        All records of the ``alerts`` topic, in any order.
    """
    loud = loud_by_account(alarms)
    resolved: dict[str, int] = {}  # alert id → first resolve, milliseconds UTC
    for alarm in alarms:
        if alarm.state == "resolved":
            resolved[alarm.alert_id] = min(alarm.at_ms, resolved.get(alarm.alert_id, alarm.at_ms))
    rows = []
    for story in Story:
        planted = [one for one in truth.stories if one.story is story]
        if planted:
            rows.append(_row(planted, [_verdict(one, loud.get(one.account_id, []), resolved) for one in planted]))
    alarmed = [account_id for account_id in truth.healthy if account_id in loud]
    return StoryReport(
        stories=tuple(rows),
        healthy=len(truth.healthy),
        healthy_alarmed=len(alarmed),
        healthy_alarmed_by_noise=_by_noise(truth, alarmed),
        alerts_firing=sum(len(found) for found in loud.values()),
        account_months=truth.accounts * truth.days / DAYS_PER_MONTH,
    )


def _verdict(story: PlantedStory, loud: list[Alarm], resolved: dict[str, int]) -> _Verdict:
    since_start = [alarm for alarm in loud if alarm.at_ms >= story.start_ms]
    if story.alert_by_ms is None:  # quiet is expected
        return _Verdict("missed", since_start[0]) if since_start else _Verdict("caught")
    if not since_start:
        return _Verdict("missed")
    first = since_start[0]
    if first.at_ms > story.alert_by_ms:
        return _Verdict("late", first)
    if story.resolve_by_ms is None:
        return _Verdict("caught", first)
    resolved_at_ms = resolved.get(first.alert_id)
    return _Verdict("caught", first, resolved_at_ms is not None and resolved_at_ms <= story.resolve_by_ms)


def _row(planted: list[PlantedStory], verdicts: list[_Verdict]) -> StoryRow:
    words = Counter(verdict.word for verdict in verdicts)
    caught = [
        (story, verdict.alarm)
        for story, verdict in zip(planted, verdicts, strict=True)
        if verdict.word == "caught" and verdict.alarm is not None
    ]
    return StoryRow(
        story=planted[0].story,
        expects=planted[0].expects,
        planted=len(planted),
        caught=words["caught"],
        late=words["late"],
        missed=words["missed"],
        median_days_ahead=median_days(
            story.outcome_at_ms - alarm.at_ms for story, alarm in caught if story.outcome_at_ms is not None
        ),
        median_days_after_start=median_days(alarm.at_ms - story.start_ms for story, alarm in caught),
        resolves_expected=sum(story.resolve_by_ms is not None for story, _ in caught),
        resolves_seen=sum(verdict.is_resolved for verdict in verdicts),
    )


def _by_noise(truth: Truth, alarmed: list[str]) -> dict[Noise, tuple[int, int]]:
    planted = Counter(truth.healthy.values())
    loud = Counter(truth.healthy[account_id] for account_id in alarmed)
    return {noise: (loud[noise], planted[noise]) for noise in Noise if planted[noise]}


def median_days(spans_ms: Iterable[int]) -> float | None:
    """Return the median of some spans in days, or ``None`` if there are none.

    Parameters
    ----------
    spans_ms
        Milliseconds.
    """
    spans = list(spans_ms)
    return round(median(spans) / DAY_MS, 1) if spans else None
