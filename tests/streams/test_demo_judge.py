"""The judges, on hand-made alerts: what counts as caught, late, missed, resolved, alarmed."""

from itertools import count

import orjson
import pytest
from rich.console import Console

from streams.demo.alarms import Alarm, read_alarm
from streams.demo.judge import StoryReport, judge_stories
from streams.demo.outcomes import Outcome, judge_outcomes
from streams.demo.tables import outcome_table, story_table
from streams.demo.truth import DAY_MS, Expectation, Noise, PlantedStory, Story, Truth

NUMBERS = count()


def alarm(
    account_id: str, day: float, *, state: str = "firing", severity: str = "warning", alert_id: str | None = None
) -> Alarm:
    """Return an alarm on a day of the book."""
    return Alarm(account_id, alert_id or f"alert-{next(NUMBERS)}", "a-rule", state, severity, round(day * DAY_MS))


def ramp(account_id: str, outcome_day: int = 100) -> PlantedStory:
    """Return a ramp-down from day 30 that ends the contract."""
    return PlantedStory(
        account_id,
        Story.RAMP_DOWN,
        start_ms=30 * DAY_MS,
        end_ms=90 * DAY_MS,
        direction="down",
        expects=Expectation.ALERT,
        alert_by_ms=(outcome_day - 14) * DAY_MS,
        outcome_at_ms=outcome_day * DAY_MS,
    )


def recovered(account_id: str) -> PlantedStory:
    """Return a fall from day 30 with the resolve expected by day 90."""
    return PlantedStory(
        account_id,
        Story.RECOVERED,
        start_ms=30 * DAY_MS,
        end_ms=70 * DAY_MS,
        direction="down, then up",
        expects=Expectation.ALERT_THEN_RESOLVE,
        alert_by_ms=60 * DAY_MS,
        resolve_by_ms=90 * DAY_MS,
    )


def growth(account_id: str) -> PlantedStory:
    """Return a growth from day 30."""
    return PlantedStory(
        account_id,
        Story.GROWTH,
        start_ms=30 * DAY_MS,
        end_ms=90 * DAY_MS,
        direction="up",
        expects=Expectation.QUIET,
    )


def judged(stories: list[PlantedStory], alarms: list[Alarm], healthy: dict[str, Noise] | None = None) -> StoryReport:
    """Judge alarms against stories in a book of 10 accounts and 120 days from the epoch."""
    truth = Truth(1, 10, 120, 0, tuple(stories), healthy or {}, {})
    return judge_stories(truth, alarms)


def test_an_alert_inside_the_window_catches_the_story() -> None:
    """Caught on day 60: 30 days after the start and 40 days ahead of the outcome."""
    row = judged([ramp("a")], [alarm("a", 60), alarm("a", 80)]).stories[0]
    assert (row.planted, row.caught, row.late, row.missed) == (1, 1, 0, 0)
    assert row.median_days_after_start == 30.0
    assert row.median_days_ahead == 40.0


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (alarm("a", 86), "caught"),
        (alarm("a", 86.01), "late"),
        (alarm("a", 29), "missed"),
        (alarm("a", 60, severity="info"), "missed"),
        (alarm("a", 60, state="acknowledged"), "missed"),
        (alarm("a", 60, state="resolved"), "missed"),
        (alarm("b", 60), "missed"),
        (alarm("a", 30, severity="critical"), "caught"),
    ],
)
def test_only_a_loud_firing_inside_the_window_counts(found: Alarm, verdict: str) -> None:
    """Alerts before the start, after the window, of severity info or in another state catch nothing."""
    row = judged([ramp("a")], [found]).stories[0]
    assert {"caught": row.caught, "late": row.late, "missed": row.missed}[verdict] == 1
    assert row.caught + row.late + row.missed == 1


def test_medians_are_over_caught_accounts_only() -> None:
    """Late and missed accounts change the counts, never the medians."""
    stories = [ramp("a"), ramp("b"), ramp("c"), ramp("d")]
    row = judged(stories, [alarm("a", 50), alarm("b", 70), alarm("c", 95)]).stories[0]
    assert (row.caught, row.late, row.missed) == (2, 1, 1)
    assert row.median_days_ahead == 40.0


def test_a_recovery_counts_when_the_same_alert_resolves_in_time() -> None:
    """The resolve must be the caught alert's own and come before its date."""
    stories = [recovered("a"), recovered("b"), recovered("c")]
    alarms = [
        alarm("a", 40, alert_id="one"),
        alarm("a", 75, state="resolved", severity="warning", alert_id="one"),
        alarm("b", 40, alert_id="two"),
        alarm("b", 75, state="resolved", alert_id="another"),
        alarm("c", 40, alert_id="three"),
        alarm("c", 95, state="resolved", alert_id="three"),
    ]
    row = judged(stories, alarms).stories[0]
    assert (row.caught, row.resolves_expected, row.resolves_seen) == (3, 3, 1)


def test_where_quiet_is_expected_an_alarm_is_a_miss() -> None:
    """A growing account that is alarmed after its start is missed; one that stays quiet is caught."""
    row = judged([growth("a"), growth("b")], [alarm("a", 50), alarm("b", 50, severity="info")]).stories[0]
    assert (row.caught, row.missed, row.median_days_ahead) == (1, 1, None)


def test_healthy_accounts_alarmed_are_counted_once_and_by_noise() -> None:
    """Two alerts of one healthy account are one alarmed account; the rate counts alerts."""
    healthy = {"h1": Noise.HOLIDAY, "h2": Noise.HOLIDAY, "h3": Noise.NONE, "h4": Noise.NONE}
    report = judged([], [alarm("h1", 5), alarm("h1", 50), alarm("h3", 9, severity="info")], healthy)
    assert (report.healthy, report.healthy_alarmed, report.healthy_alarmed_ratio) == (4, 1, 0.25)
    assert report.healthy_alarmed_by_noise == {Noise.NONE: (0, 2), Noise.HOLIDAY: (1, 2)}
    assert report.alerts_per_account_month == pytest.approx(2 / 40)


def test_the_caught_share_leaves_quiet_stories_out() -> None:
    """One of two troubles caught is one half, however many accounts grow in peace."""
    assert judged([ramp("a"), ramp("b"), growth("c")], [alarm("a", 60)]).caught_ratio == 0.5


def test_no_alerts_at_all_is_a_report_too() -> None:
    """Without alerts every trouble is missed, every quiet account stays quiet and medians are absent."""
    report = judged([ramp("a"), growth("b")], [], {"h": Noise.NONE})
    assert [(row.caught, row.missed, row.median_days_ahead) for row in report.stories] == [(1, 0, None), (0, 1, None)]
    assert report.alerts_per_account_month == 0.0


def test_the_order_of_the_alerts_does_not_matter() -> None:
    """The records of several partitions may be read in any order."""
    alarms = [
        alarm("a", 60),
        alarm("a", 50, alert_id="x"),
        alarm("b", 70),
        alarm("a", 65, state="resolved", alert_id="x"),
    ]
    stories = [ramp("a"), recovered("b")]
    assert judged(stories, alarms) == judged(stories, alarms[::-1])


def test_the_report_as_json_carries_shares_and_rows() -> None:
    """The JSON form has the rows and the shares, and survives encoding."""
    body = orjson.loads(orjson.dumps(judged([ramp("a")], [alarm("a", 60)], {"h": Noise.NONE}).as_builtins()))
    assert body["stories"][0]["story"] == "slow ramp-down"
    assert (body["caught_ratio"], body["healthy_alarmed_ratio"]) == (1.0, 0.0)


def test_an_alert_record_is_read_from_its_json() -> None:
    """The fields of the alert contract are read, others ignored, and the time becomes milliseconds."""
    body = {
        "alert_id": "f00",
        "sequence": 3,
        "account_id": "acme",
        "rule": "falling",
        "state": "firing",
        "severity": "critical",
        "occurred_at": "2026-01-02T03:04:05.678Z",
        "reasons": [],
    }
    expected = Alarm("acme", "f00", "falling", "firing", "critical", 1_767_323_045_678)
    assert read_alarm(orjson.dumps(body)) == expected


def test_leaving_accounts_count_when_alerted_before() -> None:
    """An alert before the leaving counts, one at or after it does not; the median is over those alerted."""
    outcomes = {name: Outcome("churned", 100 * DAY_MS) for name in "abc"}
    report = judge_outcomes(list("abc"), outcomes, [alarm("a", 70), alarm("a", 90), alarm("b", 100), alarm("c", 80)])
    assert (report.churned, report.churned_alerted, report.median_days_ahead) == (3, 2, 25.0)
    assert (report.stayed, report.alarmed_ratio, report.precision) == (0, None, 1.0)


def test_staying_accounts_are_alarmed_only_before_their_outcome() -> None:
    """A finished account falls silent for a good reason: alerts after its outcome are no false alarms."""
    outcomes = {
        "a": Outcome("renewed", 50 * DAY_MS),
        "b": Outcome("renewed", 50 * DAY_MS),
        "c": Outcome("churned", DAY_MS),
    }
    report = judge_outcomes(list("abcd"), outcomes, [alarm("a", 60), alarm("b", 40), alarm("d", 90)])
    assert (report.stayed, report.stayed_alarmed, report.precision) == (3, 2, 0.0)
    assert report.as_builtins()["alarmed_ratio"] == pytest.approx(2 / 3)


def test_tables_show_every_story_and_the_healthy() -> None:
    """The printed tables name each story, the healthy accounts and the shares."""
    console = Console(width=160, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(story_table(judged([ramp("a"), recovered("b")], [alarm("a", 60)], {"h": Noise.SMALL})))
    console.print(outcome_table(judge_outcomes(["a"], {}, [])))
    text = console.export_text()
    for expected in ("slow ramp-down", "fall and recovery", "healthy accounts", "very few events 0/1", "stayed"):
        assert expected in text
