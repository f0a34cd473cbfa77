"""The topic `models` as people use it: what was published, what a publication brings, and how far it has come.

A publication is one record in every partition, written in one transaction: all partitions get it or none does, and two
people who publish at once cannot leave partitions with different models.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from scoring.model import Model
from scoring.presets import parse_text
from scoring.weighing import weights_of
from state.changelog import PARTITION, Meta
from state.models import DECODER, Publication
from state.moments import rfc3339
from streams import topics
from streams.access import kafka, kafka_refusal
from streams.halt import Refusal
from streams.reading import committed, read_all
from streams.recovery import Source, newest_value
from streams.settings import Settings

MODELS: Final = "models"
POLL_SECONDS: Final = 0.3
LARGEST_BYTES: Final = 400_000
"""A record holds two model files and must fit a topic's largest message."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What rows that were scored by one model bring along for another.

    Parameters
    ----------
    young
        Inputs that begin without history, because their signals are new.
    share, segment
        Part of the new model's weight that has its history, 0-1, and in which of its segments: where it is least, "" = in none.
    new_rules, gone_rules
        Rules, those of bands included, by name.
    """

    young: tuple[str, ...]
    share: float
    segment: str
    new_rules: tuple[str, ...]
    gone_rules: tuple[str, ...]


def takeover(old: Model, new: Model) -> Takeover:
    """Return what a change from one model to another keeps."""
    known = {signal.fingerprint for signal in old.signals}
    missing = {signal.name for signal in new.signals if signal.fingerprint not in known}
    is_young = np.array([bool(missing & {entry.value.signal, entry.value.other}) for entry in new.inputs])
    weights = weights_of(new)
    shares = 1.0 - weights @ is_young / weights.sum(axis=1)
    least = int(shares.argmin())
    before, after = _rules(old), _rules(new)
    return Takeover(
        young=tuple(entry.name for entry, young in zip(new.inputs, is_young, strict=True) if young),
        share=float(shares[least]),
        segment=["", *(segment.name for segment in new.segments)][least],
        new_rules=tuple(name for name in after if name not in before),
        gone_rules=tuple(name for name in before if name not in after),
    )


def _rules(model: Model) -> list[str]:
    bands = [f"band-{band.name}" for band in model.bands if band.alert]
    return bands + [rule.name for rule in model.rules]


async def publications(settings: Settings) -> list[tuple[int, Publication]]:
    """Return what was published so far, each with its offset in partition 0; every partition holds the same."""
    found = []
    async for record in read_all(settings, settings.topic(MODELS), 0):
        try:
            found.append((record.offset, DECODER.decode(record.value or b"")))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # workers wrote it to the dead letters
    return found


async def running(settings: Settings) -> dict[int, str]:
    """Return partition → fingerprint of the model it scored with at its last flush; partitions without one are absent."""
    return {number: meta.model for number, meta in (await newest_metas(settings)).items()}


async def newest_metas(settings: Settings) -> dict[int, Meta]:
    """Return partition → what its last flush said beside rows; partitions without one are absent."""
    source = Source(kafka(settings), settings.app_id, settings.changelog, {})
    numbers = await topics.partitions(settings, settings.changelog)
    found = {}
    async with source.consumer() as consumer:
        for number in numbers:
            place = TopicPartition(settings.changelog, number)
            consumer.assign([place])
            start = (await consumer.beginning_offsets([place]))[place]
            end = (await consumer.end_offsets([place]))[place]
            value = await newest_value(consumer, place, (start, end), PARTITION)
            if value is not None:
                found[number] = msgspec.json.decode(value, type=Meta)
    return found


async def publish(settings: Settings, text: str, before: str, number: int, by: str, note: str, *, back: bool) -> int:
    """Write a model to every partition; return how many there are.

    Parameters
    ----------
    text, before
        The model file, and that of the model it takes the place of.
    number
        Counts publications from 1.
    by, note
        Who publishes it, and why.
    back
        It is an earlier model again.

    Raises
    ------
    Refusal
        Kafka does not take it, or somebody else publishes at the same time.
    """
    model, now_ms = parse_text(text, "models"), time.time_ns() // 1_000_000
    value = msgspec.json.encode(
        Publication(
            kind="active",
            number=number,
            name=model.name,
            version=model.version,
            fingerprint=model.fingerprint,
            text=text,
            by=by,
            published_at=rfc3339(now_ms),
            before=before,
            note=note,
            is_rollback=back,
        )
    )
    if len(text.encode()) > LARGEST_BYTES:
        raise Refusal(f"{model.name} {model.version}: expected at most {LARGEST_BYTES} bytes, got {len(text.encode())}")
    topic = settings.topic(MODELS)
    numbers = await topics.partitions(settings, topic)
    producer = AIOKafkaProducer(**kafka(settings), transactional_id=f"{settings.app_id}-models", acks="all")
    try:
        await producer.start()
        async with producer.transaction():
            sent = [
                await producer.send(topic, value, key=model.name.encode(), partition=each, timestamp_ms=now_ms)
                for each in numbers
            ]
            await asyncio.gather(*sent)
    except (ProducerFenced, InvalidProducerEpoch) as error:
        raise Refusal("somebody else publishes a model at this moment — see `bellwether model history`") from error
    except KafkaError as error:
        raise Refusal(kafka_refusal(error) or f"{topic}: Kafka does not take the model ({error!r})") from error
    finally:
        await producer.stop()
    return len(numbers)


async def arrived(settings: Settings, number: int) -> tuple[int, int]:
    """Return how many partitions score with a publication or a later one already, and how many there are."""
    topic = settings.topic(MODELS)
    offsets = {
        place.partition: meta.offset
        for place, meta in (await committed(settings, settings.app_id)).items()
        if place.topic == topic
    }
    written: dict[int, int] = {}
    numbers = await topics.partitions(settings, topic)
    async for record in read_all(settings, topic):
        try:
            if DECODER.decode(record.value or b"").number == number:
                written[record.partition] = record.offset
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    there = sum(offsets.get(each, 0) > written[each] for each in numbers if each in written)
    return there, len(numbers)


def highest_version(name: str, found: Sequence[tuple[int, Publication]]) -> int:
    """Return the highest version of a model that was ever published, 0 without any."""
    return max((each.version for _, each in found if each.name == name), default=0)
