"""One transaction per flush: changelog, outputs, journal and source offsets together, or none of it.

Every delivery is awaited before the commit. Whatever goes wrong, the answer is the same: leave the process without
committing. The next owner's takeover settles the transaction one way or the other, and the state restored from the
changelog fits the committed offsets in both cases, also when a commit's result never reached us.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)

from state.flush import Flush, Message
from streams.access import kafka_refusal
from streams.failpoints import Failpoints
from streams.halt import FAILED, UNSAFE, halt
from streams.lease import FLUSH_RECORDS, STRETCH_RECORDS, Lease
from streams.logs import log_flush
from streams.observer import Observer

FLUSH_SECONDS = 30.0
"""Total time for a small flush; within it aiokafka retries what is safe to retry (same producer, same sequence)."""
RECORDS_PER_SECOND = 5_000
"""A large flush has more time, at a tenth of the speed of a broker with nothing else to do: a change of the model writes
every row of a partition in one."""
LONGEST_FLUSH_SECONDS = 270.0

BACKLOG_RECORDS = STRETCH_RECORDS
"""More than these, fetched and waiting in a partition, are a backlog: flushes grow, and alerts wait for them."""

FLUSH_SHARE = 4
"""A flush is followed by at least this many times its own duration, so committing takes a fifth of the time at most."""


@dataclass(frozen=True)
class Outputs:
    """Names in Kafka of what a flush writes to.

    Parameters
    ----------
    group
        Consumer group whose offsets are committed.
    inputs
        Input topic → its name in Kafka.
    changelog, scores, history, alerts, dead_letters, rerouted, journal, cohorts
        Names of these topics.
    """

    group: str
    inputs: Mapping[str, str]
    changelog: str
    scores: str = "scores"
    history: str = "score-history"
    alerts: str = "alerts"
    dead_letters: str = "dead-letters"
    rerouted: str = "rerouted"
    journal: str = "journal"
    cohorts: str = "cohorts"

    def others(self, flush: Flush) -> tuple[tuple[str, list[Message]], ...]:
        """Return where all of a flush goes but rows and alerts, which fault tests wait for one by one."""
        return (
            (self.scores, flush.scores),
            (self.history, flush.history),
            (self.dead_letters, flush.dead_letters),
            (self.rerouted, flush.rerouted),
            (self.cohorts, flush.cohorts),
            (self.journal, [flush.journal]),
        )


class Committer:
    """Flushes leases: one flush in flight per partition, applying goes on meanwhile.

    Parameters
    ----------
    outputs
        Where the parts of a flush go.
    min_ms, max_ms
        Shortest and longest time between two flushes of a partition, milliseconds, 0 < min <= max.
    poison_limit
        Dead letters among a thousand records in a row at which it stops, > 0: nothing is committed and the worker stops,
        so that a producer's bad deploy cannot drain a topic into the dead letters.
    observer
        Told of every committed flush.
    failpoints
        Points at which a fault test kills the process.
    """

    def __init__(
        self,
        outputs: Outputs,
        min_ms: int,
        max_ms: int,
        poison_limit: int,
        observer: Observer,
        failpoints: Failpoints | None = None,
    ) -> None:
        self._outputs = outputs
        self._min_seconds = min_ms / 1000
        self._max_seconds = max_ms / 1000
        self._poison_limit = poison_limit
        self._observer = observer
        self._failpoints = failpoints or Failpoints()

    async def commit_forever(self, lease: Lease) -> None:
        """Flush the lease whenever it is dirty, at an interval that follows the load."""
        interval = self._min_seconds
        began = -interval
        while True:
            await lease.is_dirty.wait()
            await self._gather_more(lease, began, interval)
            lease.is_dirty.clear()
            began = monotonic()
            is_backlog = lease.inbox.waiting > BACKLOG_RECORDS
            await self.flush(lease)
            wanted = max(self._min_seconds, FLUSH_SHARE * (monotonic() - began), 2 * interval if is_backlog else 0)
            interval = min(wanted, self._max_seconds)

    async def _gather_more(self, lease: Lease, began: float, interval: float) -> None:
        """Wait for the interval since a flush began to pass, or for enough to write.

        An alert waits only while we catch up, else for the shortest interval: flushes in a row without one keep the
        broker so busy that each takes longer than what was won.
        """
        enough = lease.records_flushed + FLUSH_RECORDS
        while (left := began + interval - monotonic()) > 0 and lease.records_applied < enough:
            if lease.fold.urgent and lease.inbox.waiting <= BACKLOG_RECORDS:
                left = began + self._min_seconds - monotonic()
                if left <= 0:
                    return
            await asyncio.sleep(min(left, 0.01))

    async def flush(self, lease: Lease) -> None:
        """Commit what was applied; return when it is durable. Failure ends the process."""
        async with lease.flushing:
            async with lease.steady:
                flush, seconds = await lease.take_flush()
            if flush is None:
                return
            self._observer.encoded(lease.partition, seconds)
            self._stop_at_poison(lease.partition, flush)
            began = monotonic()
            try:
                async with asyncio.timeout(flush_seconds(flush)):
                    await self._transact(lease, flush)
            except (ProducerFenced, InvalidProducerEpoch):
                halt(
                    FAILED,
                    f"partition {lease.partition}: another worker owns it now, or the broker gave the transaction up;"
                    " nothing was committed; restart the worker",
                )
            except MessageSizeTooLargeError:
                halt(UNSAFE, f"partition {lease.partition}: {self._largest(flush)}")
            except (KafkaError, IllegalOperation, TimeoutError, OSError) as error:
                why = repr(error) if str(error) else f"no answer within {flush_seconds(flush):.0f} s"
                why = kafka_refusal(error) or why
                halt(FAILED, f"partition {lease.partition}: flush {flush.sequence} failed: {why}; restart the worker")
            lease.flushes += 1
            self._observer.flushed(lease.partition, monotonic() - began, flush)
            log_flush(lease.partition, flush)

    def _stop_at_poison(self, partition: int, flush: Flush) -> None:
        refused = flush.refused_per_thousand
        if refused >= self._poison_limit:
            first = flush.dead_letters[0].headers
            reason = b" at ".join(value for name, value in first if name in ("bw_reason", "bw_path")).decode()
            halt(
                UNSAFE,
                f"partition {partition}: expected fewer than {self._poison_limit} bad records in a thousand, got {refused}"
                f" ({reason}) — mend the producer; to let them pass as dead letters raise BELLWETHER_POISON_LIMIT above 1000",
            )

    def _largest(self, flush: Flush) -> str:
        """Say which record of a flush a topic has most likely refused for its size."""
        names = self._outputs
        written = ((names.changelog, flush.changelog), (names.alerts, flush.alerts), *names.others(flush))
        size, topic, key = max(
            (len(message.key or b"") + len(message.value or b""), topic, message.key or b"")
            for topic, messages in written
            for message in messages
        )
        return (
            f"{topic}: expected records that the topic takes, the largest has {size} bytes (key {key[:80]!r}) — raise the"
            " topic's max.message.bytes with kafka-configs.sh, then start the worker again"
        )

    async def _transact(self, lease: Lease, flush: Flush) -> None:
        names, reach, own = self._outputs, self._failpoints.reach, lease.partition
        producer = lease.producer
        await producer.begin_transaction()
        # All is sent before anything is awaited; the order of waiting only names the points for fault tests.
        rows = await _send(lease, names.changelog, flush.changelog)
        alerts = await _send(lease, names.alerts, flush.alerts)
        others = [
            delivery for topic, messages in names.others(flush) for delivery in await _send(lease, topic, messages)
        ]
        offsets = {TopicPartition(names.inputs[topic], own): offset for topic, offset in flush.offsets.items()}
        sending = asyncio.ensure_future(producer.send_offsets_to_transaction(offsets, names.group))
        try:
            await _delivered(rows)
            reach("changelog_written")
            await _delivered(alerts)
            reach("alerts_written")
            await _delivered(others)
        except BaseException:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            raise
        await sending
        reach("offsets_sent")
        reach("before_commit")
        await producer.commit_transaction()
        reach("after_commit")


def flush_seconds(flush: Flush) -> float:
    """Return how long a flush may take before the worker gives it up, in seconds."""
    records = sum(
        map(len, (flush.changelog, flush.scores, flush.history, flush.alerts, flush.dead_letters, flush.rerouted))
    )
    return min(FLUSH_SECONDS + records / RECORDS_PER_SECOND, LONGEST_FLUSH_SECONDS)


async def _send(lease: Lease, topic: str, messages: Iterable[Message]) -> list[asyncio.Future[Any]]:
    """Hand messages to the lease's producer in as few batches as they fit; return the deliveries to wait for."""
    producer, own = lease.producer, lease.partition
    by_partition: dict[int, list[Message]] = {}
    for message in messages:
        partition = own if message.partition is None else message.partition
        by_partition.setdefault(partition, []).append(message)
    deliveries = []
    for partition, group in by_partition.items():
        for batch in batches(group, producer.create_batch):
            deliveries.append(await producer.send_batch(batch, topic, partition=partition))
            lease.written += 1
    return deliveries


def batches(messages: Iterable[Message], new_batch: Callable[[], Any]) -> Iterator[Any]:
    """Yield messages in as few of aiokafka's batches as they fit, one at least; an empty one of `new_batch` takes any."""
    batch = new_batch()
    for key, value, pairs, timestamp, _ in messages:
        headers = list(pairs)
        if batch.append(key=key, value=value, timestamp=timestamp, headers=headers) is None:
            yield batch
            batch = new_batch()
            batch.append(key=key, value=value, timestamp=timestamp, headers=headers)
    yield batch


async def _delivered(deliveries: Iterable[asyncio.Future[Any]]) -> None:
    for delivery in deliveries:
        await delivery
