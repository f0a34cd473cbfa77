"""Who needs which permission in Kafka, made of the declarations: the least that each kind of process can do with.

`bellwether topics acl` prints it as commands of Kafka's own tool; the tests grant exactly this to a broker that
enforces it, and run a worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from state.layout import INPUT_TOPICS
from state.readmodel import TOPICS as PROJECTED_TOPICS
from streams.settings import Settings
from streams.topics import TOPICS, kafka_name

BELLWETHER: Final = "Bellwether"
"""Writer of a topic that nobody else writes to."""
OPERATORS: Final = "operators"
NOTIFIERS: Final = ("notices", "desk")
"""Topics that belong to notifiers alone."""


@dataclass(frozen=True)
class Grant:
    """One thing that one kind of process may do.

    Attributes
    ----------
    resource
        ``topic``, ``group``, ``transactional-id`` or ``cluster``, as Kafka's tool names them.
    name
        Of the resource in Kafka.
    operations
        Kafka's names of what is allowed.
    is_prefix
        The name is the beginning of many.
    """

    resource: str
    name: str
    operations: tuple[str, ...]
    is_prefix: bool = False

    def command(self, servers: str, principal: str) -> str:
        """Return the command that grants it."""
        what = f"--{self.resource}" + ("" if self.resource == "cluster" else f" {self.name}")
        pattern = " --resource-pattern-type prefixed" if self.is_prefix else ""
        operations = " ".join(f"--operation {operation}" for operation in self.operations)
        user = f"--allow-principal User:{principal}"
        return f"kafka-acls.sh --bootstrap-server {servers} --add {user} {operations} {what}{pattern}"


def _worker(settings: Settings) -> list[Grant]:
    """Return what scoring and projecting needs."""
    read = {settings.topic(topic) for topic in (*INPUT_TOPICS, *PROJECTED_TOPICS)} | {settings.changelog}
    own = [topic for topic in TOPICS if topic.writer == BELLWETHER and topic.name not in NOTIFIERS]
    written = {kafka_name(topic, settings) for topic in own}
    grants = [
        Grant(
            "topic", name, (*(("Read",) if name in read else ()), *(("Write",) if name in written else ()), "Describe")
        )
        for name in sorted(read | written)
    ]
    return [
        *grants,
        Grant("group", settings.app_id, ("Read", "Describe")),
        Grant("group", f"{settings.app_id}-projector", ("Read",)),
        Grant("transactional-id", f"{settings.app_id}-", ("Write", "Describe"), is_prefix=True),
    ]


def _producer(settings: Settings) -> list[Grant]:
    """Return what sending events needs: product, billing, help desk, CRM, people's answers to alerts."""
    others = (BELLWETHER, OPERATORS)  # whoever may write to `models` decides what a score is
    names = sorted(kafka_name(topic, settings) for topic in TOPICS if topic.writer not in others)
    return [Grant("topic", name, ("Write", "Describe")) for name in names]


def _notifier(settings: Settings) -> list[Grant]:
    """Return what delivering alerts needs."""
    own = [settings.topic(topic.name) for topic in TOPICS if topic.name in NOTIFIERS]
    prefixes = (f"{settings.app_id}-notify-", f"{settings.app_id}-desk")
    return [
        Grant("topic", settings.topic("alerts"), ("Read", "Describe")),
        Grant("topic", settings.topic("dead-letters"), ("Write", "Describe")),
        *(Grant("topic", name, ("Read", "Write", "Describe")) for name in own),
        *(Grant("group", prefix, ("Read", "Describe"), is_prefix=True) for prefix in prefixes),
        *(Grant("transactional-id", prefix, ("Write", "Describe"), is_prefix=True) for prefix in prefixes),
    ]


def _operator(settings: Settings) -> list[Grant]:
    """Return what setting up, looking, repairing and publishing models needs: `topics`, `doctor`, `dead-letters`, `model`."""
    operations = ("Create", "Read", "Write", "Describe", "DescribeConfigs")
    return [
        *(Grant("topic", name, operations) for name in sorted(kafka_name(topic, settings) for topic in TOPICS)),
        Grant("group", settings.app_id, ("Read", "Describe"), is_prefix=True),
        Grant("transactional-id", settings.app_id, ("Write", "Describe"), is_prefix=True),
    ]


ROLES: Final[dict[str, Callable[[Settings], list[Grant]]]] = {
    "worker": _worker,
    "producer": _producer,
    "notifier": _notifier,
    "operator": _operator,
}
"""Kind of process → what it needs."""
