"""Topics are created once, as declared, and every difference is found."""

import dataclasses
import time

import pytest
from aiokafka.admin import NewTopic

from streams import topics
from streams.settings import Settings


async def test_created_topics_are_as_declared(settings: Settings) -> None:
    """The first call creates all of them, the second none, and then nothing is found to differ."""
    created = await topics.create(settings)
    assert created == [topics.kafka_name(topic, settings) for topic in topics.TOPICS]
    assert await topics.create(settings) == []
    assert await topics.check(settings) == []


async def test_missing_topics_are_found(settings: Settings) -> None:
    """Each missing topic is one finding that says what to run."""
    findings = await topics.check(settings)
    assert len(findings) == len(topics.TOPICS)
    assert str(findings[0]) == f"{settings.topic('accounts')}: is missing — run `bellwether topics create`"


async def test_a_topic_of_another_shape_is_left_alone_and_found(settings: Settings) -> None:
    """Partitions and configuration that differ are told, never changed."""
    usage = settings.topic("usage")
    async with topics.admin(settings) as admin:
        await admin.create_topics(
            [NewTopic(usage, 2, 1, topic_configs=topics.TOPICS[1].settings(1) | {"retention.ms": "604800000"})]
        )
    assert usage not in await topics.create(settings)
    assert [str(finding) for finding in await topics.check(settings)] == [
        f"{usage}: expected 4 partitions, got 2 — set BELLWETHER_PARTITIONS to what the topics have; `bellwether repartition` moves to another number",
        (
            f"{usage}: retention.ms: expected -1, got 604800000"
            f" — set it with `kafka-configs.sh --alter --topic {usage} --add-config retention.ms=-1`"
        ),
    ]


async def test_too_few_copies_are_found(provisioned: Settings) -> None:
    """A cluster with fewer copies than the settings state is told."""
    findings = await topics.check(dataclasses.replace(provisioned, replication=3))
    assert sum("expected 3 copies, got 1" in finding.what for finding in findings) == len(topics.TOPICS)
    assert sum("min.insync.replicas: expected 2, got 1" in finding.what for finding in findings) == len(topics.TOPICS)


async def test_an_unreachable_broker_is_one_sentence() -> None:
    """Where nothing listens the answer comes within ten seconds and says what to do."""
    began = time.monotonic()
    with pytest.raises(topics.KafkaUnreachableError) as failure:
        await topics.check(Settings(kafka="127.0.0.1:1"))
    assert time.monotonic() - began < 10
    assert (
        str(failure.value)
        == "127.0.0.1:1: no Kafka broker answers — start one (`bellwether up`), or set BELLWETHER_KAFKA to where it runs"
    )


def test_every_topic_states_its_retention() -> None:
    """Broker defaults delete a backfill at once, so nothing is left to them."""
    for topic in topics.TOPICS:
        config = topic.settings(1)
        assert {
            "retention.ms",
            "retention.bytes",
            "cleanup.policy",
            "message.timestamp.type",
            "message.timestamp.before.max.ms",
        } <= set(config)


def test_inputs_are_kept_and_keep_their_time() -> None:
    """What workers merge by timestamp keeps the writer's, and is never deleted by age."""
    merged = {
        "accounts",
        "usage",
        "billing",
        "support",
        "engagement",
        "outcomes",
        "commands",
        "rerouted",
        "ticks",
        "cohorts",
        "models",
    }
    configs = {topic.name: topic.settings(1) for topic in topics.TOPICS if topic.name in merged}
    assert set(configs) == merged
    assert {(config["retention.ms"], config["message.timestamp.type"]) for config in configs.values()} == {
        ("-1", "CreateTime")
    }
