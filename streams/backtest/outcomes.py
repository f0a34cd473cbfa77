"""What happened, read ahead of the replay and kept away from it: only the judging of finished rows looks at it.

The kernel meets outcomes where they stand in the history, as it does live; here they are the answers in the back of
the book.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.layout import NO_VALUE
from state.timestamps import parse_times
from streams.backtest.question import OUTCOMES, Question
from streams.backtest.silence import MOST_ACCOUNTS, SILENT, TIME_BITS, Moment, Silence, counted
from streams.cli.files import EventFile
from streams.halt import Refusal

Times = NDArray[np.int64]


class _Event(msgspec.Struct):
    account_id: str = ""
    occurred_at: str = ""
    event: str = ""
    outcome: str = ""


_DECODER = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class Answers:
    """What came of each account.

    Parameters
    ----------
    moments
        Every outcome that bands are looked at before, by time.
    closed_at
        Account → its first stated outcome of any kind: rows end there.
    numbers, keys
        What `index` made: account → number, and the sorted instants with that number above them.
    """

    question: Question
    moments: list[Moment]
    closed_at: dict[str, int]
    numbers: dict[str, int] = field(default_factory=dict)
    keys: Times = field(default_factory=lambda: np.empty(0, np.int64))

    def happened(self, accounts: Sequence[str], at_ms: Times) -> NDArray[np.float64]:
        """Return 1 where the outcome came within the horizon after an as-of time, else 0."""
        outcome, horizon_ms = self.question.outcome, self.question.horizon_ms
        since, until = outcome.span(at_ms, horizon_ms) if isinstance(outcome, Silence) else (at_ms, at_ms + horizon_ms)
        numbers = np.array([self.numbers.get(account, -1) for account in accounts], np.int64)
        spoke = counted(self.keys, numbers, since, until) > 0
        return (~spoke if isinstance(outcome, Silence) else spoke).astype(np.float64)

    def index(self, accounts: Sequence[str], at_ms: Times) -> None:
        """Take the instants that `happened` counts: of the outcome, or of what a silence listens for."""
        for account in accounts:
            self.numbers.setdefault(account, len(self.numbers))
        if len(self.numbers) > MOST_ACCOUNTS:
            raise Refusal(f"expected at most {MOST_ACCOUNTS} accounts with such events, got more — split the folder")
        numbers = np.array([self.numbers[account] for account in accounts], np.int64)
        self.keys = np.sort((numbers << TIME_BITS) + at_ms)

    @property
    def positives(self) -> int:
        """How many outcomes of the asked kind there are."""
        kind = SILENT if isinstance(self.question.outcome, Silence) else self.question.outcome
        return sum(moment.kind == kind for moment in self.moments)


def read_answers(files: Sequence[EventFile], question: Question) -> Answers:
    """Return what happened, from the files of a history. Memory: all outcomes, and every event a silence listens for."""
    stated = [event for file in files if file.topic == "outcomes" for event in _events(file)]
    moments = [Moment(account, at_ms, kind) for account, at_ms, _, kind in stated if kind in OUTCOMES]
    closed_at: dict[str, int] = {}
    for moment in moments:
        closed_at[moment.account] = min(moment.at_ms, closed_at.get(moment.account, moment.at_ms))
    answers = Answers(question, moments, closed_at)
    if isinstance(question.outcome, Silence):
        _listen(answers, files, question.outcome)
    else:
        chosen = [moment for moment in answers.moments if moment.kind == question.outcome]
        answers.index([moment.account for moment in chosen], _array([moment.at_ms for moment in chosen]))
    answers.moments.sort(key=lambda moment: (moment.at_ms, moment.account))
    return answers


def _listen(answers: Answers, files: Sequence[EventFile], silence: Silence) -> None:
    """Find who spoke when; an account's silence is complete a duration after its last event, if the history goes on."""
    accounts: list[str] = []
    times: list[int] = []
    for file in files:
        for account, at_ms, event, _ in _events(file) if file.topic == silence.topic else ():
            if silence.is_broken_by(event):
                accounts.append(account)
                times.append(at_ms)
    answers.index(accounts, _array(times))
    last: dict[str, int] = {}
    for account, at_ms in zip(accounts, times, strict=True):
        last[account] = max(at_ms, last.get(account, at_ms))
    end_ms = max(last.values(), default=0)
    answers.moments = [silence.moment(account, at_ms, end_ms) for account, at_ms in last.items()]


def _events(file: EventFile) -> Iterator[tuple[str, int, str, str]]:
    """Yield (account, milliseconds UTC, event, outcome); lines that are no events are the replay's to tell of."""
    for _, lines in file.blocks():
        found = []
        for line in lines:
            try:
                found.append(_DECODER.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        for event, at_ms in zip(found, parse_times([event.occurred_at for event in found]).tolist(), strict=True):
            if at_ms != NO_VALUE and at_ms >= 0 and event.account_id:
                yield event.account_id, at_ms, event.event, event.outcome


def _array(numbers: Sequence[int]) -> Times:
    return np.array(numbers, np.int64)
