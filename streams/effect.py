"""What came of playbooks: how many were begun and answered, how soon, and whether accounts recovered more often than held-out ones.

An account *recovers* when the alert ended within the playbook's `recover_within` and the account was in green by then. Its
first alert of a playbook speaks for an account; later ones say little new. Pure, but for `read_effect`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt
from statistics import median
from typing import Any, Final

import msgspec
import orjson

from scoring.model import GREEN, Model
from streams.reading import read_all
from streams.settings import Settings

ANSWERS: Final = ("acknowledge", "step_done", "outreach", "resolve")
DEFAULT_WITHIN_MS: Final = 30 * 86_400_000
"""For playbooks that the model no longer has."""
Z: Final = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """0 to 1; None of nobody."""
        return self.count / self.of if self.of else None

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval; the whole range of nobody."""
        if not self.of:
            return 0.0, 1.0
        p, n = self.count / self.of, self.of
        middle, spread = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return (middle - spread) / (1 + Z * Z / n), (middle + spread) / (1 + Z * Z / n)


@dataclass(frozen=True)
class PlaybookEffect:
    """What came of one playbook.

    Attributes
    ----------
    opened, overdue, suppressed
        Alerts that asked for it; those whose date passed unanswered; those that began while outreach was suppressed.
    answered
        Of those opened, what somebody acknowledged, worked on or resolved, or got in touch about.
    hours_to_answer
        Median; None where nothing was answered.
    recovered, held_out_recovered
        Accounts, of those whose time to recover is over or that did.
    """

    playbook: str
    opened: int
    overdue: int
    suppressed: int
    answered: Share
    hours_to_answer: float | None
    recovered: Share
    held_out_recovered: Share

    def difference(self) -> tuple[float, float, float] | None:
        """Return how much more often than held-out accounts the others recovered, with a 95 % interval.

        References
        ----------
        Newcombe (1998), "Interval estimation for the difference between independent proportions", method 10.
        """
        one, other = self.recovered.value, self.held_out_recovered.value
        if one is None or other is None:
            return None
        (low, high), (other_low, other_high) = self.recovered.interval(), self.held_out_recovered.interval()
        below = sqrt((one - low) ** 2 + (other_high - other) ** 2)
        above = sqrt((high - one) ** 2 + (other - other_low) ** 2)
        return one - other, one - other - below, one - other + above


class Answer(msgspec.Struct):
    """What is read of an event of `commands`."""

    account_id: str
    command: str
    occurred_at: str
    alert_id: str | None = None


@dataclass
class _Case:
    """One alert with a playbook."""

    account: str
    playbook: str
    fired_ms: int
    is_held_out: bool
    is_suppressed: bool
    is_overdue: bool = False
    ended_ms: int | None = None
    is_closed: bool = False
    answered_ms: int | None = None


@dataclass
class _Seen:
    """What was read: cases by alert, bands of accounts by time, and the latest instant."""

    cases: dict[str, _Case] = field(default_factory=dict)
    bands: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    now_ms: int = 0


def effects(
    alerts: Iterable[Mapping[str, Any]],
    commands: Iterable["Answer"],
    scores: Iterable[Mapping[str, Any]],
    model: Model,
    history: Iterable[Mapping[str, Any]] = (),
) -> list[PlaybookEffect]:
    """Return what came of every playbook that an alert asked for, by name.

    Parameters
    ----------
    alerts
        Records of `alerts`, each account's in their order.
    commands
        Events of `commands`.
    scores
        Latest snapshots.
    model
        Says within which time accounts should recover.
    history
        Records of `score-history`, where that is kept: an account's band at the ends of days that no alert tells of.
    """
    seen = _Seen()
    for alert in alerts:
        _take_alert(seen, alert)
    for close in history:
        if "band" in close:
            _take_band(seen, close["account_id"], _ms(close["at"]), close["band"])
    for score in scores:
        _take_band(seen, score["account_id"], _ms(score["at"]), score["band"])
    for command in commands:
        _take_answer(seen, command)
    within = {playbook.name: playbook.recover_within_ms for playbook in model.playbooks}
    names = sorted({case.playbook for case in seen.cases.values()})
    return [_effect(name, seen, within.get(name, DEFAULT_WITHIN_MS)) for name in names]


def _take_alert(seen: _Seen, alert: Mapping[str, Any]) -> None:
    at_ms, step = _ms(alert["occurred_at"]), alert.get("next_step")
    _take_band(seen, alert["account_id"], at_ms, alert["to_band"])
    case = seen.cases.get(alert["alert_id"])
    if case is None:
        if step and alert["state"] == "firing":
            flags = (bool(alert.get("holdout")), bool(step.get("suppressed")))
            seen.cases[alert["alert_id"]] = _Case(alert["account_id"], step["playbook"], at_ms, *flags)
        return
    case.is_overdue = case.is_overdue or bool(alert.get("overdue"))
    if alert["state"] == "resolved":
        case.ended_ms, case.is_closed = at_ms, alert.get("resolution") == "ACCOUNT_CLOSED"


def _take_band(seen: _Seen, account: str, at_ms: int, band: str) -> None:
    seen.bands.setdefault(account, []).append((at_ms, band))
    seen.now_ms = max(seen.now_ms, at_ms)


def _take_answer(seen: _Seen, answer: Answer) -> None:
    at_ms, identity = _ms(answer.occurred_at), answer.alert_id
    if answer.command not in ANSWERS or (identity is None and answer.command != "outreach"):
        return
    # Getting in touch with an account answers all of its open alerts, as it does in the state.
    meant = [seen.cases[identity]] if identity in seen.cases else []
    if identity is None:
        meant = [case for case in seen.cases.values() if case.account == answer.account_id]
    for case in meant:
        is_open = case.fired_ms <= at_ms and (case.ended_ms is None or at_ms <= case.ended_ms)
        if is_open and (case.answered_ms is None or at_ms < case.answered_ms):
            case.answered_ms = at_ms


def _effect(name: str, seen: _Seen, within_ms: int) -> PlaybookEffect:
    cases = [case for case in seen.cases.values() if case.playbook == name]
    opened = [case for case in cases if not case.is_held_out]
    hours = [(case.answered_ms - case.fired_ms) / 3_600_000 for case in opened if case.answered_ms is not None]
    first: dict[str, _Case] = {}
    for case in sorted(cases, key=lambda case: case.fired_ms):
        first.setdefault(case.account, case)
    return PlaybookEffect(
        playbook=name,
        opened=len(opened),
        overdue=sum(case.is_overdue for case in opened),
        suppressed=sum(case.is_suppressed for case in opened),
        answered=Share(len(hours), len(opened)),
        hours_to_answer=median(hours) if hours else None,
        recovered=_recovered(seen, [case for case in first.values() if not case.is_held_out], within_ms),
        held_out_recovered=_recovered(seen, [case for case in first.values() if case.is_held_out], within_ms),
    )


def _recovered(seen: _Seen, cases: Iterable[_Case], within_ms: int) -> Share:
    found = [_has_recovered(seen, case, case.fired_ms + within_ms) for case in cases]
    known = [each for each in found if each is not None]
    return Share(sum(known), len(known))


def _has_recovered(seen: _Seen, case: _Case, until_ms: int) -> bool | None:
    """Return whether an account recovered in time, None while that is open."""
    if case.is_closed and case.ended_ms is not None and case.ended_ms <= until_ms:
        return False
    if case.ended_ms is not None and case.ended_ms <= until_ms:
        bands = sorted(pair for pair in seen.bands[case.account] if pair[0] <= until_ms)
        if bands and bands[-1][1] == GREEN:
            return True
    return False if seen.now_ms >= until_ms else None


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def read_effect(settings: Settings, model: Model) -> list[PlaybookEffect]:
    """Read the topics and return what came of every playbook."""
    alerts = [orjson.loads(record.value) async for record in read_all(settings, settings.topic("alerts"))]
    commands = []
    async for record in read_all(settings, settings.topic("commands")):
        # What is no command is a dead letter of the workers', and none of ours.
        with suppress(msgspec.MsgspecError):
            commands.append(msgspec.json.decode(record.value or b"", type=Answer))
    scores: dict[bytes, dict[str, Any]] = {}
    async for record in read_all(settings, settings.topic("scores")):
        if record.value is None:
            scores.pop(record.key, None)
        else:
            scores[record.key] = orjson.loads(record.value)
    history = [orjson.loads(record.value) async for record in read_all(settings, settings.topic("score-history"))]
    return effects(alerts, commands, scores.values(), model, history)
