"""The Faust table whose rows are the leases: it takes partitions over and gives them back as Faust rebalances.

Faust calls, in this order, at each rebalance:

1. ``on_partitions_revoked`` (signal): :meth:`Leases.release` flushes and stops serving.
2. ``Store.on_rebalance``, while heartbeats stand still, so it must be short: give up lost partitions, fence new
   ones by starting their transactional producer, tell Faust where every changelog ends (``persisted_offset``), kept
   partitions included, so that Faust's own recovery finds nothing to do.
3. ``Store.on_recovery_completed``, with heartbeats running: read the changelogs of new partitions. Another rebalance
   may begin meanwhile; restores of partitions we keep go on, the others are given up.
4. ``Consumer.perform_seek``: seek to the state's positions and serve.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.stores import base
from faust.tables.table import Table

from streams.access import kafka_refusal
from streams.commit import Committer
from streams.failpoints import Failpoints
from streams.halt import FAILED, UNSAFE, Refusal, halt
from streams.lease import Lease
from streams.merge import Chunk, GapError, RewoundError
from streams.observer import Observer
from streams.ports import Fold
from streams.recovery import MADE_ANEW, Source, changelog_ends, check_positions, is_fenced, restore

logger = logging.getLogger(__name__)

TAKEOVER_SECONDS = 30.0
"""Fencing waits for the former owner's open transaction to be settled; the broker does that within seconds."""

RELEASE_SECONDS = 8.0
"""Below the 10 s session timeout: whoever waits for our partitions waits no longer than for a dead worker."""

TRANSACTION_TIMEOUT_MS = 300_000
"""Longer than a flush may take, so that the broker never aborts one under way."""

BATCH_BYTES = 512 * 1024
"""Half of what a topic accepts at most: leaves room for headers, yet 20 000 rows go in a few requests."""


class Leases:
    """The partitions this process owns.

    Parameters
    ----------
    source
        Where state is restored from.
    new_fold
        Partition number → empty state.
    committer
        Flushes the leases.
    observer, failpoints
        Told of restores; points for fault tests.
    """

    def __init__(
        self,
        source: Source,
        new_fold: Callable[[int], Fold],
        committer: Committer,
        observer: Observer,
        failpoints: Failpoints,
    ) -> None:
        self.source = source
        self.committer = committer
        self.observer = observer
        self._new_fold = new_fold
        self._failpoints = failpoints
        self._topics = tuple(source.inputs)
        self._held: dict[int, Lease] = {}
        self._ends: dict[int, int] = {}
        self._generation = -1
        self._released_at: float | None = None
        self._restores: dict[int, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def get(self, partition: int) -> Lease | None:
        """Return the lease of a partition, None when it is not ours."""
        return self._held.get(partition)

    def changelog_end(self, partition: int) -> int | None:
        """Return the end offset of an owned changelog as of the last rebalance."""
        return self._ends.get(partition)

    def offer(self, chunk: Chunk) -> None:
        """Give a fetched chunk to its lease, or drop it when it belongs to a former assignment."""
        lease = self._held.get(chunk.partition)
        try:
            if lease is None or not lease.offer(chunk):
                self.observer.chunk_dropped(chunk.topic, len(chunk.records))
        except GapError as error:
            halt(FAILED, f"records were passed over unread: {error}; restart the worker, it reads them again")
        except RewoundError as error:
            where = f"{self.source.inputs[chunk.topic]}[{chunk.partition}]"
            halt(UNSAFE, f"{where}: {error}: {MADE_ANEW}")

    def is_full(self, topic: str, partition: int) -> bool:
        """Return whether fetching this topic of this partition should pause."""
        lease = self._held.get(partition)
        return lease is not None and lease.inbox.is_full(topic)

    async def release(self) -> None:
        """Stop serving and commit everything applied: before a rebalance and before the end."""
        self._released_at = self._released_at or monotonic()
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await asyncio.gather(*(lease.pause() for lease in self))
                await asyncio.gather(*(self.committer.flush(lease) for lease in self if lease.is_restored))
        except TimeoutError:
            halt(FAILED, f"flush before a rebalance: not done within {RELEASE_SECONDS:.0f} s; restart the worker")

    async def take_over(self, partitions: frozenset[int], generation: int) -> None:
        """Own exactly these partitions from now on; former owners are fenced when this returns."""
        # A generation we did not see may have had another owner who has given the partition up again.
        is_unbroken = generation == self._generation + 1
        self._generation = generation
        lost = [lease for lease in self if lease.partition not in partitions or not is_unbroken]
        await asyncio.gather(*(self._give_up(lease) for lease in lost))
        new = sorted(partitions - self._held.keys())
        began = monotonic()
        try:
            async with asyncio.timeout(TAKEOVER_SECONDS):
                producers = await asyncio.gather(*(self._producer(partition) for partition in new))
                self._ends = await changelog_ends(self.source, partitions) if partitions else {}
        except (KafkaError, OSError) as error:
            halt(
                FAILED, f"partitions {new}: takeover failed: {kafka_refusal(error) or repr(error)}; restart the worker"
            )
        for partition, producer in zip(new, producers, strict=True):
            self._held[partition] = Lease(partition, self._new_fold(partition), producer, self._topics)
        logger.info("owning partitions %s, %d new, in %.2f s", sorted(partitions), len(new), monotonic() - began)
        self.observer.assigned(partitions)

    async def restore_new(self) -> None:
        """Restore what is not restored yet; return when all owned partitions are, or were given up meanwhile."""
        for lease in self:
            if not lease.is_restored and lease.partition not in self._restores:
                task = asyncio.create_task(self._restore(lease))
                self._restores[lease.partition] = task
        pending = list(self._restores.values())
        if pending:
            await asyncio.wait(pending)

    def begin_serving(self, generation: int) -> Mapping[tuple[str, int], int]:
        """Serve all restored leases under this assignment; return (topic, partition) → where to read from."""
        starts = {}
        for lease in self:
            if lease.is_restored:
                for topic, offset in lease.serve(generation).items():
                    starts[topic, lease.partition] = offset
        if self._released_at is not None:
            self.observer.rebalanced(monotonic() - self._released_at)
            self._released_at = None
        return starts

    async def close(self) -> None:
        """Give everything up."""
        await asyncio.gather(*(self._give_up(lease) for lease in self))

    async def _producer(self, partition: int) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self.source.client,
            transactional_id=f"{self.source.group}-{partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=BATCH_BYTES,
        )
        await producer.start()
        return producer

    async def _give_up(self, lease: Lease) -> None:
        self._held.pop(lease.partition, None)
        task = self._restores.pop(lease.partition, None)
        if task is not None:
            task.cancel()
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await lease.close()
        except (TimeoutError, KafkaError) as error:
            logger.warning("partition %d: its producer did not stop in order: %r", lease.partition, error)

    async def _restore(self, lease: Lease) -> None:
        async def run() -> None:
            try:
                await restore(lease, self.source, self.observer, self._failpoints)
                await check_positions([lease], self.source)
            except Refusal as refusal:
                # Whoever took the partition over meanwhile has gone on committing: then nothing is wrong but our delay.
                if refusal.code == UNSAFE and await is_fenced(lease, self.source):
                    owned = f"partition {lease.partition}: another worker owns it now"
                    halt(FAILED, f"{owned}, nothing was committed; restart the worker")
                raise

        await halting(run())
        lease.is_restored = True
        self._restores.pop(lease.partition, None)
        lease.tasks += [
            asyncio.create_task(halting(lease.apply_forever(self.observer))),
            asyncio.create_task(halting(self.committer.commit_forever(lease))),
        ]


async def halting(work: Awaitable[None]) -> None:
    """Await work that must not fail: whatever it raises ends the process, because going on could write wrong state."""
    try:
        await work
    except Refusal as refusal:
        halt(refusal.code, str(refusal))
    except Exception as error:
        if sentence := kafka_refusal(error):
            halt(FAILED, sentence)
        logger.critical("unexpected", exc_info=error)
        halt(FAILED, f"stopped by {type(error).__name__}: {error}")


class LeaseStore(base.Store):
    """What Faust sees of the leases: a store that holds no keys and is always up to date."""

    leases: Leases

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("rows are written by flushes only")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("rows are written by flushes only")

    def _clear(self) -> None:
        """Nothing to clear."""

    def reset_state(self) -> None:
        """Nothing to reset."""

    def apply_changelog_batch(self, batch: Sequence[Any], to_key: Any, to_value: Any) -> None:
        """Refuse Faust's own recovery: it must never find anything to do."""
        del to_key, to_value
        if batch:
            halt(FAILED, f"Faust's recovery delivered {len(batch)} changelog records; restart the worker")

    def persisted_offset(self, tp: Any) -> int | None:
        """Return the last offset of an owned changelog."""
        end = self.leases.changelog_end(tp.partition)
        return end - 1 if end else None

    async def backup_partition(self, tp: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing on disk to back up."""

    def restore_backup(self, tp: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing on disk to restore."""

    async def on_rebalance(
        self, assigned: set[Any], revoked: set[Any], newly_assigned: set[Any], generation_id: int = 0
    ) -> None:
        """Take over the partitions of this assignment."""
        del revoked, newly_assigned
        by_topic = {
            name: frozenset(tp.partition for tp in assigned if tp.topic == name)
            for name in (*self.leases.source.inputs.values(), self.leases.source.changelog)
        }
        if len(set(by_topic.values())) != 1:
            halt(FAILED, f"expected the same partitions of every topic, got {by_topic}")
        await halting(self.leases.take_over(by_topic[self.leases.source.changelog], generation_id))

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        """Restore new partitions; Faust seeks and resumes after this."""
        del active_tps, standby_tps
        await self.leases.restore_new()


class LeaseTable(Table):
    """A table over :class:`LeaseStore`."""

    leases: Leases

    def _new_store(self) -> LeaseStore:
        store = LeaseStore("memory://", self.app, self, table_name=self.name)
        store.leases = self.leases
        return store
