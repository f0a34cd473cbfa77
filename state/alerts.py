"""Alert records from the kernel's moves: values in, bytes out.

A move says which rule of which account entered which state and carries a picture of the score as it stood then, so an
alert tells what was decided on, not what is known later.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from scoring.compile import RuleName
from scoring.lifecycle import RESOLVED, STATE_NAMES
from scoring.model import DAY_MS, Model
from scoring.trajectory import days_to_cross
from state.flush import Message
from state.layout import INPUT_TOPICS, ROW_TOPICS
from state.moments import rfc3339
from state.telling import Teller, number_or_none, reasons_as_json
from state.work import (
    MOVE_AT,
    MOVE_BEFORE_DAYS,
    MOVE_EPISODE,
    MOVE_FROM_BAND,
    MOVE_POSITIONS,
    MOVE_RESOLUTION,
    MOVE_RULE,
    MOVE_SEQUENCE,
    MOVE_STATE,
    MOVE_TO_BAND,
    PICTURE_ACCELERATION,
    PICTURE_COVERAGE,
    PICTURE_EXPANSION,
    PICTURE_HEALTH,
    PICTURE_RISK,
    PICTURE_SLOPE,
)

RESOLUTIONS: Final = ("CONDITION_ENDED", "ACCOUNT_CLOSED", "BY_COMMAND")
ETA_SPREAD: Final = 0.5
"""The crossing is given as a range: the same fall half as fast again, and a third slower."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who raises alerts: goes into `ce_source`."""

    app_id: str
    partition: int


def alert_id(account: str, rule: str, episode: int) -> str:
    """Return the id of an alert: 32 hex digits that every replay of the log gives again.

    Examples
    --------
    >>> alert_id("acme", "band-red", 1)
    'edcca1894bbc61663ecf55d1c4d67206'
    """
    return hashlib.sha256(f"{account}\0{rule}\0{episode}".encode()).hexdigest()[:32]


def alert_message(
    teller: Teller,
    origin: Origin,
    account: str,
    profile: Mapping[str, str],
    move: Sequence[int],
    picture: Sequence[float],
    journal_sequence: int,
) -> Message:
    """Return the record of one announced move.

    Parameters
    ----------
    teller
        Of the model that decided.
    origin
        Where it was decided.
    account, profile
        The account's id and its descriptive attributes.
    move
        A line of `Work.moves`.
    picture
        The line of `Work.pictures` beside it.
    journal_sequence
        Number of the flush that carries the record.
    """
    compiled = teller.compiled
    rule = compiled.rules[move[MOVE_RULE]]
    state = STATE_NAMES[move[MOVE_STATE]]
    identity = alert_id(account, rule.name, move[MOVE_EPISODE])
    occurred_at = rfc3339(move[MOVE_AT])
    body = {
        "alert_id": identity,
        "sequence": move[MOVE_SEQUENCE],
        "account_id": account,
        "rule": rule.name,
        "code": rule.code,
        "title": rule.title,
        "episode": move[MOVE_EPISODE],
        "state": state,
        "severity": rule.severity,
        "from_band": teller.bands[move[MOVE_FROM_BAND]],
        "to_band": teller.bands[move[MOVE_TO_BAND]],
        **_scores(compiled.model, picture, move[MOVE_AT]),
        **_reasons(teller, picture, move[MOVE_BEFORE_DAYS]),
        "next_step": None
        if state == STATE_NAMES[RESOLVED]
        else next_step(compiled.model, rule, profile, move[MOVE_AT]),
        "model": teller.model,
        "occurred_at": occurred_at,
        "decided_at": {"positions": _positions(move), "journal_sequence": journal_sequence},
        "dedup_key": identity,
    }
    if state == STATE_NAMES[RESOLVED]:
        body["resolution"] = RESOLUTIONS[move[MOVE_RESOLUTION]]
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{identity}-{move[MOVE_SEQUENCE]}".encode()),
        ("ce_source", f"/bellwether/{origin.app_id}/{origin.partition}".encode()),
        ("ce_type", f"io.bellwether.alert.{state}".encode()),
        ("ce_time", occurred_at.encode()),
        ("ce_subject", account.encode()),
        ("content-type", b"application/json"),
    ]
    return Message(account.encode(), orjson.dumps(body), headers, move[MOVE_AT])


def _positions(move: Sequence[int]) -> dict[str, int]:
    """Return input topic → offset of the account's last event there, of the topics it ever sent on."""
    positions = zip(INPUT_TOPICS[:ROW_TOPICS], move[MOVE_POSITIONS : MOVE_POSITIONS + ROW_TOPICS], strict=True)
    return {topic: offset for topic, offset in positions if offset >= 0}


def _scores(model: Model, picture: Sequence[float], at_ms: int) -> dict[str, Any]:
    health, slope = picture[PICTURE_HEALTH], picture[PICTURE_SLOPE]
    return {
        "scores": {
            "health": number_or_none(health),
            "risk": number_or_none(picture[PICTURE_RISK]),
            "expansion": number_or_none(picture[PICTURE_EXPANSION]),
            "coverage": number_or_none(picture[PICTURE_COVERAGE]),
        },
        "trajectory": {
            "slope_per_day": number_or_none(slope),
            "acceleration": number_or_none(picture[PICTURE_ACCELERATION]),
            "expected_crossing": expected_crossing(model, health, slope, at_ms),
        },
    }


def expected_crossing(model: Model, health: float, slope: float, at_ms: int) -> dict[str, str] | None:
    """Return when a falling health meets the next band below, as a range; None where it does not fall."""
    for band in reversed(model.bands):
        if health >= band.enter_below:
            days = days_to_cross(health, band.enter_below, slope)
            if math.isnan(days):
                return None
            at, earliest, latest = (
                rfc3339(at_ms + round(days * scale * DAY_MS)) for scale in (1, 1 / (1 + ETA_SPREAD), 1 + ETA_SPREAD)
            )
            return {"band": band.name, "at": at, "earliest": earliest, "latest": latest}
    return None


def _reasons(teller: Teller, picture: Sequence[float], before_days: int) -> dict[str, Any]:
    seen = teller.picture(picture)
    before = picture[-len(seen.contributions) :]
    moved = teller.wording.moved(seen, before, before_days) if before_days else []
    return {"reasons": reasons_as_json(teller.wording.main(seen)), "why_it_moved": reasons_as_json(moved)}


def next_step(model: Model, rule: RuleName, profile: Mapping[str, str], at_ms: int) -> dict[str, Any] | None:
    """Return what a person should do: the rule's playbook with its owner by name and when it is due."""
    if rule.playbook is None:
        return None
    playbook = model.playbook(rule.playbook)
    owner = profile.get("owner", model.owner) if playbook.owner == "account_owner" else playbook.owner
    return {
        "playbook": playbook.name,
        "goal": playbook.goal,
        "steps": list(playbook.steps),
        "owner": owner,
        "due_at": rfc3339(at_ms + playbook.due_ms),
    }
