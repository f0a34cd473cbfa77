"""A stock Faust worker, to compare with: counts events by account in a table and hands each event's id on. Run as a process.

Everything is as Faust's documentation shows it, except what a fair comparison needs: the same session timeout as
Bellwether's, three copies of the changelog, and a state of its own for each process.
"""

import logging
import os
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust

SESSION_SECONDS = 10


def build(environ: dict[str, str]) -> faust.App:
    """Return the app that ``environ`` describes: KAFKA, APP_ID, PARTITIONS and GUARANTEE."""
    app_id, partitions = environ["APP_ID"], int(environ["PARTITIONS"])
    app = faust.App(
        app_id,
        broker=";".join(f"kafka://{server}" for server in environ["KAFKA"].split(",")),
        store="memory://",
        datadir=Path(gettempdir()) / f"{app_id}-{os.getpid()}",
        web_enabled=False,
        topic_partitions=partitions,
        topic_replication_factor=3,
        worker_redirect_stdouts=False,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=3,
        processing_guarantee=environ["GUARANTEE"],
    )
    events = app.topic(f"{app_id}-events", value_serializer="json")
    outcome = app.topic(f"{app_id}-outcome", value_serializer="json")
    counts = app.Table("counts", default=int, partitions=partitions)

    @app.agent(events)
    async def count(stream: Any) -> None:
        async for event in stream:
            counts[event["account_id"]] += 1
            await outcome.send(key=event["account_id"], value=event["id"])

    return app


if __name__ == "__main__":
    sys.argv[1:] = []
    worker = build(dict(os.environ)).Worker(loglevel=logging.WARNING, quiet=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()
