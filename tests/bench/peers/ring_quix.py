"""W1 in Quix Streams: the ring as keyed state in RocksDB with its changelog topic, a checkpoint a second.

``ring_quix.py exactly-once|at-least-once``; where to read and write stands in the environment.
"""

import os
import sys
from typing import Any

from quixstreams import Application, State
from spent import Spent
from w1 import advance


def run(guarantee: str) -> None:
    """Read all events, write the alerts, print what it took."""
    spent, events = Spent(), int(os.environ["PEER_EVENTS"])
    app = Application(
        broker_address=os.environ["PEER_KAFKA"],
        consumer_group=os.environ["PEER_GROUP"],
        processing_guarantee=guarantee,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=os.environ["PEER_FOLDER"],
        loglevel="ERROR",
    )

    seen = 0

    def step(event: dict[str, Any], state: State) -> dict[str, Any] | None:
        nonlocal seen
        spent.start()
        seen += 1
        if seen == events:
            app.stop()  # after this event, and a last checkpoint; `run(count=…)` would count alerts
        ring, alert = advance(state.get("ring"), event)
        state.set("ring", ring)
        return alert

    frame = app.dataframe(app.topic(os.environ["PEER_TOPIC"], value_deserializer="json"))
    alerts = frame.apply(step, stateful=True).filter(lambda alert: alert is not None)
    alerts.to_topic(app.topic(os.environ["PEER_ALERTS"], value_serializer="json"))
    app.run()
    spent.tell(events)


if __name__ == "__main__":
    run(sys.argv[1])
