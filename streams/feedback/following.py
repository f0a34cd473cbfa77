"""Reads what was said and what came from the topics, and goes on as more is committed.

It joins no group, commits nothing and writes nothing: workers do not know of it, and who starts it anew reads all again.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from time import monotonic, time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from scoring.faults import ModelError
from scoring.model import Model
from scoring.presets import load_model, parse_text
from streams import topics
from streams.access import kafka
from streams.ending import ended
from streams.feedback.joining import Feedback, Question
from streams.halt import FAILED, Refusal
from streams.models import publications
from streams.settings import Settings

EARLY: Final = ("alerts", "commands", "outcomes")
"""Read to their ends before `score-history`: of accounts without alerts no bands are kept."""
HISTORY: Final = "score-history"
POLL_MS: Final = 500
TOLD_RECORDS: Final = 100_000


async def reports(
    settings: Settings, question: Question, every_seconds: float | None, told: Callable[[int], None]
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the report of all there is, and with `every_seconds` another one that often, without end.

    Parameters
    ----------
    told
        Hears how many records were read, now and then.

    Raises
    ------
    Refusal
        No broker answers, a topic is missing, or no model can be read.
    """
    feedback = Feedback(question, await _models(settings))
    early_topics = (*EARLY, *feedback.heard)
    places = {topic: await _places(settings, topic) for topic in (*early_topics, HISTORY)}
    early = [place for topic in early_topics for place in places[topic]]
    consumer = AIOKafkaConsumer(
        **kafka(settings), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        topic_of = {place: topic for topic, own in places.items() for place in own}
        reader = _Reader(consumer, feedback, topic_of, settings.future_skew_seconds * 1000, told)
        await reader.read(early)
        await reader.read(places[HISTORY])
        await _learn(settings, feedback)
        yield feedback.report()
        while every_seconds is not None:
            await reader.follow(list(topic_of), every_seconds)
            await reader.read(early)  # what broke a silence is known before what was said of that day is judged
            await _learn(settings, feedback)
            yield feedback.report()
    finally:
        await ended(consumer.stop())


class _Reader:
    """Hands records over, and knows how far it has come and what was deleted before it could be read."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        feedback: Feedback,
        topic_of: Mapping[TopicPartition, str],
        skew_ms: int,
        told: Callable[[int], None],
    ) -> None:
        self._consumer = consumer
        self._feedback = feedback
        self._topic_of = topic_of
        self._skew_ms = skew_ms
        self._told = told
        self._positions: dict[TopicPartition, int] = {}
        self._gaps: set[TopicPartition] = set()
        self._count = 0

    async def read(self, places: list[TopicPartition]) -> None:
        """Read to where the logs end now."""
        ends = await self._begin(places)
        while any(self._positions[place] < end for place, end in ends.items()):
            await self._poll(places)
        for place in self._gaps.intersection(places):  # all of it was deleted: from now on nothing will be missed
            self._feedback.miss(self._topic_of[place], round(time() * 1000))
            self._gaps.discard(place)

    async def follow(self, places: list[TopicPartition], seconds: float) -> None:
        """Read what comes within some seconds."""
        await self._begin(places)
        until = monotonic() + seconds
        while monotonic() < until:
            await self._poll(places)

    async def _begin(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self._consumer.assignment() != set(places):
            self._consumer.assign(places)
            for place, start in (await self._consumer.beginning_offsets(places)).items():
                known = self._positions.get(place, 0)
                self._gaps |= {place} if start > known else set()
                self._consumer.seek(place, max(start, known))
            self._positions |= {place: await self._consumer.position(place) for place in places}
        return dict(await self._consumer.end_offsets(places))

    async def _poll(self, places: list[TopicPartition]) -> None:
        for place, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            topic = self._topic_of[place]
            if topic in self._feedback.heard:
                if place in self._gaps:
                    self._feedback.miss(topic, records[0].timestamp)
                    self._gaps.discard(place)
                self._feedback.hear(topic, records, self._skew_ms)
            else:
                for record in records:
                    self._feedback.take(topic, record)
            before, self._count = self._count, self._count + len(records)
            if before // TOLD_RECORDS < self._count // TOLD_RECORDS:
                self._told(self._count)
        # The position also passes what is never delivered: aborted records and transaction markers.
        self._positions |= {place: await self._consumer.position(place) for place in places}


async def _places(settings: Settings, topic: str) -> list[TopicPartition]:
    name = settings.topic(topic)
    return [TopicPartition(name, number) for number in await topics.partitions(settings, name)]


async def _models(settings: Settings) -> list[Model]:
    """Return the model that the application began with and those published since, the newest last."""
    try:
        first = load_model(settings.model)
    except ModelError as error:
        raise Refusal(str(error), FAILED) from error
    return [first, *(parse_text(each.text, "models") for _, each in await publications(settings))]


async def _learn(settings: Settings, feedback: Feedback) -> None:
    """Look for the model of the newest predictions, where it is not known yet."""
    if not feedback.knows():
        feedback.learn(await _models(settings))
