"""Ending Kafka's clients without losing a cancellation."""

import asyncio
import contextlib
from collections.abc import Awaitable


async def ended(ending: Awaitable[object]) -> None:
    """Await the `stop` or `close` of a client of aiokafka; raise CancelledError if, and only if, this task is cancelled.

    They cancel tasks of their own and wait for these. Of a client with fetches under way the CancelledError is suppressed
    meanwhile, also one that is meant for whoever called: the loop around goes on for ever, and so does the stop of the
    worker that has cancelled it. While positions are looked up it is let out, and ends a task that nobody has cancelled.
    """
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(asyncio.CancelledError):
        await ending
    if task.cancelling():
        raise asyncio.CancelledError
