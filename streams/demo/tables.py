"""The judges' reports as tables for people. Knows nothing about how they were judged."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from streams.demo.judge import StoryReport, StoryRow
from streams.demo.outcomes import OutcomeReport
from streams.demo.truth import Expectation


def story_table(report: StoryReport) -> Table:
    """Return the story table: one line for each story, then the healthy accounts.

    Parameters
    ----------
    report
        From ``judge_stories``.
    """
    table = Table(
        title="Planted stories and what the alerts made of them",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        caption_justify="left",
    )
    table.add_column("story", no_wrap=True)
    for heading in ("planted", "caught", "late", "missed", "days\nahead", "days\nafter", "resolved"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.stories:
        table.add_row(*_cells(row))
    table.add_section()
    kept_quiet = report.healthy - report.healthy_alarmed
    table.add_row("healthy accounts", str(report.healthy), str(kept_quiet), "", str(report.healthy_alarmed))
    by_noise = ", ".join(
        f"{noise} {alarmed}/{planted}" for noise, (alarmed, planted) in report.healthy_alarmed_by_noise.items()
    )
    table.caption = (
        f"caught: warning or critical alert in the window; {report.caught_ratio:.0%} of the troubles\n"
        "(healthy growth and healthy accounts: caught = stayed quiet, missed = alarmed)\n"
        "days ahead: median from alert to outcome; days after: from start to alert\n"
        f"healthy accounts ever alarmed: {report.healthy_alarmed_ratio:.1%}\n({by_noise})\n"
        f"{report.alerts_per_account_month:.3f} alerts for each account and month"
    )
    return table


def _cells(row: StoryRow) -> list[str]:
    is_quiet = row.expects is Expectation.QUIET
    return [
        str(row.story),
        str(row.planted),
        str(row.caught),
        "" if is_quiet else str(row.late),
        str(row.missed),
        _days(row.median_days_ahead),
        _days(row.median_days_after_start),
        f"{row.resolves_seen}/{row.resolves_expected}" if row.expects is Expectation.ALERT_THEN_RESOLVE else "",
    ]


def outcome_table(report: OutcomeReport) -> Table:
    """Return the outcome table of a real history.

    Parameters
    ----------
    report
        From ``judge_outcomes``.
    """
    table = Table(
        title="Alerts against what became of the accounts",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        caption_justify="left",
    )
    table.add_column("accounts that")
    for heading in ("accounts", "alerted", "share", "median days ahead"):
        table.add_column(heading, justify="right")
    ahead = _days(report.median_days_ahead)
    table.add_row("left", str(report.churned), str(report.churned_alerted), _share(report.alerted_ratio), ahead)
    table.add_row("stayed", str(report.stayed), str(report.stayed_alarmed), _share(report.alarmed_ratio), "")
    table.caption = f"of the alerted accounts, {_share(report.precision)} left"
    return table


def _days(days: float | None) -> str:
    return "-" if days is None else f"{days:.1f}"


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"
