"""What a record of `alerts` holds, as types: the contract for whoever reads it, and what tests hold real alerts against.

Fields may be added, so readers ignore what they do not know; none is renamed or given another meaning.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

Severity = Literal["info", "warning", "critical"]
LOUD: Final = frozenset({"warning", "critical"})
"""Severities that ask somebody to act; `info` only tells."""


class Scores(msgspec.Struct):
    """The scores as they stood: 0 to 100, probabilities and coverage 0 to 1; null where there is too little data."""

    health: float | None
    risk: float | None
    expansion: float | None
    coverage: float | None


class Crossing(msgspec.Struct):
    """When a falling health meets the next band below, as a range of RFC 3339 times."""

    band: str
    at: str
    earliest: str
    latest: str


class Trajectory(msgspec.Struct):
    """Health points per day, and per day per day; null where it does not fall or is not known."""

    slope_per_day: float | None
    acceleration: float | None
    expected_crossing: Crossing | None


class Reason(msgspec.Struct):
    """A stable code, a sentence, and signed points of health."""

    code: str
    text: str
    contribution: float


class Done(msgspec.Struct):
    """A step that somebody did."""

    step: str
    by: str | None
    at: str


class NextStep(msgspec.Struct):
    """What a person should do: whose it is, and until when; `done` tells what was done of it.

    `suppressed` says why nobody should get in touch through `channels` now; `overdue` that its date has passed, and
    `passed_from` whose it was before.
    """

    playbook: str
    goal: str
    steps: list[str]
    owner: str
    due_at: str
    channels: list[str] | UnsetType = UNSET
    suppressed: list[str] | UnsetType = UNSET
    overdue: bool | UnsetType = UNSET
    passed_from: str | UnsetType = UNSET
    done: list[Done] | UnsetType = UNSET


class AlertModel(msgspec.Struct):
    """The model that decided."""

    name: str
    version: int
    fingerprint: str


class DecidedAt(msgspec.Struct):
    """What was known: the account's last offset of each input topic, and the flush of the partition."""

    positions: dict[str, int]
    journal_sequence: int


class About(msgspec.Struct):
    """Whose account it is, as far as anybody said; `owner` is the model's where nobody did."""

    name: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    segment: str | UnsetType = UNSET
    plan: str | UnsetType = UNSET


class Alert(msgspec.Struct):
    """One state that one alert came to: an alert is a rule of an account in one episode.

    `sequence` rises by one with each record of the account; together with `alert_id` it is the record's CloudEvents id.
    `escalated_from`, `flapping`, `repeated`, `overdue`, `capped` and `holdout` are there only where they apply,
    `resolution` only at the end.
    """

    alert_id: str
    dedup_key: str
    account_id: str
    rule: str
    code: str
    title: str
    state: Literal["firing", "acknowledged", "snoozed", "resolved"]
    severity: Severity
    occurred_at: str
    sequence: int
    episode: int
    from_band: str
    to_band: str
    scores: Scores
    trajectory: Trajectory
    reasons: list[Reason]
    why_it_moved: list[Reason]
    next_step: NextStep | None
    decided_at: DecidedAt
    model: AlertModel
    account: About | UnsetType = UNSET
    escalated_from: Severity | UnsetType = UNSET
    flapping: bool | UnsetType = UNSET
    repeated: bool | UnsetType = UNSET
    overdue: bool | UnsetType = UNSET
    capped: bool | UnsetType = UNSET
    holdout: bool | UnsetType = UNSET
    resolution: (
        Literal["CONDITION_ENDED", "ACCOUNT_CLOSED", "BY_COMMAND", "MODEL_CHANGED", "SEGMENT_CHANGED"] | UnsetType
    ) = UNSET


AGAIN = ("repeated", "escalated_from", "overdue")
"""Members that tell an alert which fires once more from one that begins."""


def begins(alert: Mapping[str, object]) -> bool:
    """Return whether a record tells of an alert for the first time, so that counting such records counts alerts.

    Examples
    --------
    >>> [begins(a) for a in ({"state": "firing"}, {"state": "firing", "overdue": True}, {"state": "resolved"})]
    [True, False, False]
    """
    return alert["state"] == "firing" and not any(member in alert for member in AGAIN)


HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "alert_id and sequence with a dash between: the same wherever the record is delivered.",
    "ce_source": "/bellwether/<application id>/<partition>",
    "ce_type": "io.bellwether.alert.<state>",
    "ce_time": "As occurred_at.",
    "ce_subject": "The account id.",
    "content-type": "application/json",
}
"""Header (CloudEvents 1.0.2, Kafka binding, binary mode) → what stands in it."""
