"""Records of the topics as what was said, what came and what was done, and the report of it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
import orjson

from scoring.durations import format_duration
from scoring.model import Model
from state.decode import decode_chunk, decode_event
from state.events import Outcome
from state.layout import DAY_MS
from state.record import Record
from streams.backtest.question import outcome_text, parse_outcome
from streams.backtest.silence import Silence
from streams.effect import Answer, Cases, PlaybookEffect
from streams.feedback.judging import WEEK_MS, Asked, judge
from streams.feedback.ledger import Ledger, midnight
from streams.feedback.listening import Hearing
from streams.halt import FAILED, Refusal

CASE_DAYS: Final = 400
"""As long as alerts are kept."""


@dataclass(frozen=True, slots=True)
class Question:
    """What people ask: which outcome, within which time (ms; both None = the model's own), and how much is recent (ms)."""

    outcome: str | None
    horizon_ms: int | None
    recent_ms: int

    def of(self, model: Model) -> Asked:
        """Return what that comes to for a model's predictions.

        Raises
        ------
        Refusal
            It is a silence of hours: what was heard is kept by the day.
        """
        outcome = parse_outcome(self.outcome or model.outcome)
        if isinstance(outcome, Silence) and outcome.duration_ms % DAY_MS:
            raise Refusal(
                f"{model.name} {model.version}: expected a silence of whole days, got '{outcome_text(outcome)}' - "
                "give --outcome, such as silence:billing:purchase:90d"
            )
        horizon_ms = self.horizon_ms or model.horizon_ms
        return Asked(outcome, horizon_ms, horizon_ms / model.horizon_ms, self.recent_ms)


class Feedback:
    """What was said and what came, as far as read.

    Parameters
    ----------
    question
        What is asked.
    models
        Those whose predictions may be met, the newest last.
    """

    def __init__(self, question: Question, models: Iterable[Model]) -> None:
        self._question = question
        self._models = {model.fingerprint: model for model in models}
        asked = [question.of(model) for model in self._models.values()]
        self.ledger = Ledger(max(each.weeks for each in asked))
        silences = {each.outcome for each in asked if isinstance(each.outcome, Silence)}
        self.ledger.hearings = {silence: Hearing(silence) for silence in silences}
        self.cases = Cases()

    @property
    def heard(self) -> tuple[str, ...]:
        """Topics in which silences are listened for."""
        return tuple(sorted({silence.topic for silence in self.ledger.hearings}))

    def knows(self) -> bool:
        """Return whether the model of the newest prediction is known."""
        return not self.ledger.present or self.ledger.present in self._models

    def learn(self, models: Iterable[Model]) -> None:
        """Take further models.

        Raises
        ------
        Refusal
            One has a longer horizon than there is room for, or foretells a silence that was not listened for.
        """
        for model in models:
            asked = self._question.of(model)
            if isinstance(asked.outcome, Silence) and asked.outcome not in self.ledger.hearings:
                raise Refusal(
                    f"{model.name} {model.version}: foretells another silence than the former ones - start again",
                    FAILED,
                )
            if asked.weeks > self.ledger.weeks:
                raise Refusal(
                    f"{model.name} {model.version}: looks further ahead than the former ones - start again", FAILED
                )
            self._models[model.fingerprint] = model

    def take(self, topic: str, record: Record) -> None:
        """Take a record of `alerts`, `commands`, `outcomes` or `score-history`; what the workers refused says nothing here."""
        if topic == "outcomes":
            event = decode_event(topic, record.value, record.headers)
            if isinstance(event, Outcome):
                self.ledger.take_outcome(event.account_id, event.occurred_at_ms, event.outcome)
        elif topic == "commands":
            with suppress(msgspec.MsgspecError):
                self.cases.take_answer(msgspec.json.decode(record.value or b"", type=Answer))
        elif topic == "alerts":
            self.cases.take_alert(orjson.loads(record.value or b""))
        else:
            close = orjson.loads(record.value or b"")
            self.ledger.take_close(close)
            if "band" in close:
                self.cases.take_band(close["account_id"], midnight(close["at"]), close["band"])

    def hear(self, topic: str, records: Sequence[Record], skew_ms: int) -> None:
        """Take records of a topic in which silences are listened for; what workers refuse breaks none."""
        events = decode_chunk(topic, records, skew_ms)
        for silence, hearing in self.ledger.hearings.items():
            if silence.topic == topic:
                hearing.take(events)

    def miss(self, topic: str, before_ms: int) -> None:
        """Note that events of a topic before an instant may never have been read."""
        for silence, hearing in self.ledger.hearings.items():
            if silence.topic == topic:
                hearing.miss(before_ms)

    def report(self) -> dict[str, Any]:
        """Return what was said and what came, and forget what no later report needs."""
        model = self._models.get(self.ledger.present) or next(reversed(self._models.values()))
        asked = self._question.of(model)
        report = {
            "model": {"name": model.name, "version": model.version, "fingerprint": self.ledger.present or None},
            "outcome": outcome_text(asked.outcome),
            "horizon": format_duration(asked.horizon_ms),
            "recent": format_duration(asked.recent_ms),
            **judge(self.ledger, asked, model),
            "playbooks": [_plain(each) for each in self.cases.effects(model)],
        }
        now_ms = self.ledger.newest_ms
        self.ledger.forget(now_ms - self.ledger.weeks * WEEK_MS, max(asked.recent_ms // WEEK_MS, 1) + 1)
        self.cases.forget(now_ms - CASE_DAYS * DAY_MS)
        return report


def _plain(effect: PlaybookEffect) -> dict[str, Any]:
    return {
        name: {"count": value["count"], "of": value["of"]} if isinstance(value, dict) else value
        for name, value in asdict(effect).items()
    }
