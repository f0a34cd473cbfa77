"""What came of playbooks: how many were begun and answered, how soon, and whether accounts recovered more often than held-out ones.

An account *recovers* when the alert ended within the playbook's `recover_within` and the account was in green by then. Its
first alert of a playbook speaks for an account; later ones say little new. Pure, but for `read_effect`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
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
    recovered_answered, red_to_green
        The same of those whose alert was answered before it ended, and of those that it found in the worst band.
    """

    playbook: str
    opened: int
    overdue: int
    suppressed: int
    answered: Share
    hours_to_answer: float | None
    recovered: Share
    held_out_recovered: Share
    recovered_answered: Share = Share(0, 0)
    red_to_green: Share = Share(0, 0)

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
    band: str
    is_overdue: bool = False
    ended_ms: int | None = None
    is_closed: bool = False
    answered_ms: int | None = None


class Cases:
    """Alerts with a playbook, and how their accounts went on: takes records as they come, and tells what came of playbooks.

    Bands are kept of accounts that had such an alert before, so alerts should be read first.
    """

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self._bands: dict[str, list[tuple[int, str]]] = {}
        self._now_ms = 0

    def take_alert(self, alert: Mapping[str, Any]) -> None:
        """Take a record of `alerts`; each account's come in their order."""
        at_ms, step = _ms(alert["occurred_at"]), alert.get("next_step")
        case = self._cases.get(alert["alert_id"])
        if case is None:
            if step and alert["state"] == "firing":
                flags = (bool(alert.get("holdout")), bool(step.get("suppressed")), alert["to_band"])
                self._cases[alert["alert_id"]] = _Case(alert["account_id"], step["playbook"], at_ms, *flags)
                self._bands.setdefault(alert["account_id"], [])
        else:
            case.is_overdue = case.is_overdue or bool(alert.get("overdue"))
            if alert["state"] == "resolved":
                case.ended_ms, case.is_closed = at_ms, alert.get("resolution") == "ACCOUNT_CLOSED"
        self.take_band(alert["account_id"], at_ms, alert["to_band"])

    def take_band(self, account: str, at_ms: int, band: str) -> None:
        """Take in which band an account was."""
        self._now_ms = max(self._now_ms, at_ms)
        known = self._bands.get(account)
        if known is not None and not (known and known[-1][0] <= at_ms and known[-1][1] == band):
            known.append((at_ms, band))

    def take_answer(self, answer: "Answer") -> None:
        """Take an event of `commands`."""
        at_ms, identity = _ms(answer.occurred_at), answer.alert_id
        if answer.command not in ANSWERS or (identity is None and answer.command != "outreach"):
            return
        # Getting in touch with an account answers all of its open alerts, as it does in the state.
        meant = [self._cases[identity]] if identity in self._cases else []
        if identity is None:
            meant = [case for case in self._cases.values() if case.account == answer.account_id]
        for case in meant:
            is_open = case.fired_ms <= at_ms and (case.ended_ms is None or at_ms <= case.ended_ms)
            if is_open and (case.answered_ms is None or at_ms < case.answered_ms):
                case.answered_ms = at_ms

    def forget(self, before_ms: int) -> None:
        """Drop alerts that began earlier, and the bands of accounts that have no other."""
        self._cases = {name: case for name, case in self._cases.items() if case.fired_ms >= before_ms}
        kept = {case.account for case in self._cases.values()}
        self._bands = {account: bands for account, bands in self._bands.items() if account in kept}

    def effects(self, model: Model) -> list[PlaybookEffect]:
        """Return what came of every playbook that an alert asked for, by name; `model` says how soon accounts should recover."""
        within = {playbook.name: playbook.recover_within_ms for playbook in model.playbooks}
        names = sorted({case.playbook for case in self._cases.values()})
        return [self._effect(name, within.get(name, DEFAULT_WITHIN_MS), model.band_names[0]) for name in names]

    def _effect(self, name: str, within_ms: int, worst: str) -> PlaybookEffect:
        cases = [case for case in self._cases.values() if case.playbook == name]
        opened = [case for case in cases if not case.is_held_out]
        hours = [(case.answered_ms - case.fired_ms) / 3_600_000 for case in opened if case.answered_ms is not None]
        first: dict[str, _Case] = {}
        for case in sorted(cases, key=lambda case: case.fired_ms):
            first.setdefault(case.account, case)
        called = [case for case in first.values() if not case.is_held_out]
        return PlaybookEffect(
            playbook=name,
            opened=len(opened),
            overdue=sum(case.is_overdue for case in opened),
            suppressed=sum(case.is_suppressed for case in opened),
            answered=Share(len(hours), len(opened)),
            hours_to_answer=median(hours) if hours else None,
            recovered=self._recovered(called, within_ms),
            held_out_recovered=self._recovered([case for case in first.values() if case.is_held_out], within_ms),
            recovered_answered=self._recovered([case for case in called if case.answered_ms is not None], within_ms),
            red_to_green=self._recovered([case for case in called if case.band == worst], within_ms),
        )

    def _recovered(self, cases: Iterable[_Case], within_ms: int) -> Share:
        found = [self._has_recovered(case, case.fired_ms + within_ms) for case in cases]
        known = [each for each in found if each is not None]
        return Share(sum(known), len(known))

    def _has_recovered(self, case: _Case, until_ms: int) -> bool | None:
        """Return whether an account recovered in time, None while that is open."""
        if case.is_closed and case.ended_ms is not None and case.ended_ms <= until_ms:
            return False
        if case.ended_ms is not None and case.ended_ms <= until_ms:
            bands = sorted(pair for pair in self._bands[case.account] if pair[0] <= until_ms)
            if bands and bands[-1][1] == GREEN:
                return True
        return False if self._now_ms >= until_ms else None


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
    cases = Cases()
    for alert in alerts:
        cases.take_alert(alert)
    for close in history:
        if "band" in close:
            cases.take_band(close["account_id"], _ms(close["at"]), close["band"])
    for score in scores:
        cases.take_band(score["account_id"], _ms(score["at"]), score["band"])
    for command in commands:
        cases.take_answer(command)
    return cases.effects(model)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def read_effect(settings: Settings, model: Model) -> list[PlaybookEffect]:
    """Read the topics and return what came of every playbook."""
    cases = Cases()
    async for record in read_all(settings, settings.topic("alerts")):
        cases.take_alert(orjson.loads(record.value))
    async for record in read_all(settings, settings.topic("commands")):
        # What is no command is a dead letter of the workers', and none of ours.
        with suppress(msgspec.MsgspecError):
            cases.take_answer(msgspec.json.decode(record.value or b"", type=Answer))
    async for record in read_all(settings, settings.topic("score-history")):
        _take_score(cases, record.value)
    scores: dict[bytes, bytes] = {}
    async for record in read_all(settings, settings.topic("scores")):
        scores[record.key] = record.value
    for value in scores.values():
        _take_score(cases, value)
    return cases.effects(model)


def _take_score(cases: Cases, value: bytes | None) -> None:
    """Take a snapshot or the close of a day, as far as it says a band."""
    score = {} if value is None else orjson.loads(value)
    if "band" in score:
        cases.take_band(score["account_id"], _ms(score["at"]), score["band"])
