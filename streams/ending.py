"""Ending Kafka's clients without losing a cancellation."""

import asyncio
import contextlib
from collections.abc import Awaitable

LONGEST_SECONDS = 10.0
"""For a client to end in order; what brokers must be told they are told within milliseconds."""


async def ended(ending: Awaitable[object], longest_seconds: float = LONGEST_SECONDS) -> None:
    """Await the `stop` or `close` of a client of aiokafka; raise CancelledError if, and only if, this task is cancelled.

    They cancel tasks of their own and wait for these. Of a client with fetches under way the CancelledError is suppressed
    meanwhile, also one that is meant for whoever called: the loop around goes on for ever, and so does the stop of the
    worker that has cancelled it. While positions are looked up it is let out, and ends a task that nobody has cancelled.
    And a fetching task that loses its assignment just then misses its own cancellation: it is cancelled again.
    """
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(longest_seconds):
            await ending
    if task.cancelling():
        raise asyncio.CancelledError
