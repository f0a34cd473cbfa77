"""What must hold at every commit, and what only the simulation's Redis can tell; the rest is in `tests/invariants.py`."""

from collections.abc import Mapping
from typing import Any

import orjson

from state.readmodel import TOPICS, commands_of
from streams import topics
from tests.invariants import READ, Logs, ViolationError
from tests.simulation.broker import Brokers, Log
from tests.simulation.fake_redis import folded
from tests.simulation.worker import CHANGELOG, GROUP

META = b"m"


def offsets_fit_the_state(brokers: Brokers) -> None:
    """Check that the group's offsets are nowhere ahead of the changelog (invariant 4); cheap enough for every commit."""
    for (topic, partition), offset in brokers.offsets.get(GROUP, {}).items():
        meta = newest_meta(brokers.logs[CHANGELOG, partition])
        known = 0 if meta is None else meta["positions"].get(topic, 0)
        if offset > known:
            raise ViolationError(f"{topic}[{partition}]: committed {offset} is ahead of the state's {known}")


def newest_meta(log: Log) -> dict[str, Any] | None:
    """Return the last committed record of everything that is not a row."""
    for entry in reversed(log.entries):
        record, transaction = entry.record, entry.transaction
        if record is not None and record.key == META and (transaction is None or transaction.is_committed):
            return orjson.loads(record.value or b"")
    return None


def committed_logs(brokers: Brokers, partitions: int) -> Logs:
    """Return what a check reads."""
    return {
        (topic, partition): brokers.logs[CHANGELOG if topic == topics.CHANGELOG else topic, partition].committed()
        for topic in READ
        for partition in range(partitions)
    }


def redis_fits(brokers: Brokers, partitions: int, found: Mapping[str, Any]) -> bool:
    """Return whether Redis holds what the topics say, but for its own positions."""
    commands = [
        command
        for topic in TOPICS
        for partition in range(partitions)
        for record in brokers.logs[topic, partition].committed()
        for command in commands_of(topic, partition, record.offset, record.key, record.value)
    ]
    own = {key: value for key, value in found.items() if not key.endswith((":applied", ":written"))}
    return own == folded(commands)
