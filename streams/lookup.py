"""Reads the read model in Redis for commands: one account with its open alerts, or an alert by its id.

Every function raises Refusal, with one sentence that says what to do, when Redis does not answer.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from state.murmur2 import partition_of
from state.readmodel import key_of
from streams.access import redis_advice, redis_client
from streams.halt import Refusal
from streams.settings import Settings

TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Account:
    """What Redis has of an account.

    Attributes
    ----------
    snapshot
        Its newest `scores` record; None when there is none.
    alerts
        The newest `alerts` record of each open alert, by the time it came to its state.
    is_filled
        Whether any projector has written to its partition yet.
    """

    snapshot: dict[str, Any] | None
    alerts: list[dict[str, Any]]
    is_filled: bool


async def find_account(settings: Settings, account: str) -> Account:
    """Return what is known of an account."""
    partition = partition_of(account.encode(), settings.partitions)
    async with _reading(settings) as client:
        applied = await client.exists(key_of(partition, "applied"))
        snapshot = await client.hget(key_of(partition, "account", account), "snapshot")
        ids = sorted(await client.smembers(key_of(partition, "open", account)))
        bodies = [await client.hget(key_of(partition, "alert", identity), "body") for identity in ids]
    alerts = [orjson.loads(body) for body in bodies if body is not None]
    alerts.sort(key=lambda alert: (alert["occurred_at"], alert["alert_id"]))
    return Account(None if snapshot is None else orjson.loads(snapshot), alerts, bool(applied))


async def find_open_alerts(settings: Settings, prefix: str) -> dict[str, str]:
    """Return alert id → account id of the open alerts whose id begins with `prefix`."""
    found: dict[str, str] = {}
    async with _reading(settings) as client:
        for partition in range(settings.partitions):
            for identity in await client.smembers(key_of(partition, "open")):
                if identity.startswith(prefix):
                    account = await client.hget(key_of(partition, "alert", identity), "account_id")
                    if account is not None:
                        found[identity] = account
    return found


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncIterator[Any]:
    client = redis_client(
        settings,
        decode_responses=True,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    except (RedisError, OSError) as error:
        raise Refusal(f"{settings.redis_address}: Redis does not serve us ({error}) — {redis_advice(error)}") from error
    finally:
        await client.aclose()
