"""W1 in Bytewax: the ring as state of a key, snapshots in its recovery store at the end of every epoch.

``ring_bytewax.py SECONDS`` is the length of an epoch, 0 for no recovery; where to read and write stands in the environment.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from spent import Spent
from w1 import Ring, advance


def build(spent: Spent) -> Dataflow:
    """Return the flow; it ends where the topic ends."""

    def decode(messages: list[KafkaSourceMessage]) -> list[tuple[str, dict[str, Any]]]:
        spent.start()
        return [(message.key.decode(), orjson.loads(message.value)) for message in messages]

    def step(ring: Ring | None, event: dict[str, Any]) -> tuple[Ring, list[dict[str, Any]]]:
        held, alert = advance(ring, event)
        return held, [] if alert is None else [alert]

    def encode(alert: tuple[str, dict[str, Any]]) -> KafkaSinkMessage:
        return KafkaSinkMessage(alert[0].encode(), orjson.dumps(alert[1]))

    brokers = [os.environ["PEER_KAFKA"]]
    flow = Dataflow("w1")
    events = op.input("events", flow, KafkaSource(brokers, [os.environ["PEER_TOPIC"]], tail=False))
    keyed = op.flat_map_batch("decode", events, decode)
    alerts = op.stateful_flat_map("ring", keyed, step)
    op.output("alerts", op.map("encode", alerts, encode), KafkaSink(brokers, os.environ["PEER_ALERTS"]))
    return flow


def run(seconds: int) -> None:
    """Read all events, write the alerts, print what it took."""
    spent, recovery = Spent(), None
    if seconds:
        folder = Path(os.environ["PEER_FOLDER"])
        init_db_dir(folder, 1)
        recovery = RecoveryConfig(folder)
    every = timedelta(seconds=seconds) if seconds else None
    cli_main(build(spent), workers_per_process=1, epoch_interval=every, recovery_config=recovery)
    spent.tell(int(os.environ["PEER_EVENTS"]))


if __name__ == "__main__":
    run(int(sys.argv[1]))
