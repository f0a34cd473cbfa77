"""How an owned partition goes about its work: what it does in pieces, and when it waits."""

import asyncio

from streams.lease import FLUSH_RECORDS, Lease
from streams.merge import Chunk
from streams.observer import Observer
from tests.streams.counting import CountingFold
from tests.streams.test_merge import At

SECONDS = 20.0


async def until(is_so) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)


def lease_with(fold: CountingFold, records: int) -> Lease:
    """Return a lease that serves, with so many records waiting."""
    lease = Lease(0, fold, None, ("usage", "models", "ticks"))
    lease.starts = {"usage": 0, "models": 0, "ticks": 0}
    lease.serve(1)
    lease.offer(Chunk("usage", 0, [At(k, k) for k in range(records)], 0, records, generation=1))
    return lease


def test_nothing_more_is_applied_while_a_flush_is_on_its_way_and_the_next_is_full():
    """Work does not pile up behind a slow broker: a flush's worth is applied, the rest once the flush is through."""

    async def run() -> None:
        lease = lease_with(CountingFold(0), 3 * FLUSH_RECORDS)
        async with lease.flushing:
            task = asyncio.create_task(lease.apply_forever(Observer()))
            await until(lambda: lease.records_applied >= FLUSH_RECORDS)
            await asyncio.sleep(0.2)
            assert lease.records_applied < 1.1 * FLUSH_RECORDS
        await until(lambda: lease.records_applied == 3 * FLUSH_RECORDS)
        task.cancel()

    asyncio.run(run())


class InPieces(CountingFold):
    """Encodes a flush of a thousand rows, as many at a time as it is asked for."""

    def __init__(self, partition: int) -> None:
        super().__init__(partition)
        self.left = 1_000
        self.pieces = 0

    def encode(self, max_rows: int) -> bool:
        """Encode some."""
        self.left -= max_rows
        self.pieces += 1
        return self.left <= 0


def test_a_large_flush_is_encoded_between_turns_of_the_loop():
    """Others get their turn between two pieces, and the flush is taken when all of them are encoded."""

    async def run() -> None:
        fold = InPieces(0)
        lease = lease_with(fold, 10)
        lease.fold.apply_runs([("usage", [At(0, 0)])])
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(take_turns())
        flush, _ = await lease.take_flush()
        other.cancel()
        assert flush is not None
        assert fold.left <= 0
        assert turns >= fold.pieces - 1 > 0

    asyncio.run(run())
