"""Every topic Bellwether reads or writes: one table, made and checked by `bellwether topics create|check`.

All topics have the same number of partitions and are keyed by account id (murmur2), so that partition p of each
belongs to the same accounts. Nothing is left to broker defaults: those would delete the records of a backfill, whose
timestamps lie years in the past, within minutes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from streams.access import kafka, kafka_refusal, why_unreachable
from streams.ending import ended
from streams.halt import Refusal
from streams.settings import Settings

DAY_MS = 86_400_000
FOREVER = -1
MIB = 2**20
UNBOUNDED = 2**63 - 1
CONNECT_SECONDS = 8
LEADER_SECONDS = 30
POLL_SECONDS = 0.05
MISSING = "is missing"

# Every topic's configuration, before what `Topic` adds.
COMMON: Mapping[str, str] = {
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "message.timestamp.type": "CreateTime",
    # An event's record carries the event's time: years ago in a backfill, ahead of the clock in a demonstration.
    "message.timestamp.before.max.ms": str(UNBOUNDED),
    "message.timestamp.after.max.ms": str(UNBOUNDED),
    "max.message.bytes": str(MIB),
}
# Topics whose age is counted from when a record was written, whatever time it speaks of. Only for topics that workers
# do not merge by timestamp.
WRITTEN = {"message.timestamp.type": "LogAppendTime"}
# A rejected or rerouted record is an input record with headers added, and must fit although that one barely did.
WIDE = {"max.message.bytes": str(2 * MIB)}
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * MIB),  # the newest segment is never compacted: small ones keep a restore short
    "segment.ms": str(3_600_000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(7 * DAY_MS),  # a reader that was away for less than a week sees every erasure
}


@dataclass(frozen=True)
class Topic:
    """One topic.

    Attributes
    ----------
    name
        What Bellwether calls it; `Settings.topic` gives its name in Kafka.
    writer
        Who writes it.
    content
        What its records are, for people.
    retention_ms
        How long records are kept, in milliseconds; FOREVER keeps them.
    config
        What differs from COMMON.
    """

    name: str
    writer: str
    content: str
    retention_ms: int
    config: Mapping[str, str]

    def settings(self, replication: int) -> dict[str, str]:
        """Return its whole Kafka configuration."""
        in_sync = {"min.insync.replicas": "2" if replication >= 3 else "1"}
        return {**COMMON, "retention.ms": str(self.retention_ms), **in_sync, **self.config}


CHANGELOG = "accounts-changelog"  # {app id}-accounts-changelog in Kafka
TOPICS = (
    Topic(
        "accounts",
        "CRM, identity",
        "attributes, contract, owner, aliases; absent = unchanged, null = erase",
        FOREVER,
        {},
    ),
    Topic("usage", "product", "what people do in the product", FOREVER, {}),
    Topic("billing", "billing", "invoices, payments, refunds, purchases, subscription changes", FOREVER, {}),
    Topic("support", "support desk", "tickets and satisfaction", FOREVER, {}),
    Topic("engagement", "CRM, marketing", "meetings, replies, clicks", FOREVER, {}),
    Topic("outcomes", "CRM", "renewed, churned, contracted, expanded", FOREVER, {}),
    Topic("commands", "people, API", "acknowledge, snooze, resolve, assign, override, note", FOREVER, {}),
    Topic("models", "operators", "published model versions", FOREVER, {}),
    # Merged with the inputs by timestamp, so they keep theirs, and are bounded by size: under a log clock it lies in the past.
    Topic("ticks", "Bellwether", "the clock of each partition", FOREVER, {"retention.bytes": str(256 * MIB)}),
    Topic("rerouted", "Bellwether", "events on their way to the partition of their canonical account", FOREVER, WIDE),
    # Merged too; what is older than half a year tells nobody anything.
    Topic(
        "cohorts",
        "Bellwether",
        "how busy each day was: each partition's sums, and the references made of them",
        FOREVER,
        {"retention.bytes": str(64 * MIB)},
    ),
    Topic("journal", "Bellwether", "the order in which each partition applied its inputs", 30 * DAY_MS, WRITTEN),
    Topic("scores", "Bellwether", "latest score of each account", FOREVER, COMPACTED),
    Topic(
        "score-history",
        "Bellwether",
        "health, band and risk at the end of every UTC day, where `BELLWETHER_SCORE_HISTORY` is on",
        731 * DAY_MS,
        WRITTEN,
    ),
    Topic("alerts", "Bellwether", "alerts and what became of them", 400 * DAY_MS, WRITTEN),
    Topic("notices", "Bellwether", "alerts with what the notifier's desk decided of them", 30 * DAY_MS, WRITTEN),
    Topic("desk", "Bellwether", "the memory of the notifier's desk", FOREVER, COMPACTED),
    Topic("dead-letters", "Bellwether", "rejected input with the reason", 90 * DAY_MS, WRITTEN | WIDE),
    Topic(CHANGELOG, "Bellwether", "the rows of the account table", FOREVER, COMPACTED | WIDE),
)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as declared.

    Attributes
    ----------
    where
        The topic's name in Kafka.
    what
        What was expected and what is there.
    advice
        What to do.
    """

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} — {self.advice}"


class KafkaUnreachableError(Refusal):
    """No broker answers; the message says where and what to do."""


async def unreachable(settings: Settings) -> KafkaUnreachableError:
    """Return the error that says why no broker serves us, and what to do."""
    return KafkaUnreachableError(await why_unreachable(settings))


def kafka_name(topic: Topic, settings: Settings) -> str:
    """Return the topic's name in Kafka."""
    return settings.changelog if topic.name == CHANGELOG else settings.topic(topic.name)


@asynccontextmanager
async def admin(settings: Settings, seconds: float = CONNECT_SECONDS) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client.

    Raises
    ------
    KafkaUnreachableError
        No broker answers within `seconds`.
    """
    client = AIOKafkaAdminClient(**kafka(settings))
    try:
        try:
            async with asyncio.timeout(seconds):
                await client.start()
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            raise await unreachable(settings) from error
        yield client
    finally:
        await ended(client.close())


async def partitions(settings: Settings, name: str) -> list[int]:
    """Return the partition numbers of the topic called `name` in Kafka, from 0.

    Raises
    ------
    Refusal
        No broker answers, or there is no such topic.
    """
    async with admin(settings) as client:
        (described,) = await client.describe_topics([name])
    if described["error_code"] == TopicAuthorizationFailedError.errno:
        raise Refusal(str(kafka_refusal(TopicAuthorizationFailedError(name))))
    if described["error_code"]:
        raise Refusal(f"{name}: no such topic in Kafka — run `bellwether topics create`")
    return sorted(partition["partition"] for partition in described["partitions"])


async def create(settings: Settings) -> list[str]:
    """Create the topics that are missing, wait until each partition has a leader; return the names of the new ones.

    Topics that exist are left as they are: `check` compares them with the declaration.

    Raises
    ------
    KafkaUnreachableError
        No broker answers.
    Refusal
        Kafka refused a topic, or elected no leaders in time.
    """
    declared = {kafka_name(topic, settings): topic for topic in TOPICS}
    async with admin(settings) as client:
        existing = set(await client.list_topics())
        missing = [name for name in declared if name not in existing]
        created = []
        if missing:
            replication = settings.replication
            new = [
                NewTopic(name, settings.partitions, replication, topic_configs=declared[name].settings(replication))
                for name in missing
            ]
            answer = await client.create_topics(new, timeout_ms=LEADER_SECONDS * 1000)
            for name, code, message in answer.topic_errors:
                # Somebody else creates them at this moment: fine, and not ours to report.
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise Refusal(
                        f"{name}: Kafka refused to create it ({message or for_code(code).__name__}) — correct the settings and try again"
                    )
                created += [name] if code == 0 else []
        await _wait_for_leaders(client, list(declared))
    return created


async def check(settings: Settings) -> list[Finding]:
    """Compare the topics in Kafka with the declaration; return what differs, nothing when all is well."""
    declared = {kafka_name(topic, settings): topic for topic in TOPICS}
    async with admin(settings) as client:
        described = {topic["topic"]: topic for topic in await client.describe_topics(list(declared))}
        present = [name for name in declared if not described[name]["error_code"]]
        configs = await _configs(client, present)
    findings = [Finding(name, MISSING, "run `bellwether topics create`") for name in declared if name not in present]
    for name in present:
        findings += _shape_findings(name, described[name]["partitions"], settings)
        for key, wanted in declared[name].settings(settings.replication).items():
            given = configs[name].get(key)
            if given != wanted:
                advice = f"set it with `kafka-configs.sh --alter --topic {name} --add-config {key}={wanted}`"
                findings.append(Finding(name, f"{key}: expected {wanted}, got {given}", advice))
    return findings


def _shape_findings(name: str, partitions: list[dict[str, Any]], settings: Settings) -> list[Finding]:
    findings = []
    if len(partitions) != settings.partitions:
        advice = "set BELLWETHER_PARTITIONS to what the topics have; `bellwether repartition` moves to another number"
        findings.append(Finding(name, f"expected {settings.partitions} partitions, got {len(partitions)}", advice))
    if leaderless := [partition["partition"] for partition in partitions if partition["leader"] < 0]:
        findings.append(Finding(name, f"partitions {leaderless} have no leader", "start the brokers that hold them"))
    copies = min((len(partition["replicas"]) for partition in partitions), default=0)
    if copies < settings.replication:
        advice = "add copies with `kafka-reassign-partitions.sh`, or lower BELLWETHER_REPLICATION"
        findings.append(Finding(name, f"expected {settings.replication} copies, got {copies}", advice))
    return findings


async def _configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    answers = (
        await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        if names
        else []
    )
    resources = [resource for answer in answers for resource in answer.resources]
    # (error code, error message, type, name, entries); an entry begins with its key and value.
    return {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in resources}


async def _wait_for_leaders(client: AIOKafkaAdminClient, names: list[str]) -> None:
    try:
        async with asyncio.timeout(LEADER_SECONDS):
            while not all(_has_leaders(topic) for topic in await client.describe_topics(names)):
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise Refusal(
            f"topics: some partitions have no leader after {LEADER_SECONDS} s — see that every broker runs"
        ) from error


def _has_leaders(topic: dict[str, Any]) -> bool:
    return not topic["error_code"] and all(
        not partition["error_code"] and partition["leader"] >= 0 for partition in topic["partitions"]
    )
