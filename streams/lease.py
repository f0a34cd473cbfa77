"""One partition while this process owns it: its state, its fetched chunks, and the loop that applies them.

A lease is *serving* between a completed restore and the next rebalance. Everything here runs on the main event loop;
``steady`` is held while a run and the sweep it caused are half applied, so that no flush can cut through them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from state.flush import Flush
from streams.merge import TICKS, Chunk, Inbox, Run
from streams.observer import Observer
from streams.pace import Pace
from streams.ports import Fold

STRETCH_RECORDS = 4_000
"""Records applied in one go at most: beyond this a stretch becomes no cheaper."""
LEAST_RECORDS = 100

MODELS = "models"

FLUSH_RECORDS = 50_000
"""A flush under backlog waits for no more records than these, and while it is on its way no more are applied for the next."""
ENCODED_ROWS = 5_000
"""Rows of a flush encoded in one go at most."""

SWEEP_ROWS = 20_000
"""Rows swept in one go at most; a million take about a second where time moves in small steps."""
LEAST_ROWS = 200


class Lease:
    """One owned partition.

    Parameters
    ----------
    partition
        Partition number, the same in every topic.
    fold
        Its state, empty until restored.
    producer
        Its transactional producer, started: whoever owned the partition before is fenced.
    topics
        Input topics in rank order.
    """

    def __init__(self, partition: int, fold: Fold, producer: Any, topics: Sequence[str]) -> None:
        self.partition = partition
        self.fold = fold
        self.producer = producer
        self.inbox = Inbox(topics)
        self.starts: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.is_restored = False
        self.generation: int | None = None
        self.newest_ms = 0
        self.records_applied = 0
        self.records_flushed = 0
        self.flushes = 0
        self.written = 0
        """Moves while a flush is encoded and sent: rows, and batches that the producer took."""
        self.loaded = 0
        self.to_load = 0
        self._records = Pace(LEAST_RECORDS, STRETCH_RECORDS)
        self._rows = Pace(LEAST_ROWS, SWEEP_ROWS)
        self._encoded = Pace(LEAST_ROWS, ENCODED_ROWS)
        self.steady = asyncio.Lock()
        self.flushing = asyncio.Lock()
        self.has_work = asyncio.Event()
        self.is_dirty = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def serve(self, generation: int) -> Mapping[str, int]:
        """Begin to take chunks of this assignment; return topic → offset at which reading begins."""
        starts = {**self.starts, **self.fold.positions}
        behind = {topic for topic, start in starts.items() if start < self.ends.get(topic, 0) and topic != TICKS}
        self.inbox.restart(starts, behind)
        self.generation = generation
        return starts

    def offer(self, chunk: Chunk) -> bool:
        """Take in a chunk; False when it belongs to another assignment and was dropped."""
        if chunk.generation != self.generation:
            return False
        self.inbox.offer(chunk)
        self.has_work.set()
        return True

    async def pause(self) -> None:
        """Stop serving: forget what is fetched, let the run in hand end with its sweep."""
        self.generation = None
        self.inbox.restart({})
        async with self.steady:
            pass

    async def apply_forever(self, observer: Observer) -> None:
        """Apply what the inbox hands out, run by run, for as long as the partition is owned."""
        while True:
            await self._await_work()
            while runs := self.inbox.take(self._records.size, monotonic()):
                async with self.steady:
                    await self._apply(runs, observer)
                await asyncio.sleep(0)
                await self._keep_pace()

    async def _keep_pace(self) -> None:
        """Wait for the flush on its way where the next one is as large as it may be."""
        while self.flushing.locked() and self.records_applied - self.records_flushed >= FLUSH_RECORDS:
            async with self.flushing:
                pass

    async def _await_work(self) -> None:
        retry_at = self.inbox.retry_at
        if retry_at is None:
            await self.has_work.wait()
        else:
            try:
                async with asyncio.timeout(max(0.0, retry_at - monotonic())):
                    await self.has_work.wait()
            except TimeoutError:
                return
        self.has_work.clear()

    async def _apply(self, runs: Sequence[Run], observer: Observer) -> None:
        began = monotonic()
        count = sum(len(records) for _, records in runs)
        *firsts, last = _up_to_models(runs)
        for part in firsts:
            self.fold.apply_runs(part)
            await self._sweep()
            await asyncio.sleep(0)  # a change of the model takes long, and a commit under way needs turns of the loop
        self.fold.apply_runs(last)
        if count >= LEAST_RECORDS:
            self._records.took(count, monotonic() - began)
        await self._sweep()
        self.records_applied += count
        for topic, records in runs:
            if topic not in (TICKS, MODELS):  # a model is published by the wall clock, whatever clock the events have
                self.newest_ms = max(self.newest_ms, records[-1].timestamp)
        self.is_dirty.set()
        observer.applied(self.partition, runs, monotonic() - began, is_urgent=self.fold.urgent)

    async def _sweep(self) -> None:
        """Run what a tick or another model has caused, if anything, in slices."""
        while True:
            began, rows = monotonic(), self._rows.size
            if self.fold.sweep(rows):
                return  # what was left was less than a slice, which tells nothing about the pace
            self._rows.took(rows, monotonic() - began)
            await asyncio.sleep(0)

    async def take_flush(self) -> tuple[Flush | None, float]:
        """Return what was applied since the last flush, encoded in slices, and the seconds it took; `steady` is held."""
        spent = 0.0
        while True:
            began, rows = monotonic(), self._encoded.size
            is_done = self.fold.encode(rows)
            flush = self.fold.take_flush() if is_done else None
            seconds = monotonic() - began
            spent += seconds
            if is_done:
                self.records_flushed = self.records_applied
                return flush, spent
            self._encoded.took(rows, seconds)
            self.written += rows
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Give the partition up: stop its loops, drop its producer."""
        self.generation = None
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.producer.stop()


def _up_to_models(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """Return the runs in parts that each hold at most one run of models, as their last."""
    ends = [end for end, (topic, _) in enumerate(runs, 1) if topic == MODELS and end < len(runs)]
    return [runs[begin:end] for begin, end in zip([0, *ends], [*ends, len(runs)], strict=True)]
