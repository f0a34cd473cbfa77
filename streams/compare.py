"""What another model changes, and for whom: two models said in words, and one history scored under both."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import ndiff
from typing import Any

from scoring.compile import compile_model
from scoring.model import Model
from scoring.words import describe
from streams.cli.files import EventFile
from streams.replay import Replay, Sinks
from streams.sharing import Task, replay_all


@dataclass(frozen=True, slots=True)
class Change:
    """One account that ends in another band, worst fall of health first when sorted.

    Parameters
    ----------
    account
        Its id.
    before, after
        Band under the first and the second model.
    health_before, health_after
        0-100, None where there is too little data.
    reason
        The largest reason under the second model, in words; "" where there is none.
    """

    account: str
    before: str
    after: str
    health_before: float | None
    health_after: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of one history under two models.

    Parameters
    ----------
    accounts
        Accounts that are not closed at the end under both models.
    changes
        Those in another band, the greatest fall of health first.
    alerts
        For each model: (rule, severity) → alerts that fired.
    end_ms
        The end of the history, milliseconds UTC.
    """

    accounts: int
    changes: tuple[Change, ...]
    alerts: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]
    end_ms: int

    @property
    def moves(self) -> dict[str, int]:
        """Band → band, and how many accounts, the most first."""
        found = Counter(f"{change.before} → {change.after}" for change in self.changes)
        return dict(found.most_common())


def said_differently(old: Model, new: Model) -> list[str]:
    """Return the lines of both models' plain words that are not the same, "-" before the old ones and "+" before the new."""
    lines = ndiff(describe(old).splitlines(), describe(new).splitlines())
    return [f"{line[0]} {line[2:].strip()}" for line in lines if line[0] in "+-" and line[2:].strip()]


def compared(
    files: Sequence[EventFile],
    old: Model,
    new: Model,
    note: Callable[[str], None],
    passed: Callable[[int], None] | None = None,
) -> Comparison:
    """Score a history under both models, one after the other.

    Parameters
    ----------
    note
        Told in a sentence what takes longer than expected.
    passed
        Told the event time reached, milliseconds UTC.
    """
    before, first = _lived(files, old, note, passed)
    after, second = _lived(files, new, note, passed)
    shared = sorted(before.keys() & after.keys())
    changes = [
        _change(before[account], after[account])
        for account in shared
        if before[account]["band"] != after[account]["band"]
    ]
    changes.sort(key=lambda change: ((change.health_after or 0.0) - (change.health_before or 0.0), change.account))
    return Comparison(len(shared), tuple(changes), (first.alerts, second.alerts), second.end_ms)


def _change(before: dict[str, Any], after: dict[str, Any]) -> Change:
    reasons = after["reasons"]
    return Change(
        account=after["account_id"],
        before=before["band"],
        after=after["band"],
        health_before=before["health"],
        health_after=after["health"],
        reason=reasons[0]["text"] if reasons else "",
    )


def _lived(
    files: Sequence[EventFile], model: Model, note: Callable[[str], None], passed: Callable[[int], None] | None
) -> tuple[dict[str, dict[str, Any]], Replay]:
    """Return the last snapshot of every account, and the replay it comes from."""
    last: dict[str, dict[str, Any]] = {}

    def keep(found: list[dict[str, Any]]) -> None:
        last.update({snapshot["account_id"]: snapshot for snapshot in found})

    def begin(replay: Replay) -> None:
        last.clear()
        replay.sinks = Sinks(snapshots=keep, passed=passed)

    return last, played(files, model, note, begin)


def played(
    files: Sequence[EventFile], model: Model, note: Callable[[str], None], begin: Callable[[Replay], None]
) -> Replay:
    """Return a replay of a history that is over. A file out of order is read whole, and the replay started again.

    Parameters
    ----------
    note
        Told in a sentence that it starts again.
    begin
        Gives a replay its sinks before its first event.
    """

    def witness(replay: Replay, _: Sinks) -> Callable[[], Replay]:
        begin(replay)
        return lambda: replay

    _, (replay,) = replay_all(Task(files, compile_model(model), witness=witness), Sinks(), note)
    assert isinstance(replay, Replay)
    return replay
