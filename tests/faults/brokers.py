"""Who does what in the embedded cluster, asked of the brokers: leaders, coordinators, the controller."""

import asyncio
import socket
import struct
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from deploy.local import Stack
from deploy.local.processes import Server
from streams import topics
from streams.settings import Settings

DESCRIBE_QUORUM = 55  # Kafka protocol, API key
TRANSACTION = 1  # kind of coordinator
ANSWER_SECONDS = 30.0
START_SECONDS = 240.0
"""A broker takes some seconds; rounds also run on machines that do much else."""


async def leader(settings: Settings, topic: str, partition: int) -> int:
    """Return the node id of the leader of a partition of a topic (its name in Kafka)."""
    async with topics.admin(settings) as client:
        (described,) = await client.describe_topics([topic])
    return next(each["leader"] for each in described["partitions"] if each["partition"] == partition)


async def transaction_coordinator(settings: Settings, partition: int) -> int:
    """Return the node id of the coordinator of a partition's transactions."""
    async with topics.admin(settings) as client, asyncio.timeout(ANSWER_SECONDS):
        while True:
            try:
                return await client.find_coordinator(f"{settings.app_id}-{partition}", TRANSACTION)
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.2)


async def committed(settings: Settings) -> dict[tuple[str, int], int]:
    """Return (topic, partition) → the offset the group has committed; empty while its coordinator moves."""
    try:
        async with topics.admin(settings) as client:
            found = await client.list_consumer_group_offsets(settings.app_id)
    except (KafkaError, topics.KafkaUnreachableError, OSError):
        return {}
    names = {settings.topic(topic.name): topic.name for topic in topics.TOPICS}
    return {(names[tp.topic], tp.partition): meta.offset for tp, meta in found.items() if tp.topic in names}


def controller(stack: Stack) -> int:
    """Return the node id of the active controller, as any living node tells."""
    for server in stack.brokers:
        if server.running:
            return _quorum_leader(int(stack.kafka.split(",")[stack.brokers.index(server)].rpartition(":")[2]))
    raise AssertionError("no broker runs")


def _quorum_leader(port: int) -> int:
    # Version 0 is flexible: lengths are written plus one, and every structure ends with its number of tagged fields.
    topic = b"__cluster_metadata"
    body = b"\x02" + bytes([len(topic) + 1]) + topic + b"\x02" + struct.pack(">i", 0) + b"\0" + b"\0" + b"\0"
    request = struct.pack(">hhihx", DESCRIBE_QUORUM, 0, 1, -1) + body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(size)
    # Correlation id, tags, error, then one topic with one partition: index, error, leader.
    place = 4 + 1 + 2 + 1 + 1 + len(topic) + 1
    _, error, found = struct.unpack_from(">ihi", answer, place)
    assert error == 0, answer
    return int(found)


async def kill(servers: Iterable[Server]) -> None:
    """End servers at once, all together."""
    await asyncio.gather(*(asyncio.to_thread(server.kill) for server in servers))


async def stop(servers: Iterable[Server]) -> None:
    """Shut servers down in order, all together."""
    await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


async def start(servers: Iterable[Server]) -> None:
    """Start servers and wait until they answer."""
    servers = list(servers)
    for server in servers:
        if not server.running:
            server.launch()
    await asyncio.gather(*(asyncio.to_thread(server.wait_ready, START_SECONDS) for server in servers))
