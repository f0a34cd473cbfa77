"""The table `[load]` of a targets file → `Load`, each fault noted at its place."""

import re
from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from scoring.model import ALERT_SEVERITIES
from scoring.reading import Table
from streams.notify.load import Load, PortfolioGuard, QuietHours, Silence

MAX_SILENCES: Final = 100
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
GROUPS: Final = ("segment", "plan")
MATCHED: Final = ("rule", "account_id", *GROUPS)
MAX_CAP: Final = 1_000_000
HOUR_MS: Final = 3_600_000


def read_load(root: Table) -> Load | None:
    """Return what is bearable, None where the file has no ``[load]``."""
    if "load" not in root:
        root.raw("load")
        return None
    table = root.table("load")
    zones = table.table("time_zones")
    load = Load(
        per_owner=table.whole("per_owner_per_day", 0, 0, MAX_CAP),
        per_playbook=table.whole("per_playbook_per_day", 0, 0, MAX_CAP),
        urgent=table.choice("urgent", ALERT_SEVERITIES, ALERT_SEVERITIES[-1]),
        digest_at=_clock(table, "digest_at", "17:00"),
        zone=_zone(table, "time_zone", "UTC"),
        zones={owner: _zone(zones, owner, None) for owner in zones.keys()},  # noqa: SIM118 - a Table is no mapping
        quiet_hours=_quiet_hours(table),
        silences=tuple(_silence(each) for each in table.rows("silences", MAX_SILENCES)),
        portfolio=_portfolio(table),
    )
    table.finish()
    return load


def _quiet_hours(table: Table) -> QuietHours | None:
    if "quiet_hours" not in table:
        table.raw("quiet_hours")
        return None
    hours = table.table("quiet_hours")
    quiet = QuietHours(_clock(hours, "from", None), _clock(hours, "to", None))
    if quiet.start == quiet.end and {"from", "to"} <= set(hours.keys()):
        hours.note("to")("another time than from", f"'{quiet.end:%H:%M}'", "a whole day would hold everything back")
    hours.finish()
    return quiet


def _portfolio(table: Table) -> PortfolioGuard | None:
    if "portfolio" not in table:
        table.raw("portfolio")
        return None
    guard = table.table("portfolio")
    by = guard.texts("by") or GROUPS
    if unknown := [name for name in by if name not in GROUPS]:
        guard.note("by")(f"some of {', '.join(GROUPS)}", f"'{unknown[0]}'", "groups are made by these attributes")
    found = PortfolioGuard(
        by=by,
        share=guard.number("share", 0.2, 0.01, 1.0),
        within_ms=guard.duration_ms("within", "2h") or HOUR_MS,
        at_least=guard.whole("at_least", 10, 2, MAX_CAP),
    )
    guard.finish()
    return found


def _silence(table: Table) -> Silence:
    matches = {name: table.text(name) for name in MATCHED if name in table}
    for name in MATCHED:
        table.raw(name)
    if not matches:
        table.note("")(f"one of {', '.join(MATCHED)}", "none", "a silence for everything would hide what matters")
    silence = Silence(matches, _moment(table, "from"), _moment(table, "to"), table.text("reason"))
    if silence.to_ms <= silence.from_ms and {"from", "to"} <= set(table.keys()):
        table.note("to")("a time after from", "one that is not", "correct one of them")
    table.finish()
    return silence


def _moment(table: Table, key: str) -> int:
    """Return an instant in milliseconds; TOML has times of its own."""
    given = table.raw(key)
    if isinstance(given, datetime) and given.tzinfo is not None:
        return round(given.astimezone(UTC).timestamp() * 1000)
    table.note(key)(
        "a time such as 2026-03-01T09:00:00Z", "nothing" if given is None else f"'{given}'", "write it without quotes"
    )
    return 0


def _clock(table: Table, key: str, default: str | None) -> time:
    given = table.text(key, default)
    match = CLOCK.fullmatch(given)
    if match is None:
        if given:
            table.note(key)("a time of day such as '17:00'", f"'{given}'", "write hours and minutes")
        return time(0)
    return time(int(match[1]), int(match[2]))


def _zone(table: Table, key: str, default: str | None) -> ZoneInfo:
    given = table.text(key, default)
    try:
        return ZoneInfo(given or "UTC")
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        table.note(key)(
            "a time zone such as 'Europe/Berlin'", f"'{given}'", "use a name of the IANA time zone database"
        )
        return ZoneInfo("UTC")
