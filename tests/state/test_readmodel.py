"""Records of `scores` and `alerts` as Redis commands."""

import orjson
import pytest

from state.readmodel import ALERTS, SCORES, UnreadableError, commands_of, key_of, notice_of, patterns_of

SCORE = {"account_id": "acme", "at": "2026-01-01T00:00:00.000Z", "health": 41.5, "band": "red", "risk": None}
ALERT = {
    "alert_id": "a1",
    "account_id": "acme",
    "rule": "band-red",
    "severity": "critical",
    "sequence": 3,
    "occurred_at": "2026-01-01T00:00:00.000Z",
}


def test_a_score_replaces_the_whole_hash() -> None:
    """Fields that are not known are absent, so the hash is emptied first; unknown numbers leave their ranking."""
    value = orjson.dumps(SCORE)
    assert commands_of(SCORES, 3, 9, b"acme", value) == [
        ("DEL", "bw:{3}:account:acme"),
        ("HSET", "bw:{3}:account:acme", "snapshot", value.decode(), "at", SCORE["at"], "band", "red", "health", "41.5"),
        ("ZADD", "bw:{3}:rank:health", "41.5", "acme"),
        ("ZREM", "bw:{3}:rank:risk", "acme"),
        ("ZREM", "bw:{3}:rank:value", "acme"),
    ]


def test_the_first_reason_is_a_field() -> None:
    """The reason that weighs most can be read without parsing the snapshot."""
    value = orjson.dumps(SCORE | {"reasons": [{"code": "A", "text": "a b", "contribution": -1.0}]})
    assert commands_of(SCORES, 0, 0, b"acme", value)[1][-4:] == ("reason_code", "A", "reason", "a b")


def test_a_tombstone_removes_the_account() -> None:
    """A closed or erased account leaves neither hash nor ranking."""
    commands = commands_of(SCORES, 0, 0, b"acme", None)
    assert [command[0] for command in commands] == ["DEL", "ZREM", "ZREM", "ZREM"]


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("firing", ["XADD", "DEL", "HSET", "SADD", "SADD"]),
        ("acknowledged", ["XADD", "DEL", "HSET", "SADD", "SADD"]),
        ("snoozed", ["XADD", "DEL", "HSET", "SADD", "SADD"]),
        ("resolved", ["XADD", "DEL", "SREM", "SREM"]),
    ],
)
def test_an_alert_is_open_until_it_is_resolved(state: str, names: list[str]) -> None:
    """Every record goes into the stream under its offset; only resolved ones leave the open alerts."""
    commands = commands_of(ALERTS, 1, 41, b"acme", orjson.dumps(ALERT | {"state": state}))
    assert [command[0] for command in commands] == names
    assert commands[0][1:5] == ("bw:{1}:alerts", "MAXLEN", "100000", "42-0")


@pytest.mark.parametrize(
    ("topic", "key", "value"), [(SCORES, b"acme", b"{"), (SCORES, b"\xff", b"{}"), (ALERTS, b"acme", None)]
)
def test_what_bellwether_does_not_write_is_refused(topic: str, key: bytes, value: bytes | None) -> None:
    """Broken JSON, broken keys and missing values are one kind of error that says where."""
    with pytest.raises(UnreadableError, match=rf"^{topic}\[0\]@7: expected a record of Bellwether, got "):
        commands_of(topic, 0, 7, key, value)


def test_keys_of_the_two_topics_are_disjoint() -> None:
    """Clearing what came from one topic leaves the other's keys alone, whatever accounts are called."""
    assert patterns_of(SCORES, 0) == ("bw:{0}:account:*", "bw:{0}:rank:*")
    assert patterns_of(ALERTS, 0) == ("bw:{0}:alert:*", "bw:{0}:alerts", "bw:{0}:open", "bw:{0}:open:*")
    assert key_of(0, "account", "x:open") != key_of(0, "open", "x")


def test_a_notice_names_each_account_once_and_not_too_many() -> None:
    """A notice stays small however many records a call carries."""
    assert orjson.loads(notice_of(SCORES, 2, ["b", "a", "b"])) == {
        "partition": 2,
        "topic": "scores",
        "accounts": ["b", "a"],
    }
    assert len(orjson.loads(notice_of(SCORES, 2, [str(n) for n in range(500)]))["accounts"]) == 100
