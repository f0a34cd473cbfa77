"""How far an application is: what waits in Kafka for its workers and for Redis, and what of it does not move.

What is looked at from outside, by commands: committed offsets against the ends of logs. Workers know more of themselves
(`streams.watchdog`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from state.layout import INPUT_TOPICS
from state.readmodel import TOPICS as PROJECTED_TOPICS
from streams import topics
from streams.access import kafka
from streams.halt import Refusal
from streams.projection import Projection
from streams.reading import committed
from streams.settings import Settings

MEMBERS_FIELD = 5
"""In the answer about a group: (error, group id, state, protocol type, protocol, members, …)."""
FETCH_SECONDS = 2.0


@dataclass(frozen=True)
class Standing:
    """What waits for the workers.

    Attributes
    ----------
    members
        Workers in the consumer group.
    waiting
        (input topic, partition) → records that are not committed, > 0.
    still
        Those of them that did not move between two looks, sorted.
    owners
        Partition → host of the worker that holds it.
    """

    members: int
    waiting: Mapping[tuple[str, int], int]
    still: tuple[tuple[str, int], ...]
    owners: Mapping[int, str] = field(default_factory=dict)


async def look(settings: Settings, seconds: float) -> Standing:
    """Compare what is committed with the ends of the input logs, twice.

    Parameters
    ----------
    settings
        Whose application.
    seconds
        Time between the two looks, > 0; a worker under backlog commits every second.

    Raises
    ------
    Refusal
        Kafka does not answer.
    """
    names = {settings.topic(topic): topic for topic in INPUT_TOPICS}
    first = await _positions(settings, names)
    ends = await ends_of(settings, names)
    waiting = {tp: end - first[tp] for tp, end in ends.items() if end > first[tp]}
    if waiting:
        await asyncio.sleep(seconds)
    second = await _positions(settings, names) if waiting else first
    same = [tp for tp in waiting if second[tp] == first[tp]]
    # The end of a log may be a transaction's marker, which nobody reads: only records wait.
    real = await unread(settings, {tp: first[tp] for tp in same})
    held = await _held(settings)
    return Standing(
        len(held),
        {(names[tp.topic], tp.partition): lag for tp, lag in waiting.items() if tp in real or tp not in same},
        tuple(sorted((names[tp.topic], tp.partition) for tp in real)),
        {partition: host for host, partitions in held for partition in partitions},
    )


async def behind_in_redis(settings: Settings) -> int:
    """Return how many offsets of `scores` and `alerts` are committed and not in Redis.

    Raises
    ------
    RedisDownError
        Redis does not answer.
    """
    ends = await ends_of(settings, {settings.topic(topic): topic for topic in PROJECTED_TOPICS})
    places = {(tp.topic.removeprefix(settings.topic_prefix), tp.partition): end for tp, end in ends.items()}
    async with Projection(settings) as projection:
        found = await projection.applied(places)
    return sum(max(0, end - max(0, found[place].offset)) for place, end in places.items())


async def _positions(settings: Settings, names: Iterable[str]) -> dict[TopicPartition, int]:
    found = await committed(settings, settings.app_id)
    places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
    return {tp: found[tp].offset if tp in found else 0 for tp in places}


def _consumer(settings: Settings, isolation: str = "read_committed") -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **kafka(settings),
        enable_auto_commit=False,
        isolation_level=isolation,
        auto_offset_reset="earliest",
    )


async def ends_of(
    settings: Settings, names: Iterable[str], isolation: str = "read_committed"
) -> dict[TopicPartition, int]:
    """Return the ends up to which everything is committed, or with ``read_uncommitted`` written."""
    try:
        async with _consumer(settings, isolation) as consumer:
            places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
            return ends
    except (KafkaError, OSError) as error:
        raise Refusal(f"{settings.kafka}: the ends of the logs cannot be read ({error!r}) — see the brokers") from error


async def unread(settings: Settings, positions: Mapping[TopicPartition, int]) -> set[TopicPartition]:
    """Return the partitions in which a record stands at or behind the position."""
    found: set[TopicPartition] = set()
    if not positions:
        return found
    async with _consumer(settings) as consumer:
        consumer.assign(list(positions))
        for tp, offset in positions.items():
            consumer.seek(tp, offset)
        deadline = asyncio.get_running_loop().time() + FETCH_SECONDS
        while len(found) < len(positions) and asyncio.get_running_loop().time() < deadline:
            found |= set(await consumer.getmany(timeout_ms=500, max_records=len(positions)))
    return found


async def _held(settings: Settings) -> list[tuple[str, frozenset[int]]]:
    """Return (host, partitions) of each member of the workers' group; nothing is held while it rebalances."""
    async with topics.admin(settings) as client:
        answers = await client.describe_consumer_groups([settings.app_id])
    found = []
    for _, _, host, _, assignment in (
        member for answer in answers for group in answer.groups for member in group[MEMBERS_FIELD]
    ):
        told = ConsumerProtocolMemberAssignment.decode(assignment).assignment if assignment else []
        found.append((host.lstrip("/"), frozenset(number for _, numbers in told for number in numbers)))
    return found


async def members(settings: Settings, group: str) -> int:
    """Return how many processes a consumer group has."""
    async with topics.admin(settings) as client:
        answers = await client.describe_consumer_groups([group])
    return sum(len(group[MEMBERS_FIELD]) for answer in answers for group in answer.groups)
