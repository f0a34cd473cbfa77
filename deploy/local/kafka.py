"""Apache Kafka nodes in KRaft mode: every node is broker and controller.

A new node's folder is written here rather than by `kafka-storage.sh format`, which costs a second of Java per node:
formatting writes `meta.properties` (ids) and `bootstrap.checkpoint` (feature levels, the same for every cluster of
one Kafka version). The latter comes from one run of Kafka's own tool, kept in the cache.
"""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import jars
from deploy.local.processes import StackError, disk_faults

CLUSTER_ID = "QmVsbHdldGhlckxvY2FsMQ"  # 16 bytes in URL-safe base64: "BellwetherLocal1"
INTERNAL_PARTITIONS = 8  # of the offsets and transaction topics; Kafka's 50 make a first start slower for nothing
HEAP = "512m"
METADATA = 3  # Kafka protocol, API key of the Metadata request

LOGGING = """\
appenders = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%throwable{8}
rootLogger.level = WARN
rootLogger.appenderRefs = console
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True)
class Node:
    """Where one node lives.

    Attributes
    ----------
    node_id
        1 to the number of nodes.
    folder
        Its configuration and data.
    port, controller_port
        On 127.0.0.1: for clients, and for the controllers' quorum.
    """

    node_id: int
    folder: Path
    port: int
    controller_port: int


def settings(node: Node, nodes: list[Node]) -> dict[str, object]:
    """Return the server properties of `node` in the cluster of `nodes`."""
    n = len(nodes)
    copies, in_sync = min(n, 3), 2 if n >= 3 else 1
    return {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(f"{each.node_id}@127.0.0.1:{each.controller_port}" for each in nodes),
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": node.folder / "data",
        # Topics are declared (`bellwether topics create`); a misspelt name must fail rather than make a topic.
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        # A worker that was away for a week (the default) must still find its committed offsets.
        "offsets.retention.minutes": 365 * 24 * 60,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,  # fault rounds use short sessions
        # A killed node keeps acks=all waiting, and may not register again, until its session ends: 9 s by default.
        # Shorter than this, a busy machine would fence nodes that live.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 500,
        # Backfills write records dated years ago, demonstrations run ahead of the clock.
        "log.message.timestamp.before.max.ms": 2**63 - 1,
        "log.message.timestamp.after.max.ms": 2**63 - 1,
        # Small: a test session makes hundreds of partitions, and the cleaner's default buffer is a quarter of the heap.
        "log.index.size.max.bytes": 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.cleaner.backoff.ms": 1000,  # fault rounds compact while they run; by default it looks every 15 s
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


def command(java: Path, node: Node, options: Sequence[str] = ()) -> list[str | Path]:
    """Return the command that runs `node`, whose folder `prepare` has written, with more options of Java."""
    return [*_java(java, node.folder), f"-Xmx{HEAP}", *options, "kafka.Kafka", node.folder / "server.properties"]


def prepare(java: Path, node: Node, nodes: list[Node]) -> None:
    """Write the node's configuration and, if it is new, its first metadata."""
    with disk_faults(node.folder):
        (node.folder / "tmp").mkdir(parents=True, exist_ok=True)
        (node.folder / "log4j2.properties").write_text(LOGGING)
        _write_properties(node.folder / "server.properties", settings(node, nodes))
        data = node.folder / "data"
        if not (data / "meta.properties").exists():
            checkpoint = _checkpoint(java, node, nodes)
            data.mkdir(exist_ok=True)
            shutil.copyfile(checkpoint, data / "bootstrap.checkpoint")
            _write_properties(
                data / "meta.properties", {"version": 1, "cluster.id": CLUSTER_ID, "node.id": node.node_id}
            )


def live_brokers(port: int) -> set[int]:
    """Return the node ids that the broker on `port` of 127.0.0.1 knows to be alive; empty when it does not answer."""
    # Metadata version 1: header (api key, version, correlation id, no client id), then an empty list of topics.
    request = struct.pack(">hhihi", METADATA, 1, 0, -1, 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", stream.read(4))
                return _broker_ids(stream.read(size))
    except (OSError, struct.error):
        return set()


def _broker_ids(answer: bytes) -> set[int]:
    position, found = 8, set()  # behind the correlation id and the number of brokers
    for _ in range(struct.unpack_from(">i", answer, 4)[0]):
        node_id, host_length = struct.unpack_from(">ih", answer, position)
        position += 6 + host_length + 4  # id, length, host, port
        (rack_length,) = struct.unpack_from(">h", answer, position)
        position += 2 + max(rack_length, 0)
        found.add(node_id)
    return found


def _java(java: Path, folder: Path) -> list[str | Path]:
    return [
        java,
        "-XX:+UseSerialGC",  # one small heap on a machine shared with the workers
        "-XX:-UsePerfData",  # would leave a file in the system's temporary folder after kill -9
        "-XX:+ExitOnOutOfMemoryError",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.io.tmpdir={folder / 'tmp'}",  # compression libraries unpack themselves there and never clean up
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        "-cp",
        os.pathsep.join(map(str, jars.classpath())),
    ]


def _checkpoint(java: Path, node: Node, nodes: list[Node]) -> Path:
    cached = jars.cache_folder() / "bootstrap.checkpoint"
    if cached.exists():
        return cached
    with tempfile.TemporaryDirectory(dir=node.folder) as scratch:
        properties = Path(scratch) / "server.properties"
        _write_properties(properties, settings(node, nodes) | {"log.dirs": f"{scratch}/data"})
        (Path(scratch) / "tmp").mkdir()
        (Path(scratch) / "log4j2.properties").write_text(LOGGING)
        tool = [
            *_java(java, Path(scratch)),
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            properties,
        ]
        try:
            subprocess.run(tool, capture_output=True, text=True, timeout=60, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            said = str(getattr(error, "stderr", None) or type(error).__name__).strip()
            raise StackError(
                f"kafka: Kafka's own tool cannot make a cluster's first metadata: {said} — delete {jars.cache_folder()} and try again"
            ) from error
        partial = cached.with_suffix(f".{os.getpid()}")
        shutil.copyfile(Path(scratch) / "data" / "bootstrap.checkpoint", partial)
        partial.replace(cached)
    return cached


def _write_properties(path: Path, values: dict[str, object]) -> None:
    # A backslash or a line end in a folder's name would be read as an escape.
    path.write_text("".join(f"{name}={str(value).replace(chr(92), chr(92) * 2)}\n" for name, value in values.items()))
