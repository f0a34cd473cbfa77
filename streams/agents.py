"""The Faust agents: one per input topic, each hands its chunks to the lease they belong to. No arithmetic."""

from collections.abc import AsyncIterator
from typing import Any

from streams.merge import Chunk
from streams.transport import ChunkSchema


def attach(app: Any, partitions: int) -> None:
    """Give the app its agents.

    Parameters
    ----------
    app
        A ``streams.app.BellwetherApp``.
    partitions
        Partitions of every topic.
    """

    async def receive(chunks: AsyncIterator[Chunk]) -> None:
        async for chunk in chunks:
            app.leases.offer(chunk)

    for name, topic in app.input_topics.items():
        # acks=False: Faust neither tracks nor commits these topics, the flush transactions do.
        channel = app.topic(name, schema=ChunkSchema(), acks=False, partitions=partitions)
        app.agent(channel, name=f"receive-{topic}")(receive)
