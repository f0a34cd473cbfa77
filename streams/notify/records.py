"""A record of `alerts` or `notices` as an alert; what is none is told and left out, because nothing may hold the rest."""

import logging
from typing import Any, Literal

import msgspec
import orjson
from aiokafka.structs import ConsumerRecord

logger = logging.getLogger(__name__)


class _Known(msgspec.Struct):
    """What every alert has."""

    alert_id: str
    sequence: int
    account_id: str
    rule: str
    occurred_at: str
    severity: Literal["info", "warning", "critical"]
    state: Literal["firing", "acknowledged", "snoozed", "resolved"]


def alert_of(record: ConsumerRecord) -> dict[str, Any] | None:
    """Return a record's alert; None, with a warning, where it is none."""
    try:
        msgspec.json.decode(record.value or b"", type=_Known)
        alert: dict[str, Any] = orjson.loads(record.value)
    except (msgspec.MsgspecError, orjson.JSONDecodeError) as error:
        logger.warning("%s[%d]@%d is no alert and left out: %s", record.topic, record.partition, record.offset, error)
        return None
    return alert


def is_for_now(alert: dict[str, Any]) -> bool:
    """Return whether an alert is to be delivered: a notice may be held, marked, or waiting for a digest.

    Nobody is told of an account in a playbook's holdout, or what nothing is done for would have been helped after all.
    """
    return bool(alert.get("delivery", {}).get("fate", "now") == "now" and not alert.get("holdout", False))
