"""The table `[load]`: what a right one says, every fault of a wrong one, and the hours it stands for."""

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from streams.notify.load import Load, PortfolioGuard, QuietHours, Silence
from streams.notify.reading import read_delivery
from tests.streams.notify.test_targets import faults_of

TARGET = '[targets.t]\nkind = "alertmanager"\nurl = "http://am:9093"\n'
RIGHT = """
[load]
per_owner_per_day = 20
per_playbook_per_day = 50
urgent = "warning"
digest_at = "16:30"
time_zone = "Europe/Berlin"
[load.quiet_hours]
from = "20:00"
to = "08:00"
[load.time_zones]
"ann@example.com" = "Australia/Sydney"
[load.portfolio]
by = "segment"
share = 0.3
within = "90m"
at_least = 5
[[load.silences]]
segment = "smb"
from = 2026-03-01T08:00:00Z
to = 2026-03-01T10:00:00+01:00
reason = "migration"
"""


def ms(*parts: int) -> int:
    """Milliseconds of a moment in UTC."""
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


def test_a_right_table_is_read(tmp_path: Path) -> None:
    """Every key becomes its value; without the table everything is delivered at once."""
    (tmp_path / "t.toml").write_text(TARGET + RIGHT)
    berlin = ZoneInfo("Europe/Berlin")
    assert read_delivery(tmp_path / "t.toml", {}).load == Load(
        per_owner=20,
        per_playbook=50,
        urgent="warning",
        digest_at=time(16, 30),
        zone=berlin,
        zones={"ann@example.com": ZoneInfo("Australia/Sydney")},
        quiet_hours=QuietHours(time(20), time(8)),
        silences=(Silence({"segment": "smb"}, ms(2026, 3, 1, 8), ms(2026, 3, 1, 9), "migration"),),
        portfolio=PortfolioGuard(("segment",), 0.3, 5_400_000, 5),
    )
    (tmp_path / "t.toml").write_text(TARGET)
    assert read_delivery(tmp_path / "t.toml", {}).load is None


def test_every_fault_is_told(tmp_path: Path) -> None:
    """One line a fault, with what to do."""
    text = """
[load]
digest_at = "25:00"
time_zone = "Mars/Olympus"
per_owner = 3
[load.quiet_hours]
from = "08:00"
to = "08:00"
[load.portfolio]
by = ["owner"]
[[load.silences]]
from = "2026-03-01"
to = 2026-03-01T08:00:00Z
reason = "all"
"""
    assert faults_of(TARGET + text, tmp_path) == [
        "$.load.digest_at: expected a time of day such as '17:00', got '25:00' — write hours and minutes",
        "$.load.time_zone: expected a time zone such as 'Europe/Berlin', got 'Mars/Olympus' — use a name of the IANA time zone database",
        "$.load.quiet_hours.to: expected another time than from, got '08:00' — a whole day would hold everything back",
        "$.load.silences[0]: expected one of rule, account_id, segment, plan, got none — a silence for everything would hide what matters",
        "$.load.silences[0].from: expected a time such as 2026-03-01T09:00:00Z, got '2026-03-01' — write it without quotes",
        "$.load.portfolio.by: expected some of segment, plan, got 'owner' — groups are made by these attributes",
        "$.load.per_owner: expected one of digest_at, per_owner_per_day, per_playbook_per_day, portfolio, quiet_hours, silences, time_zone, time_zones, urgent, got 'per_owner' — did you mean 'per_owner_per_day'?",
    ]


@pytest.mark.parametrize(
    ("hours", "zone", "now", "end"),
    [
        (QuietHours(time(20), time(8)), "UTC", (2026, 3, 2, 19, 59), None),
        (QuietHours(time(20), time(8)), "UTC", (2026, 3, 2, 20), (2026, 3, 3, 8)),
        (QuietHours(time(20), time(8)), "UTC", (2026, 3, 3, 7, 59), (2026, 3, 3, 8)),
        (QuietHours(time(12), time(14)), "UTC", (2026, 3, 3, 13), (2026, 3, 3, 14)),
        (QuietHours(time(12), time(14)), "UTC", (2026, 3, 3, 14), None),
        # The clocks go forward in this night: the morning comes an hour sooner in UTC.
        (QuietHours(time(20), time(8)), "Europe/Berlin", (2026, 3, 28, 23), (2026, 3, 29, 6)),
        (QuietHours(time(20), time(8)), "America/New_York", (2026, 3, 3, 12), (2026, 3, 3, 13)),
    ],
)
def test_quiet_hours_follow_the_owner_s_clock(
    hours: QuietHours, zone: str, now: tuple[int, ...], end: tuple[int, ...] | None
) -> None:
    """Over midnight, within a day, and over a change of the clocks."""
    assert hours.end_after(ms(*now), ZoneInfo(zone)) == (None if end is None else ms(*end))


def test_digests_go_out_at_their_hour() -> None:
    """Today while it is to come, else tomorrow."""
    load = Load(digest_at=time(17), zone=ZoneInfo("Europe/Berlin"))
    assert load.digest_after(ms(2026, 3, 2, 15, 59)) == ms(2026, 3, 2, 16)
    assert load.digest_after(ms(2026, 3, 2, 16)) == ms(2026, 3, 3, 16)
