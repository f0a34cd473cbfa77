"""The bound: how fast this machine reads and decodes the same topics in Python at all. Run as a child process.

Bare aiokafka ``getmany``, orjson and one dict; no state, no output, no commits. It prints one JSON object.
"""

import os
from time import monotonic, process_time

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.access import kafka
from streams.bench.workload import TOPICS
from streams.settings import Settings


async def read(settings: Settings) -> dict[str, float]:
    """Read the topics from their beginnings to their ends; return what it took."""
    consumer = AIOKafkaConsumer(**kafka(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(settings.topic(topic), p) for topic in TOPICS for p in range(settings.partitions)]
        consumer.assign(places)
        wanted = sum((await consumer.end_offsets(places)).values())
        counts: dict[str, int] = {}
        events, began, cpu_began = 0, monotonic(), process_time()
        while events < wanted:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    event = orjson.loads(record.value)
                    account = event["account_id"]
                    counts[account] = counts.get(account, 0) + 1
                events += len(records)
        seconds, cpu_seconds = monotonic() - began, process_time() - cpu_began
    finally:
        await consumer.stop()
    return {"events": events, "seconds": seconds, "cpu_seconds": cpu_seconds}


if __name__ == "__main__":
    print(orjson.dumps(uvloop.run(read(Settings.from_environ(os.environ)))).decode(), flush=True)
