"""Durations as people write them: ``24h``, ``14d``, ``2w``."""

import re

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
"""Length of each unit in milliseconds. There is no month: it has no fixed length."""

_FORM = re.compile(r"(\d{1,6})(ms|s|m|h|d|w)")


def parse_duration(text: str) -> int | None:
    """Return the milliseconds a text stands for, or None when it is not a duration.

    Examples
    --------
    >>> parse_duration("36h")
    129600000
    >>> parse_duration("3 months") is None
    True
    """
    match = _FORM.fullmatch(text.strip())
    return int(match[1]) * UNITS_MS[match[2]] if match else None


def format_duration(duration_ms: int) -> str:
    """Return the shortest text in one unit that stands for exactly these milliseconds; weeks are written in days.

    Examples
    --------
    >>> format_duration(129_600_000), format_duration(1_209_600_000), format_duration(0)
    ('36h', '14d', '0h')
    """
    if duration_ms == 0:
        return "0h"
    for unit in ("d", "h", "m", "s"):
        if duration_ms % UNITS_MS[unit] == 0:
            return f"{duration_ms // UNITS_MS[unit]}{unit}"
    return f"{duration_ms}ms"
