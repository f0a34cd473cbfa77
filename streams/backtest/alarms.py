"""What the alerts of a backtest were worth: who was warned in time, who for nothing, and how many calls it took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from state.history import Fired
from state.layout import DAY_MS, NEVER
from streams.alert_contract import LOUD
from streams.backtest.collect import Account, Collected
from streams.backtest.outcomes import Answers
from streams.backtest.silence import Moment

WARNING_DAYS = 90
"""An alert counts as warning of an outcome that follows within so many days."""
WEEK_MS = 7 * DAY_MS
UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Load:
    """Loud alerts per owner and week: how many weeks of owners there were, and how many alerts these brought."""

    mean: float
    p95: float
    most: int


def alert_figures(collected: Collected, answers: Answers, kind: str) -> dict[str, object]:
    """Return what the loud alerts (warning, critical) were worth for an outcome of that kind.

    `captured_ratio`: share of the accounts with the outcome that had a loud alert in the 90 days before it.
    `false_alarm_ratio`: share of the accounts without the outcome that ever had one. What is told of an account after its
    first stated outcome counts for neither, as its rows end there.
    """
    outcomes = [moment for moment in answers.moments if moment.kind == kind]
    closed_at = answers.closed_at
    times = _times_by_account([one for one in collected.alerts if one.at_ms < closed_at.get(one.account, NEVER)])
    warned = {moment.account for moment in outcomes if _is_warned(times.get(moment.account), moment)}
    lost = {moment.account for moment in outcomes}
    others = [account for account in collected.accounts if account.name not in lost]
    alarmed = [account for account in others if account.name in times]
    load = load_of(collected)
    return {
        "loud": sum(len(found) for found in times.values()),
        "captured_ratio": len(warned) / len(lost) if lost else None,
        "false_alarm_ratio": len(alarmed) / len(others) if others else None,
        "by_owner_and_week": {"mean": load.mean, "p95": load.p95, "most": load.most},
        "by_rule": _by_rule(collected, outcomes),
        "cost": _cost(collected.accounts, lost - warned, alarmed),
    }


def load_of(collected: Collected) -> Load:
    """Return how many loud alerts an owner got in a week, quiet weeks included; accounts without owner share one."""
    owner_of = {account.name: account.owner or UNASSIGNED for account in collected.accounts}
    weeks = max(-(-(collected.last_ms - collected.start_ms) // WEEK_MS), 1)
    counts = Counter(
        (owner_of[alert.account], (alert.at_ms - collected.start_ms) // WEEK_MS)
        for alert in collected.alerts
        if alert.severity in LOUD
    )
    cells = max(len(set(owner_of.values())) * weeks, len(counts), 1)
    found = np.zeros(cells)
    found[: len(counts)] = list(counts.values())
    return Load(float(found.mean()), float(np.percentile(found, 95)), int(found.max()))


def _times_by_account(alerts: Sequence[Fired]) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {}
    for alert in alerts:
        if alert.severity in LOUD:
            times.setdefault(alert.account, []).append(alert.at_ms)
    return times


def _is_warned(times: Sequence[int] | None, moment: Moment) -> bool:
    return any(moment.at_ms - WARNING_DAYS * DAY_MS <= at_ms < moment.at_ms for at_ms in times or ())


def _by_rule(collected: Collected, outcomes: Sequence[Moment]) -> dict[str, dict[str, object]]:
    """Return rule → how often it fired, and which share of that the outcome followed within 90 days."""
    at_of: dict[str, list[int]] = {}
    for moment in outcomes:
        at_of.setdefault(moment.account, []).append(moment.at_ms)
    fired: Counter[str] = Counter()
    followed: Counter[str] = Counter()
    severity: dict[str, str] = {}
    for alert in collected.alerts:
        severity[alert.rule] = alert.severity
        if alert.at_ms + WARNING_DAYS * DAY_MS > collected.last_ms:
            continue  # what followed lies beyond the history's end
        fired[alert.rule] += 1
        ahead = (at_ms - alert.at_ms for at_ms in at_of.get(alert.account, ()))
        followed[alert.rule] += any(0 < each <= WARNING_DAYS * DAY_MS for each in ahead)
    return {
        rule: {"severity": severity[rule], "fired": number, "followed_ratio": followed[rule] / number}
        for rule, number in fired.most_common()
    }


def _cost(accounts: Sequence[Account], missed: set[str], alarmed: Sequence[Account]) -> dict[str, float | None]:
    """Return what was lost without a warning, in yearly revenue, and what working false alarms once costs, where stated."""
    yearly = [account.yearly for account in accounts if account.name in missed and account.yearly is not None]
    wasted = [account.engagement_cost for account in alarmed if account.engagement_cost is not None]
    return {
        "missed_yearly_revenue": round(sum(yearly), 2) if yearly else None,
        "wasted_engagement": round(sum(wasted), 2) if wasted else None,
    }
