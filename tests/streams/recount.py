"""An independent reader: recounts from the input topics, read_committed, what workers with the counting state wrote."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.group import LeaveGroupRequest

from state.layout import INPUT_TOPICS
from streams.settings import Settings
from tests.streams.counting import EVERY, META


@dataclass(frozen=True)
class Recount:
    """What the logs hold and where it differs from what they should hold; all lists empty means all is well."""

    events: int
    alerts: int
    missing: list[tuple[bytes, int]]
    extra: list[tuple[bytes, int]]
    repeated: list[tuple[bytes, int]]
    wrong_rows: list[bytes]
    journal_faults: list[str]

    @property
    def faults(self) -> dict[str, int]:
        """Number of faults by kind, those that occur."""
        kinds = ("missing", "extra", "repeated", "wrong_rows", "journal_faults")
        return {kind: len(getattr(self, kind)) for kind in kinds if getattr(self, kind)}


async def read_all(settings: Settings, name: str) -> dict[int, list[object]]:
    """Return partition → all committed records of a topic (its name in Kafka)."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(name, partition) for partition in range(settings.partitions)]
        consumer.assign(tps)
        ends, records = await consumer.end_offsets(tps), {tp.partition: [] for tp in tps}
        for tp, start in (await consumer.beginning_offsets(tps)).items():
            consumer.seek(tp, start)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, found in (await consumer.getmany(timeout_ms=200)).items():
                records[tp.partition] += found
        return records
    finally:
        await consumer.stop()


async def is_consumed(settings: Settings, topics: Mapping[str, int]) -> bool:
    """Return whether the group has committed all of the given topics (name → records produced to it)."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.app_id)
    except GroupCoordinatorNotAvailableError:
        return False  # a new broker makes the offsets topic when first asked
    finally:
        await admin.close()
    committed: Counter[str] = Counter()
    for tp, meta in offsets.items():
        committed[tp.topic] += meta.offset
    return all(committed[settings.topic(name)] >= count for name, count in topics.items())


async def evict_members(settings: Settings) -> None:
    """Make every member of the group leave it, as the dead ones do when their sessions end, without waiting for that."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(settings.app_id)
        for answer in await admin.describe_consumer_groups([settings.app_id]):
            for group in answer.groups:
                for member in group[5]:
                    await admin._send_request(LeaveGroupRequest(settings.app_id, member[0]), coordinator)
    finally:
        await admin.close()


async def recount(settings: Settings) -> Recount:
    """Recount everything."""
    counts: Counter[bytes] = Counter()
    inputs = {}
    for topic in INPUT_TOPICS:
        inputs[topic] = await read_all(settings, settings.topic(topic))
        if topic not in ("ticks", "cohorts"):
            counts.update(r.key for records in inputs[topic].values() for r in records)
    alerts = await read_all(settings, settings.topic("alerts"))
    got = Counter((r.key, int(r.value)) for records in alerts.values() for r in records)
    wanted = {(key, n) for key, total in counts.items() for n in range(EVERY, total + 1, EVERY)}
    rows = {
        r.key: int(r.value)
        for records in (await read_all(settings, settings.changelog)).values()
        for r in records
        if r.key != META
    }
    return Recount(
        events=counts.total(),
        alerts=len(wanted),
        missing=sorted(wanted - got.keys()),
        extra=sorted(got.keys() - wanted),
        repeated=sorted(alert for alert, n in got.items() if n > 1),
        wrong_rows=sorted(key for key, total in counts.items() if rows.get(key) != total),
        journal_faults=_journal_faults(inputs, await read_all(settings, settings.topic("journal"))),
    )


def _journal_faults(inputs: Mapping[str, Mapping[int, list]], journal: Mapping[int, list]) -> list[str]:
    """Check that sequences are 1, 2, 3… and that runs cover each record (ticks may still be on their way) once."""
    faults = []
    for partition, records in journal.items():
        entries = [orjson.loads(record.value) for record in records]
        if [entry["sequence"] for entry in entries] != list(range(1, len(entries) + 1)):
            faults.append(f"partition {partition}: sequences are not contiguous")
        covered: dict[str, list[int]] = defaultdict(list)
        for entry in entries:
            for topic, first, last in entry["runs"]:
                covered[topic] += range(first, last + 1)
        for topic, by_partition in inputs.items():
            offsets = [record.offset for record in by_partition[partition]]
            if covered[topic] != (offsets[: len(covered[topic])] if topic in ("ticks", "cohorts") else offsets):
                faults.append(f"{topic}[{partition}]: runs do not cover each offset once")
    return faults
