"""Topics of an application that has run for months, made within seconds: what `drift --follow` reports on and boards show."""

from dataclasses import replace
from typing import Final

from state.flush import Message
from streams.outbox import Outbox
from streams.scorer import load_compiled, new_partition
from streams.settings import Settings
from tests.state.journals import DAY, Log
from tests.state.looking import feed
from tests.streams.test_drift_live import weeks

MODEL: Final = "saas-renewal"


async def write_past(settings: Settings) -> None:
    """Write the outcomes of a book of 110 days, and the closes and alerts that one partition tells of it, day by day."""
    kept = replace(settings, model=MODEL, partitions=1, score_history="on")
    partition, log = new_partition(0, kept, load_compiled(kept)), Log()
    written: dict[str, list[Message]] = {"outcomes": [], "alerts": [], "score-history": []}
    for day in (day for week in weeks() for day in week):
        log.journal = []
        for event in day:
            log.add(event.topic, event.value, event.arrives_at_ms)
            if event.topic == "outcomes":
                written["outcomes"].append(Message(event.account_id.encode(), event.value))
        log.tick((day[-1].arrives_at_ms // DAY + 1) * DAY)
        flush = feed(partition, log.journal).take_flush()
        assert flush is not None
        written["alerts"] += flush.alerts
        written["score-history"] += flush.history
    async with Outbox(settings) as outbox:
        for topic, messages in written.items():
            assert messages, topic
            await outbox.open(settings.topic(topic))
            for message in messages:
                await outbox.add(settings.topic(topic), message.key, message.value, message.timestamp, message.headers)
