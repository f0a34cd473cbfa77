"""Score records from rows: the latest picture of an account, for the `scores` topic."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from state.flush import Message
from state.layout import AMOUNT_UNIT, ARR, BAND, INPUT_TOPICS, NO_VALUE, POSITIONS, RENEWAL_AT, ROW_TOPICS
from state.moments import rfc3339
from state.telling import Teller, number_or_none, reasons_as_json
from state.work import (
    PICTURE_COVERAGE,
    PICTURE_EXPANSION,
    PICTURE_HEALTH,
    PICTURE_RISK,
    PICTURE_SLOPE,
)


def snapshot_of(
    teller: Teller,
    account: str,
    profile: Mapping[str, str],
    row: Sequence[int],
    picture: Sequence[float],
    at_ms: int,
    sequence: int,
) -> dict[str, Any]:
    """Return the snapshot of one account in the form of the contract.

    Parameters
    ----------
    teller
        Of the model.
    account, profile
        Its id and descriptive attributes.
    row
        Its line of `ints`, as a list.
    picture
        Its score at `at_ms`, laid out as in `Work.pictures` without the contributions before.
    sequence
        Number of the flush (or step of a replay) that carries the snapshot.
    """
    risk = picture[PICTURE_RISK]
    positions = zip(INPUT_TOPICS[:ROW_TOPICS], row[POSITIONS : POSITIONS + ROW_TOPICS], strict=True)
    snapshot: dict[str, Any] = {
        "account_id": account,
        "at": rfc3339(at_ms),
        "health": number_or_none(picture[PICTURE_HEALTH]),
        "band": teller.bands[row[BAND]],
        "risk": number_or_none(risk),
        "expansion": number_or_none(picture[PICTURE_EXPANSION]),
        "value": None,
        "coverage": number_or_none(picture[PICTURE_COVERAGE]),
        "slope_per_day": number_or_none(picture[PICTURE_SLOPE]),
        "sequence": sequence,
        "model": teller.model,
        "reasons": reasons_as_json(teller.wording.main(teller.picture(picture))),
        "positions": {topic: offset for topic, offset in positions if offset >= 0},
    }
    if row[ARR] != NO_VALUE:
        snapshot["value"] = row[ARR] / AMOUNT_UNIT
        if not math.isnan(risk):
            snapshot["value_at_risk"] = round(risk * row[ARR] / AMOUNT_UNIT, 2)
    if row[RENEWAL_AT] != NO_VALUE:
        snapshot["renewal_at"] = rfc3339(row[RENEWAL_AT])
    snapshot.update({name: profile[name] for name in ("name", "owner", "segment") if name in profile})
    return snapshot


def snapshot_message(snapshot: Mapping[str, Any], at_ms: int) -> Message:
    """Return the record of a snapshot."""
    return Message(str(snapshot["account_id"]).encode(), orjson.dumps(snapshot), (), at_ms)
