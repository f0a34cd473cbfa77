"""What a lease leaves of the event loop to others."""

import asyncio
from itertools import pairwise

from streams.lease import MODELS, Lease
from streams.merge import TICKS, Chunk
from streams.observer import Observer
from tests.streams.counting import CountingFold
from tests.streams.test_merge import At

TOPICS = ("usage", MODELS, TICKS)


async def test_changes_of_the_model_are_applied_one_by_one() -> None:
    """However many wait, the loop turns between two of them: a commit under way needs turns, and each change takes long."""
    fold = CountingFold(0)
    lease = Lease(0, fold, None, TOPICS)
    lease.starts = dict.fromkeys(TOPICS, 0)
    lease.serve(1)
    for topic in ("usage", MODELS):
        records = [At(offset, 10 * offset + TOPICS.index(topic)) for offset in range(20)]
        lease.offer(Chunk(topic, 0, records, 0, len(records), generation=1))
    applying = asyncio.create_task(lease.apply_forever(Observer()))
    seen = [0]
    while seen[-1] < 20:
        await asyncio.sleep(0)
        seen.append(fold.positions.get(MODELS, 0))
    applying.cancel()
    assert max(after - before for before, after in pairwise(seen)) == 1
