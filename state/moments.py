"""Milliseconds to text. Reading text is `state.timestamps`."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_ms: int) -> str:
    """Return an instant as RFC 3339 text in UTC, to the millisecond.

    Examples
    --------
    >>> rfc3339(1_772_323_200_000)
    '2026-03-01T00:00:00.000Z'
    """
    return (_EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"
