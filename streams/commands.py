"""What people decide and know, as events: workers apply them in order with everything else."""

import uuid

import orjson

from state.moments import rfc3339
from streams.outbox import Outbox
from streams.settings import Settings


def command_event(
    command: str, account: str, alert: str | None, occurred_at_ms: int, **details: str | float | None
) -> bytes:
    """Return the event of what a person decided about an alert or an account.

    Parameters
    ----------
    command
        As in the contract, such as "acknowledge".
    account, alert
        Ids; None where it is about the account as a whole.
    occurred_at_ms
        When it was decided, milliseconds UTC.
    **details
        Other fields of the contract, such as `by`, `reason`, `until` and `owner`; None is left out.
    """
    event = {
        "id": uuid.uuid4().hex,
        "account_id": account,
        "occurred_at": rfc3339(occurred_at_ms),
        "command": command,
        **{name: value for name, value in {"alert_id": alert, **details}.items() if value is not None},
    }
    return orjson.dumps(event)


async def send_event(settings: Settings, contract: str, account: str, event: bytes, occurred_at_ms: int) -> None:
    """Write an event of a topic to its account's partition; raise Refusal when Kafka does not take it.

    The record carries the event's own time, as all input does: workers merge their topics by it.
    """
    topic = settings.topic(contract)
    async with Outbox(settings) as outbox:
        await outbox.open(topic)
        await outbox.add(topic, account.encode(), event, occurred_at_ms)
