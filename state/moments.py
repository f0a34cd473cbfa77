"""Milliseconds to text. Reading text is `state.timestamps`."""

from datetime import date, timedelta
from functools import lru_cache

from state.layout import DAY_MS

_EPOCH = date(1970, 1, 1)


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def rfc3339(at_ms: int) -> str:
    """Return an instant as RFC 3339 text in UTC, to the millisecond.

    Examples
    --------
    >>> rfc3339(1_772_323_200_000)
    '2026-03-01T00:00:00.000Z'
    """
    day, rest = divmod(at_ms, DAY_MS)
    seconds, ms = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day(day)}T{hour:02d}:{minute:02d}:{second:02d}.{ms:03d}Z"
