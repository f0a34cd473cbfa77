"""What Faust does as it comes: one agent, one plain table that counts events by account. Run as a child process.

It reads the usage topic for some seconds and prints one JSON object; its defaults are left as they are.
"""

import logging
import os
from pathlib import Path
from tempfile import gettempdir
from time import monotonic
from typing import Any

import faust
import orjson

from streams.settings import Settings

SECONDS = 8.0
"""Long enough for a steady rate; Faust would need minutes for all events."""


def build(settings: Settings) -> faust.App:
    """Return the app; it ends the process by itself."""
    app = faust.App(
        f"{settings.app_id}-stock-faust",
        broker=f"kafka://{settings.kafka}",
        store="memory://",
        datadir=Path(gettempdir()) / "bellwether-stock-faust",
        web_enabled=False,
        topic_partitions=settings.partitions,
        worker_redirect_stdouts=False,
        consumer_auto_offset_reset="earliest",
    )
    usage = app.topic(settings.topic("usage"), value_serializer="json")
    counts = app.Table("counts", default=int, partitions=settings.partitions)
    end = int(os.environ["BENCH_EVENTS"])

    @app.agent(usage)
    async def count(events: Any) -> None:
        seen, began = 0, 0.0
        async for event in events:
            counts[event["account_id"]] += 1
            seen += 1
            if seen == 1:
                began = monotonic()
            elif seen == end or (seen % 100 == 0 and monotonic() - began > SECONDS):
                seconds = monotonic() - began
                print(orjson.dumps({"events": seen - 1, "seconds": seconds}).decode(), flush=True)
                os._exit(0)  # an orderly end would commit and take seconds

    return app


if __name__ == "__main__":
    worker = build(Settings.from_environ(os.environ)).Worker(loglevel=logging.ERROR, quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()
