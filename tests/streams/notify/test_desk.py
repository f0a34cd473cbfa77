"""The desk's decisions, counted: caps, digests, quiet hours, silences, falls of a whole group; and that restarts change nothing."""

import random
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from streams.notify.desk import Desk
from streams.notify.load import Load, PortfolioGuard, QuietHours, Silence
from tests.streams.notify.receivers import an_alert

HOUR = 3_600_000
NOON = round(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp() * 1000)
NIGHT = QuietHours(time(20), time(8))


def alert(number: int, state: str = "firing", severity: str = "warning", **account: str) -> dict[str, Any]:
    """An alert of an account, with the groups it belongs to."""
    sequence = 1 if state == "firing" else 2
    return an_alert(number, state, sequence, severity=severity, account=account)


def desk(load: Load, size: int = 0) -> Desk:
    """A desk that has seen nothing, of groups of one size."""
    return Desk(load, lambda _, __: size, {})


def fates(notices: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (kind or account, fate) of notices."""
    return [(notice.get("kind") or notice["account_id"], notice["delivery"]["fate"]) for notice in notices]


def test_without_limits_everything_is_delivered() -> None:
    """Whatever comes goes, in its order."""
    own = desk(Load())
    assert fates(own.take(alert(1), NOON) + own.take(alert(1, "resolved"), NOON)) == [("acme-1", "now")] * 2


def test_what_a_cap_keeps_back_is_one_digest() -> None:
    """Three a day, then the digest at five: one notice with the rest, the gravest first; critical ones always pass."""
    own = desk(Load(per_owner=3))
    taken = [notice for number in range(8) for notice in own.take(alert(number), NOON)]
    taken += own.take(alert(8, severity="critical"), NOON)
    assert [fate for _, fate in fates(taken)] == ["now"] * 3 + ["digest"] * 5 + ["now"]
    assert own.take(alert(7, "resolved"), NOON)[0]["delivery"]["fate"] == "digest", "ended unheard"
    assert own.due(NOON + 4 * HOUR) == []
    (digest,) = own.due(NOON + 5 * HOUR)
    assert (digest["title"], digest["next_step"]["owner"]) == ("4 more alerts of today", "ann@example.com")
    assert digest["reasons"][0]["text"] == "warning: acme-3, in the red"
    assert own.take(alert(3, "resolved"), NOON + 6 * HOUR)[0]["delivery"]["fate"] == "told"
    assert fates(own.take(alert(9), NOON + 24 * HOUR)) == [("acme-9", "now")], "a new day begins anew"
    assert own.due(NOON + 48 * HOUR) == []


def test_unwelcome_outreach_and_an_account_s_cap_wait_for_the_digest() -> None:
    """Suppressed or capped they are lines of it, with the reason; an urgent one, or one that grows urgent, is delivered."""
    own = desk(Load())
    unwelcome = an_alert(1, severity="warning")
    unwelcome["next_step"] |= {"suppressed": ["objected"]}
    taken = own.take(unwelcome, NOON) + own.take(an_alert(2, severity="info", capped=True), NOON)
    assert [notice["delivery"] | {"until": ""} for notice in taken] == [
        {"fate": "digest", "why": why, "until": ""} for why in ("suppressed", "account cap")
    ]
    assert fates(own.take(unwelcome | {"account_id": "acme-3", "alert_id": "3", "severity": "critical"}, NOON)) == [
        ("acme-3", "now")
    ]
    (digest,) = own.due(NOON + 5 * HOUR)
    assert [reason["text"] for reason in digest["reasons"]] == [
        "warning: acme-1, in the red (no outreach: objected)",
        "info: acme-2, in the red",
    ]
    graver = an_alert(1, sequence=2, severity="critical", escalated_from="warning")
    assert fates(own.take(graver, NOON + 6 * HOUR)) == [("acme-1", "now")], "what a digest told is told singly now"
    assert fates(own.take(graver | {"repeated": True, "sequence": 3}, NOON + 7 * HOUR)) == [("acme-1", "now")]


def test_a_playbook_s_cap_counts_over_owners() -> None:
    """Two owners share a playbook's cap."""
    own = desk(Load(per_playbook=2))
    other = {"next_step": an_alert()["next_step"] | {"owner": "bob@example.com"}}
    taken = own.take(alert(1), NOON) + own.take(alert(2) | other, NOON) + own.take(alert(3), NOON)
    assert [fate for _, fate in fates(taken)] == ["now", "now", "digest"]


def test_quiet_hours_are_those_of_the_owner() -> None:
    """At noon in UTC it is night for an owner in Sydney: held until their morning; urgent ones are not, nor what ended."""
    load = Load(quiet_hours=NIGHT, zones={"ann@example.com": ZoneInfo("Australia/Sydney")})
    own = desk(load)
    held = own.take(alert(1), NOON) + own.take(alert(2), NOON)
    assert [notice["delivery"] for notice in held] == [
        {"fate": "held", "why": "quiet hours", "until": "2026-03-02T21:00:00.000Z"}
    ] * 2
    assert fates(own.take(alert(3, severity="critical"), NOON)) == [("acme-3", "now")]
    own.take(alert(2, "resolved"), NOON + HOUR)
    assert own.due(NOON + 8 * HOUR) == []
    assert fates(own.due(NOON + 9 * HOUR)) == [("acme-1", "now")]
    assert fates(own.take(alert(1, "resolved"), NOON + 10 * HOUR)) == [("acme-1", "now")]
    assert fates(desk(Load(quiet_hours=NIGHT)).take(alert(1), NOON)) == [("acme-1", "now")], "noon is no night in UTC"


def test_what_grows_graver_at_night_is_delivered() -> None:
    """A held warning that becomes critical does not wait for the morning."""
    own = desk(Load(quiet_hours=QuietHours(time(11), time(13))))
    assert fates(own.take(alert(1), NOON)) == [("acme-1", "held")]
    graver = alert(1, severity="critical") | {"sequence": 2, "escalated_from": "warning"}
    assert fates(own.take(graver, NOON)) == [("acme-1", "now")]
    assert own.due(NOON + 24 * HOUR) == []


def test_a_silence_holds_what_matches_until_it_ends() -> None:
    """Maintenance of one segment: even critical alerts of it wait, and only what is open afterwards is delivered."""
    silence = Silence({"segment": "smb", "rule": "band-red"}, NOON - HOUR, NOON + HOUR, "migration")
    own = desk(Load(silences=(silence,)))
    assert fates(own.take(alert(1, severity="critical", segment="smb"), NOON)) == [("acme-1", "held")]
    assert fates(own.take(alert(2, segment="smb"), NOON)) == [("acme-2", "held")]
    assert fates(own.take(alert(3, segment="large"), NOON)) == [("acme-3", "now")]
    own.take(alert(2, "resolved", segment="smb"), NOON)
    assert fates(own.due(NOON + HOUR)) == [("acme-1", "now")]
    assert fates(own.take(alert(4, segment="smb"), NOON + HOUR)) == [("acme-4", "now")]


def test_a_fall_of_a_whole_group_is_told_once() -> None:
    """31 of 100 starters within two hours: one alert says so, later ones are marked; calm again, its end is told."""
    guard = PortfolioGuard(("plan",), share=0.2, within_ms=2 * HOUR, at_least=10)
    own = desk(Load(portfolio=guard), size=100)
    taken = [n for number in range(31) for n in own.take(alert(number, plan="starter"), NOON + number * 60_000)]
    assert fates(taken).count(("portfolio", "now")) == 1
    assert [fate for _, fate in fates(taken)].count("portfolio") == 12
    assert len([1 for kind, fate in fates(taken) if kind != "portfolio" and fate == "now"]) == 19
    (told,) = [notice for notice in taken if notice.get("kind") == "portfolio"]
    assert told["title"] == "20% of plan=starter fell in 2 h: data outage, season or product?"
    assert fates(own.take(alert(99, plan="large"), NOON)) == [("acme-99", "now")]
    assert fates(own.take(alert(30, "resolved", plan="starter"), NOON + HOUR)) == [("acme-30", "portfolio")]
    assert own.due(NOON + 2 * HOUR) == []
    (end,) = own.due(NOON + 4 * HOUR)
    assert (end["alert_id"], end["state"], end["sequence"]) == (told["alert_id"], "resolved", 2)
    assert [reason["text"] for reason in end["reasons"]] == ["12 single alerts were marked"]


def test_small_groups_and_slow_falls_are_single_alerts() -> None:
    """Three of three accounts are no portfolio; twenty in a week are no fall."""
    guard = PortfolioGuard(("plan",), share=0.2, within_ms=2 * HOUR, at_least=10)
    small, slow = desk(Load(portfolio=guard), size=3), desk(Load(portfolio=guard), size=100)
    for number in range(3):
        assert fates(small.take(alert(number, plan="p"), NOON)) == [(f"acme-{number}", "now")]
    for number in range(20):
        assert fates(slow.take(alert(number, plan="p"), NOON + number * 8 * HOUR)) == [(f"acme-{number}", "now")]


STEPS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), max_size=60)


@given(STEPS, st.integers(0, 2**32))
def test_restarts_change_nothing_and_nobody_is_told_only_half(steps: list[tuple[int, int]], seed: int) -> None:
    """Restarted from what it remembers after any step a desk decides the same; whoever hears of a beginning hears of its end."""
    draw = random.Random(seed)
    guard = PortfolioGuard(("plan",), share=0.3, within_ms=5 * HOUR, at_least=4)
    night = QuietHours(time(draw.randrange(24)), time(draw.randrange(23), 30))
    load = Load(per_owner=draw.choice((0, 2, 4)), quiet_hours=draw.choice((None, night)), portfolio=guard)
    runs: list[list[dict[str, Any]]] = []
    for is_restarted in (False, True):
        kept: dict[str, Any] = {}
        own, now_ms, open_ones, notices = desk(load, 12), NOON, set(), []
        for number, minutes in steps:
            now_ms += minutes * 60_000
            state = "resolved" if number in open_ones else "firing"
            open_ones ^= {number}
            severity = ("info", "warning", "critical")[number % 3]
            taken = alert(number, state, severity, plan="p") | ({"capped": True} if number % 4 == 1 else {})
            notices += own.take(taken, now_ms) + own.due(now_ms)
            for key, entry in own.take_changes().items():
                kept[key] = entry
                if entry is None:
                    del kept[key]
            if is_restarted:
                own = Desk(load, lambda _, __: 12, kept)
        notices += own.due(now_ms + 1000 * HOUR)
        runs.append(notices)
    assert runs[0] == runs[1]
    told: set[str] = set()
    for notice in (each for each in runs[0] if each["delivery"]["fate"] == "now"):
        assert (notice["state"] == "firing") == (notice["alert_id"] not in told)
        told ^= {notice["alert_id"]} if notice.get("kind") != "digest" else set()
