"""What Redis holds for readers, as values: a record of `scores` or `alerts` → the Redis commands it stands for.

It is rebuilt from the two topics at any time, so nothing here is the only copy of anything. Every key of partition p
begins with `bw:{p}:`, braces included: Redis Cluster keeps keys with the same text in braces on the same node.

| key | type | content |
|---|---|---|
| `bw:{p}:account:<account>` | hash | `snapshot` (the `scores` record) and its fields one by one; absent = not known |
| `bw:{p}:rank:health`, `…:risk`, `…:value` | sorted set | account → number; accounts without the number are absent |
| `bw:{p}:open` | set | ids of alerts that are not resolved |
| `bw:{p}:open:<account>` | set | those of one account |
| `bw:{p}:alert:<alert>` | hash | an open alert: `body` (its newest `alerts` record) and some of its fields |
| `bw:{p}:alerts` | stream | every `alerts` record once, id `<offset + 1>-0`, the newest 100 000 |
| `bw:{p}:applied` | hash | topic → next offset to apply: everything below it is in |
| `bw:{p}:written` | hash | topic → when that last rose, milliseconds UTC by Redis's clock |
| `bw:notice` | channel | a hint that something changed: `{"partition", "topic", "accounts"}`; may be lost |

The keys of `scores` and of `alerts` are disjoint, so the content does not depend on which topic is read first. Applying
a record again changes nothing, and applying from any earlier offset on ends in the same content.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

Command = tuple[str, ...]
"""A Redis command: name, key, arguments. All is text: what is not comes from nobody who writes these topics."""

STREAM_LENGTH: Final = 100_000
"""Alert records kept per partition, about 200 MB; older ones are in the topic."""
NOTICE: Final = "bw:notice"
NOTICE_ACCOUNTS: Final = 100
"""Accounts named in a notice at most; whoever needs all of them looks them up."""
RANKS: Final = ("health", "risk", "value")
SCORES: Final = "scores"
ALERTS: Final = "alerts"
TOPICS: Final = (SCORES, ALERTS)
"""The topics that are projected, by Bellwether's names."""


class _Reason(msgspec.Struct):
    code: str
    text: str


class _Snapshot(msgspec.Struct):
    """What is shown of a score; its order is that of the account's hash."""

    at: str
    band: str
    health: float | None = None
    risk: float | None = None
    expansion: float | None = None
    value: float | None = None
    potential_value: float | None = None
    value_at_risk: float | None = None
    expected_value: float | None = None
    quadrant: str | None = None
    coverage: float | None = None
    slope_per_day: float | None = None
    sequence: int | None = None
    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    renewal_at: str | None = None
    reasons: list[_Reason] = []


class _Alert(msgspec.Struct):
    alert_id: str
    account_id: str
    rule: str
    state: str
    severity: str
    sequence: int
    occurred_at: str


_SNAPSHOT: Final = msgspec.json.Decoder(_Snapshot)
_ALERT: Final = msgspec.json.Decoder(_Alert)
_FLAT: Final = tuple(name for name in _Snapshot.__struct_fields__ if name != "reasons")


class UnreadableError(ValueError):
    """A record is not what Bellwether writes; the message says in what."""


def key_of(partition: int, *words: str) -> str:
    """Return the Redis key of these words in a partition.

    Examples
    --------
    >>> key_of(3, "account", "acme")
    'bw:{3}:account:acme'
    """
    return f"bw:{{{partition}}}:{':'.join(words)}"


def patterns_of(topic: str, partition: int) -> tuple[str, ...]:
    """Return glob patterns that match every key filled from a topic, and no other."""
    shapes = {SCORES: ("account:*", "rank:*"), ALERTS: ("alert:*", "alerts", "open", "open:*")}
    return tuple(key_of(partition, shape) for shape in shapes[topic])


def commands_of(topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None) -> list[Command]:
    """Return the commands of one record.

    Parameters
    ----------
    topic
        "scores" or "alerts".
    partition, offset
        Where the record is.
    key, value
        Its bytes.

    Raises
    ------
    UnreadableError
        The record is not what Bellwether writes.
    """
    try:
        if topic == SCORES:
            return _of_score(partition, (key or b"").decode(), value)
        return _of_alert(partition, offset, value or b"")
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise UnreadableError(f"{topic}[{partition}]@{offset}: expected a record of Bellwether, got {error}") from error


def notice_of(topic: str, partition: int, accounts: Sequence[str]) -> bytes:
    """Return the message for `bw:notice` after records of these accounts were applied."""
    named = list(dict.fromkeys(accounts))[:NOTICE_ACCOUNTS]
    return msgspec.json.encode({"partition": partition, "topic": topic, "accounts": named})


def _of_score(partition: int, account: str, value: bytes | None) -> list[Command]:
    key = key_of(partition, "account", account)
    # Emptied first: a field that is no longer known must not stay.
    commands: list[Command] = [("DEL", key)]
    known: dict[str, str] = {}
    if value is not None:
        snapshot = _SNAPSHOT.decode(value)
        known = {name: str(field) for name in _FLAT if (field := getattr(snapshot, name)) is not None}
        fields = [part for pair in known.items() for part in pair]
        if snapshot.reasons:
            fields += ("reason_code", snapshot.reasons[0].code, "reason", snapshot.reasons[0].text)
        commands.append(("HSET", key, "snapshot", value.decode(), *fields))
    for rank, place in zip(RANKS, _places_of(partition), strict=True):
        number = known.get(rank)
        commands.append(("ZREM", place, account) if number is None else ("ZADD", place, number, account))
    return commands


@cache
def _places_of(partition: int) -> tuple[str, ...]:
    """Return the keys of the ranks."""
    return tuple(key_of(partition, "rank", rank) for rank in RANKS)


def _of_alert(partition: int, offset: int, value: bytes) -> list[Command]:
    alert, text = _ALERT.decode(value), value.decode()
    identity = alert.alert_id
    shown = (
        *("account_id", alert.account_id, "rule", alert.rule, "state", alert.state, "severity", alert.severity),
        *("sequence", str(alert.sequence), "occurred_at", alert.occurred_at),
    )
    stream = key_of(partition, "alerts")
    commands: list[Command] = [
        ("XADD", stream, "MAXLEN", str(STREAM_LENGTH), f"{offset + 1}-0", "alert_id", identity, *shown, "body", text)
    ]
    body, everyone = key_of(partition, "alert", identity), key_of(partition, "open")
    own = key_of(partition, "open", alert.account_id)
    if alert.state == "resolved":
        commands += [("DEL", body), ("SREM", everyone, identity), ("SREM", own, identity)]
    else:
        commands += [
            ("DEL", body),
            ("HSET", body, *shown, "body", text),
            ("SADD", everyone, identity),
            ("SADD", own, identity),
        ]
    return commands
