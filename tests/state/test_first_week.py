"""An account's first week has no habit yet to fall from."""

import json

import pytest

from scoring.compile import compile_model
from scoring.presets import load_model
from state.decode import LoneRecord
from state.history import HistoryPartition

DAY_MS = 86_400_000
MONDAY_MS = 1_772_409_600_000  # 2026-03-02


def health_after(days: int, busy_days: int) -> float:
    """Return the health of an account that came eight times a day on its first days, and then no more."""
    state = HistoryPartition(compile_model(load_model("saas-renewal")))
    records = []
    for n in range(8 * busy_days):
        at = f"2026-03-{2 + n // 8:02d}T{9 + n % 8:02d}:00:00Z"
        event = {"id": f"{n}", "account_id": "acme", "occurred_at": at, "event": "login"}
        records.append(LoneRecord(json.dumps(event).encode(), (), n, MONDAY_MS + 30 * DAY_MS))
    state.apply("usage", records)
    state.tick(MONDAY_MS + days * DAY_MS)
    return float(state.snapshots()[0]["health"])


@pytest.mark.parametrize("busy_days", [1, 5])
def test_first_weekend_is_no_collapse(busy_days: int) -> None:
    """Working days, or a single busy day, before the first weekend are no habit that a quiet Sunday could break."""
    assert health_after(7, busy_days) > 70


def test_silence_after_a_busy_start_still_tells() -> None:
    """After three weeks of nothing the same account is far below green: the week without a verdict hides nothing."""
    assert health_after(26, 5) < 50
