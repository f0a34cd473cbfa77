"""The topic `alerts` as people read it: what was there, what comes, and which of it somebody asked for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from streams import topics
from streams.access import kafka
from streams.reading import read_all
from streams.settings import Settings

POLL_MS = 500


@dataclass
class Choice:
    """Which alerts to show; None lets all pass.

    Attributes
    ----------
    rule, severity, account, state
        As in the record.
    owner
        Whose next step it is. A resolved alert has none and counts as its last owner's.
    """

    rule: str | None = None
    severity: str | None = None
    account: str | None = None
    owner: str | None = None
    state: str | None = None
    _owners: dict[str, str] = field(default_factory=dict)

    def takes(self, alert: dict[str, Any]) -> bool:
        """Return whether an alert is to be shown; alerts are asked for in the order of the log."""
        step = alert.get("next_step")
        if step:
            self._owners[alert["alert_id"]] = step["owner"]
        wanted = (
            (self.rule, alert["rule"]),
            (self.severity, alert["severity"]),
            (self.account, alert["account_id"]),
            (self.state, alert["state"]),
            (self.owner, self._owners.get(alert["alert_id"])),
        )
        return all(choice in (None, given) for choice, given in wanted)


async def past_alerts(settings: Settings, choice: Choice) -> list[dict[str, Any]]:
    """Return the alerts that are in the topic now, by the time they were written."""
    records = [record async for record in read_all(settings, settings.topic("alerts"))]
    records.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
    return [alert for alert in map(_read, records) if choice.takes(alert)]


async def coming_alerts(
    settings: Settings, choice: Choice, *, is_from_beginning: bool
) -> AsyncIterator[dict[str, Any]]:
    """Yield alerts as they are committed, without end; from the beginning of the topic, or from now on."""
    name = settings.topic("alerts")
    places = [TopicPartition(name, number) for number in await topics.partitions(settings, name)]
    consumer = AIOKafkaConsumer(
        **kafka(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        consumer.assign(places)
        starts = await (consumer.beginning_offsets if is_from_beginning else consumer.end_offsets)(places)
        for place, offset in starts.items():
            consumer.seek(place, offset)
        while True:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            records = sorted((record for part in fetched.values() for record in part), key=lambda r: r.timestamp)
            for alert in map(_read, records):
                if choice.takes(alert):
                    yield alert
    finally:
        await consumer.stop()


def _read(record: ConsumerRecord) -> dict[str, Any]:
    alert: dict[str, Any] = orjson.loads(record.value)
    return alert
