"""What a backtest asks: which outcome, how far ahead, and as of which days.

as of        horizon
  T |------------------------| T + h          rows: every account that can be predicted at T
    |      outcome in [T, T + h): positive; what a silence is, `silence.py` says
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from scoring.durations import format_duration, parse_duration
from scoring.model import TOPICS
from state.layout import DAY_MS
from streams.backtest.silence import Silence
from streams.halt import Refusal

OUTCOMES = ("churned", "contracted", "renewed", "expanded")
SHORTEST_DAYS, LONGEST_DAYS = 1, 365
MONDAY = 4
"""1970-01-01 was a Thursday: days since then leave this remainder by 7 on Mondays."""

_SILENCE = re.compile(r"silence:(?P<topic>[a-z]+)(:(?P<event>[^:]+))?:(?P<duration>\w+)")
AsOf = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Question:
    """Which outcome within which time.

    Parameters
    ----------
    outcome
        One of `OUTCOMES`, or a silence.
    horizon_ms
        Time ahead, whole days, milliseconds.
    """

    outcome: str | Silence
    horizon_ms: int

    @property
    def text(self) -> str:
        """The outcome as it is written on the command line."""
        return outcome_text(self.outcome)


def outcome_text(outcome: str | Silence) -> str:
    """Return an outcome as it is written on the command line."""
    if isinstance(outcome, str):
        return outcome
    parts = ("silence", outcome.topic, outcome.event, format_duration(outcome.duration_ms))
    return ":".join(part for part in parts if part)


def parse_outcome(text: str) -> str | Silence:
    """Return what an outcome's text stands for.

    Raises
    ------
    Refusal
        When it is neither an outcome nor a silence.

    Examples
    --------
    >>> parse_outcome("silence:billing:purchase:90d")
    Silence(topic='billing', event='purchase', duration_ms=7776000000)
    """
    if text in OUTCOMES:
        return text
    match = _SILENCE.fullmatch(text)
    duration_ms = parse_duration(match["duration"]) if match else None
    if not match or match["topic"] not in TOPICS or not duration_ms:
        forms = f"{', '.join(OUTCOMES)} or silence:TOPIC[:EVENT]:DURATION with a topic of {', '.join(TOPICS)}"
        raise Refusal(f"--outcome: expected {forms}, got '{text}' — write for example silence:billing:purchase:90d")
    return Silence(match["topic"], match["event"] or "", duration_ms)


def parse_horizon(text: str) -> int:
    """Return a horizon in milliseconds.

    Raises
    ------
    Refusal
        When it is no whole number of days from 1 to 365.
    """
    duration_ms = parse_duration(text) or 0
    if duration_ms % DAY_MS or not SHORTEST_DAYS <= duration_ms // DAY_MS <= LONGEST_DAYS:
        expected = f"whole days from {SHORTEST_DAYS}d to {LONGEST_DAYS}d"
        raise Refusal(f"--horizon: expected {expected}, got '{text}' — write for example 30d")
    return duration_ms


def parse_as_of(text: str) -> AsOf:
    """Return a function that tells whether a midnight, milliseconds UTC, is an as-of time.

    Raises
    ------
    Refusal
        When the text is neither weekly, monthly nor dates.

    Examples
    --------
    >>> weekly = parse_as_of("weekly")
    >>> weekly(1_772_409_600_000), weekly(1_772_496_000_000)  # Monday and Tuesday, March 2026
    (True, False)
    """
    if text == "weekly":
        return lambda at_ms: at_ms // DAY_MS % 7 == MONDAY
    if text == "monthly":
        return lambda at_ms: datetime.fromtimestamp(at_ms / 1000, UTC).day == 1
    try:
        days = {date.fromisoformat(part.strip()) for part in text.split(",")}
    except ValueError as error:
        given = f"weekly, monthly or dates such as 2026-03-01,2026-04-01, got '{text}'"
        raise Refusal(f"--as-of: expected {given} — correct it") from error
    chosen = frozenset(int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) * 1000 for d in days)
    return chosen.__contains__
