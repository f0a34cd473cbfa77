"""Judges alerts against what really became of the accounts, for histories in which nothing was planted.

    leaves:  ----x-------------x---|churned            alerted before leaving: the first x counts
    stays:   -------------x--------------> / |renewed   alarmed: any x before its outcome, or at all

An alert after the outcome says nothing: an account that has finished is silent for a good reason.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from streams.demo.alarms import Alarm, loud_by_account
from streams.demo.judge import median_days


class Outcome(NamedTuple):
    """What became of an account.

    Parameters
    ----------
    outcome
        ``renewed``, ``churned``, ``contracted`` or ``expanded``.
    at_ms
        When, milliseconds UTC.
    """

    outcome: str
    at_ms: int


class OutcomeReport(msgspec.Struct, frozen=True):
    """How alerts and outcomes meet.

    Parameters
    ----------
    churned, churned_alerted
        Accounts that left, and those of them with a loud alert before.
    median_days_ahead
        Days from the first loud alert to the leaving, over alerted accounts that left.
    stayed, stayed_alarmed
        The other accounts, and those of them with a loud alert (before their outcome, if they have one).
    """

    churned: int
    churned_alerted: int
    median_days_ahead: float | None
    stayed: int
    stayed_alarmed: int

    @property
    def alerted_ratio(self) -> float | None:
        """Share of the leaving accounts that were alerted before, 0 to 1; ``None`` if nobody left."""
        return self.churned_alerted / self.churned if self.churned else None

    @property
    def alarmed_ratio(self) -> float | None:
        """Share of the staying accounts that were alarmed, 0 to 1; ``None`` if nobody stayed."""
        return self.stayed_alarmed / self.stayed if self.stayed else None

    @property
    def precision(self) -> float | None:
        """Share of the alerted accounts that left, 0 to 1; ``None`` if nobody was alerted."""
        alerted = self.churned_alerted + self.stayed_alarmed
        return self.churned_alerted / alerted if alerted else None

    def as_builtins(self) -> dict[str, object]:
        """Return the report as JSON-ready values, the shares included."""
        body: dict[str, object] = msgspec.to_builtins(self)
        return body | {
            "alerted_ratio": self.alerted_ratio,
            "alarmed_ratio": self.alarmed_ratio,
            "precision": self.precision,
        }


def judge_outcomes(accounts: Sequence[str], outcomes: Mapping[str, Outcome], alarms: Sequence[Alarm]) -> OutcomeReport:
    """Return how alerts and outcomes meet.

    Parameters
    ----------
    accounts
        All accounts of the history.
    outcomes
        Account id → what became of it; absent where nothing is known, which counts as staying.
    alarms
        All records of the ``alerts`` topic, in any order.
    """
    loud = loud_by_account(alarms)
    churned, alarmed_stayers, spans = 0, 0, []
    for account_id in accounts:
        outcome = outcomes.get(account_id)
        before = [alarm for alarm in loud.get(account_id, []) if outcome is None or alarm.at_ms < outcome.at_ms]
        if outcome is not None and outcome.outcome == "churned":
            churned += 1
            if before:
                spans.append(outcome.at_ms - before[0].at_ms)
        else:
            alarmed_stayers += bool(before)
    return OutcomeReport(
        churned=churned,
        churned_alerted=len(spans),
        median_days_ahead=median_days(spans),
        stayed=len(accounts) - churned,
        stayed_alarmed=alarmed_stayers,
    )
