"""Alerts as the judges see them: who, when, which state; read from the JSON bodies of the ``alerts`` topic."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from streams.alert_contract import LOUD


class Alarm(NamedTuple):
    """One record of the ``alerts`` topic.

    Parameters
    ----------
    account_id, alert_id, rule, state, severity
        As in the record.
    at_ms
        ``occurred_at``, milliseconds UTC.
    is_again
        Whether it was told before: repeated, or overdue.
    """

    account_id: str
    alert_id: str
    rule: str
    state: str
    severity: str
    at_ms: int
    is_again: bool = False

    @property
    def is_loud(self) -> bool:
        """Whether this is a firing alert that asks somebody to act."""
        return self.state == "firing" and self.severity in LOUD and not self.is_again


class _Body(msgspec.Struct):
    account_id: str
    alert_id: str
    rule: str
    state: str
    severity: str
    occurred_at: datetime
    repeated: bool = False
    overdue: bool = False


_DECODER = msgspec.json.Decoder(_Body)


def read_alarm(body: bytes) -> Alarm:
    """Return the alarm in a record of the ``alerts`` topic.

    Parameters
    ----------
    body
        The record's JSON value.

    Raises
    ------
    msgspec.ValidationError
        If a field of the contract is missing or of another type.
    """
    found = _DECODER.decode(body)
    at_ms = round(found.occurred_at.timestamp() * 1000)
    is_again = found.repeated or found.overdue
    return Alarm(found.account_id, found.alert_id, found.rule, found.state, found.severity, at_ms, is_again)


def loud_by_account(alarms: Iterable[Alarm]) -> dict[str, list[Alarm]]:
    """Return each account's loud firings in time order.

    Parameters
    ----------
    alarms
        In any order.
    """
    result: dict[str, list[Alarm]] = {}
    for alarm in sorted((one for one in alarms if one.is_loud), key=lambda one: (one.at_ms, one.alert_id)):
        result.setdefault(alarm.account_id, []).append(alarm)
    return result
