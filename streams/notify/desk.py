"""Decides of every alert whether it is delivered now, later, in a digest or as one of many. Pure: state and time go in.

::

    alert ──> part of a portfolio's fall? ──> marked; the fall is told once
         └──> silenced? ──────────────────> held until the silence ends
         └──> urgent? ────────────────────> delivered
         └──> outreach suppressed? ───────> in the owner's digest
         └──> a cap reached? ─────────────> in the owner's digest
         └──> quiet hours? ───────────────> held until they end
         └──> delivered

The first state of an alert decides; later ones follow it, unless it grows urgent: then it is delivered. What ends while it is held, marked or waiting for a digest is
never delivered: nobody was told of it. Nothing is withheld from the topic `alerts`; this stands behind it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from scoring.model import ALERT_SEVERITIES, DAY_MS
from state.moments import rfc3339
from streams.notify.load import Load

Entry = dict[str, Any]
"""One line of the desk's memory, JSON."""

NOW: Final = "now"
HELD: Final = "held"
DIGEST: Final = "digest"
PORTFOLIO: Final = "portfolio"
TOLD: Final = "told"
"""In a digest that has gone out."""
FATES: Final = (NOW, HELD, DIGEST, PORTFOLIO, TOLD)
NOBODY: Final = "nobody"
"""Whose digest it is where an alert has no next step."""
DIGEST_LINES: Final = 50
QUIET_SHARE: Final = 0.5
"""A fall is over once less than this part of the guard's share moved within its time."""


class Desk:
    """The memory of what became of every open alert, and the decisions.

    Parameters
    ----------
    load
        What is bearable.
    size_of
        (attribute, value) → how many accounts there are with it; 0 where nobody knows.
    kept
        The memory of an earlier process: key → entry.
    """

    def __init__(self, load: Load, size_of: Callable[[str, str], int], kept: Mapping[str, Entry]) -> None:
        self._load = load
        self._size_of = size_of
        self._entries = dict(kept)
        self._changed: set[str] = set()

    def take_changes(self) -> dict[str, Entry | None]:
        """Return what is to be remembered since the last call: key → entry, None = forgotten."""
        changes = {key: self._entries.get(key) for key in sorted(self._changed)}
        self._changed = set()
        return changes

    def take(self, alert: dict[str, Any], now_ms: int) -> list[dict[str, Any]]:
        """Return the notices that a record of `alerts` becomes: itself with what becomes of it, and a fall it completes."""
        key = f"alert:{alert['alert_id']}"
        entry = self._entries.get(key)
        notices: list[dict[str, Any]] = []
        if entry is None:
            if alert["state"] != "firing":  # of before the desk knew of alerts
                return [_notice(alert, NOW)]
            entry, notices = self._begin(alert, now_ms)
        elif self._has_grown_urgent(entry, alert):
            entry = {"fate": NOW}
        if entry["fate"] in (HELD, DIGEST):
            entry = entry | {"alert": alert}
        if alert["state"] == "resolved":
            self._set(key, None)
        else:
            self._set(key, entry)
        return [*notices, _notice(alert, entry["fate"], entry.get("until_ms"), entry.get("why", ""))]

    def due(self, now_ms: int) -> list[dict[str, Any]]:
        """Return what an instant brings: held alerts whose time has come, digests, and the ends of falls, in a fixed order."""
        notices = []
        digests: dict[str, list[tuple[str, Entry]]] = {}
        for key, entry in sorted(self._entries.items()):
            if key.startswith("alert:") and entry.get("until_ms", now_ms + 1) <= now_ms:
                if entry["fate"] == HELD:
                    self._set(key, {"fate": NOW})
                    notices.append(_notice(entry["alert"], NOW))
                elif entry["fate"] == DIGEST:
                    self._set(key, {"fate": TOLD})
                    digests.setdefault(entry["owner"], []).append((key, entry))
            elif key.startswith("group:") and entry["alert"]:
                notices += self._calm(key, entry, now_ms)
        notices += [
            _digest(owner, [entry["alert"] for _, entry in waiting], now_ms) for owner, waiting in digests.items()
        ]
        return notices

    def _has_grown_urgent(self, entry: Entry, alert: dict[str, Any]) -> bool:
        """Return whether what was kept back must be heard now; a silence and a portfolio's fall hold the urgent too."""
        is_news = alert["state"] == "firing" and not alert.get("repeated")
        is_kept_back = entry["fate"] in (DIGEST, TOLD) or (entry["fate"] == HELD and entry["why"] == "quiet hours")
        return is_news and is_kept_back and self._load.is_urgent(alert)

    def _set(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = entry
        self._changed.add(key)

    def _begin(self, alert: dict[str, Any], now_ms: int) -> tuple[Entry, list[dict[str, Any]]]:
        group, notices = self._fall(alert, now_ms)
        if group is not None:
            return {"fate": PORTFOLIO, "why": group}, notices
        silenced = self._load.silenced_until(alert, now_ms)
        if silenced is not None:
            return {"fate": HELD, "why": "silence", "until_ms": silenced}, notices
        step = alert.get("next_step") or {}
        owner, is_urgent = step.get("owner", ""), self._load.is_urgent(alert)
        why = "" if is_urgent else self._why_in_digest(alert, owner, step, now_ms)
        if why:
            until_ms = self._load.digest_after(now_ms)
            return {"fate": DIGEST, "why": why, "until_ms": until_ms, "owner": owner or NOBODY}, notices
        quiet = None if is_urgent else self._load.quiet_until(owner, now_ms)
        self._count("owner", owner, now_ms)
        self._count("playbook", step.get("playbook", ""), now_ms)
        if quiet is not None:
            return {"fate": HELD, "why": "quiet hours", "until_ms": quiet}, notices
        return {"fate": NOW}, notices

    def _why_in_digest(self, alert: dict[str, Any], owner: str, step: dict[str, Any], now_ms: int) -> str:
        """Return why an alert that is not urgent is told in a digest only, "" where it is not.

        One whose outreach is suppressed is not delivered singly, because what receives it may be what writes to people.
        """
        if step.get("suppressed"):
            return "suppressed"
        if alert.get("capped"):
            return "account cap"
        is_over = self._is_over("owner", owner, self._load.per_owner, now_ms)
        is_over = is_over or self._is_over("playbook", step.get("playbook", ""), self._load.per_playbook, now_ms)
        return "cap" if is_over else ""

    def _is_over(self, kind: str, name: str, cap: int, now_ms: int) -> bool:
        count = self._entries.get(f"count:{kind}:{name}", {})
        return bool(cap and name) and count.get("day") == now_ms // DAY_MS and count["begun"] >= cap

    def _count(self, kind: str, name: str, now_ms: int) -> None:
        if name:
            key, day = f"count:{kind}:{name}", now_ms // DAY_MS
            known = self._entries.get(key, {})
            begun = known["begun"] if known.get("day") == day else 0
            self._set(key, {"day": day, "begun": begun + 1})

    def _fall(self, alert: dict[str, Any], now_ms: int) -> tuple[str | None, list[dict[str, Any]]]:
        """Note that an account of its groups moved; return the group that falls as a whole, and what tells of it."""
        guard = self._load.portfolio
        found: str | None = None
        notices = []
        for attribute in guard.by if guard else ():
            value = alert.get("account", {}).get(attribute)
            if guard is None or not value:
                continue
            key = f"group:{attribute}={value}"
            entry = self._entries.get(key, {"moves": {}, "alert": "", "marked": 0})
            moves = {a: at for a, at in entry["moves"].items() if at > now_ms - guard.within_ms}
            moves[alert["account_id"]] = now_ms
            entry = entry | {"moves": moves}
            size = self._size_of(attribute, value)
            if not entry["alert"] and len(moves) >= guard.at_least and size and len(moves) >= guard.share * size:
                entry["alert"] = hashlib.sha256(f"{key}\0{now_ms}".encode()).hexdigest()[:32]
                entry["severity"] = alert["severity"]
                notices.append(_portfolio(entry, f"{attribute}={value}", len(moves), size, guard.within_ms, now_ms))
            if entry["alert"] and found is None:
                found = f"{attribute}={value}"
                entry["marked"] += 1
            self._set(key, entry)
        return found, notices

    def _calm(self, key: str, entry: Entry, now_ms: int) -> list[dict[str, Any]]:
        guard = self._load.portfolio
        group = key.removeprefix("group:")
        size = self._size_of(*group.split("=", 1))
        within_ms = guard.within_ms if guard else 0
        moves = {a: at for a, at in entry["moves"].items() if at > now_ms - within_ms}
        if guard and len(moves) >= QUIET_SHARE * guard.share * size:
            return []
        notice = _portfolio(entry, group, len(moves), size, within_ms, now_ms, marked=entry["marked"])
        self._set(key, None)
        return [notice]


def _notice(alert: dict[str, Any], fate: str, until_ms: int | None = None, why: str = "") -> dict[str, Any]:
    delivery = {"fate": fate, **({"why": why} if why else {})}
    if until_ms is not None and fate != NOW:
        delivery["until"] = rfc3339(until_ms)
    return {**alert, "delivery": delivery}


def _summary(kind: str, identity: str, name: str, severity: str, lines: list[str], now_ms: int) -> dict[str, Any]:
    """Return a notice in the form of an alert, so that every kind of receiver can be told."""
    return {
        "kind": kind,
        "alert_id": identity,
        "dedup_key": identity,
        "sequence": 1,
        "account_id": name,
        "rule": kind,
        "code": kind.upper(),
        "state": "firing",
        "severity": severity,
        "from_band": "",
        "to_band": "",
        "scores": {"health": None, "risk": None, "expansion": None, "coverage": None},
        "trajectory": {"slope_per_day": None, "acceleration": None, "expected_crossing": None},
        "reasons": [{"code": kind.upper(), "text": line, "contribution": 0.0} for line in lines],
        "why_it_moved": [],
        "next_step": None,
        "occurred_at": rfc3339(now_ms),
        "delivery": {"fate": NOW},
    }


def _digest(owner: str, alerts: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    """Return the one notice of what an owner's cap kept back: the gravest first."""
    alerts.sort(key=lambda a: (-ALERT_SEVERITIES.index(a["severity"]), a["occurred_at"], a["alert_id"]))
    lines = [f"{a['severity']}: {a['account_id']}, {a.get('title') or a['rule']}{_unwelcome(a)}" for a in alerts]
    more = len(lines) - DIGEST_LINES
    lines = [*lines[:DIGEST_LINES], *([f"and {more} more: bellwether alerts tail --owner {owner}"] if more > 0 else [])]
    identity = hashlib.sha256(f"digest\0{owner}\0{now_ms}".encode()).hexdigest()[:32]
    notice = _summary("digest", identity, owner, alerts[0]["severity"], lines, now_ms)
    step = {"playbook": "digest", "goal": "", "steps": ["look through them"], "owner": owner, "due_at": rfc3339(now_ms)}
    return notice | {"title": f"{len(alerts)} more alerts of today", "next_step": step}


def _unwelcome(alert: dict[str, Any]) -> str:
    suppressed = (alert.get("next_step") or {}).get("suppressed", [])
    return f" (no outreach: {', '.join(suppressed)})" if suppressed else ""


def _portfolio(
    entry: Entry, group: str, moved: int, size: int, within_ms: int, now_ms: int, marked: int | None = None
) -> dict[str, Any]:
    """Return what tells of a group's fall, or with `marked`, of its end."""
    hours = within_ms / 3_600_000
    question = f"{moved / size if size else 0:.0%} of {group} fell in {hours:g} h: data outage, season or product?"
    lines = [
        f"{moved} of {size} accounts have a new alert",
        "the single alerts are marked and not delivered one by one",
    ]
    notice = _summary(PORTFOLIO, entry["alert"], group, entry["severity"], lines, now_ms) | {"title": question}
    if marked is None:
        return notice
    ended = {"state": "resolved", "sequence": 2, "resolution": "CONDITION_ENDED", "title": f"{group} fell as a whole"}
    reasons = [{"code": "PORTFOLIO", "text": f"{marked} single alerts were marked", "contribution": 0.0}]
    return notice | ended | {"reasons": reasons}
