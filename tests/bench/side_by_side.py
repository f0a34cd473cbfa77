"""Bellwether beside Quix Streams, Bytewax and a stock Faust agent: one stack, one workload, one after the other.

``make bench-peers`` runs it. The peers do W1 as its issue states it (`peers/w1.py`); their alerts must be those of a plain
oracle (`oracle.py`), each in its account's order. Bellwether does more: its whole model, on three topics. Every system
begins at the topics' beginnings in a process of its own; in each round all of them run, so that a ratio compares
neighbours in time.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from rich.console import Console
from rich.table import Table

from state.murmur2 import partition_of
from streams import topics
from streams.access import kafka
from streams.bench import children
from streams.bench.loading import preload
from streams.bench.results import record
from streams.bench.run import own_stack
from streams.bench.throughput import run_through
from streams.bench.workload import Line, Workload
from streams.cli.output import note, quiet_client, result
from streams.halt import Refusal
from streams.outbox import Outbox
from streams.settings import Settings
from tests.bench import oracle

PEERS = Path(__file__).with_name("peers")
TOPIC = "w1"
COLUMNS = {
    "events_per_second": "events/s",
    "cpu_seconds_per_million": "CPU s per million",
    "bellwether_times_faster": "Bellwether is faster",
    "bellwether_times_cheaper": "and takes less CPU",
    "alerts_as_the_oracle": "alerts, all as the oracle's",
}
OURS = "Bellwether, its whole model, exactly once"
STOCK = "stock Faust, one plain counter"


class Peer(NamedTuple):
    """A program beside ours, how it is called, and its name in the table."""

    title: str
    program: str
    argument: str


RIVALS = (
    Peer("Quix Streams 3.28, ring, exactly once", "ring_quix.py", "exactly-once"),
    Peer("Quix Streams 3.28, ring, at least once", "ring_quix.py", "at-least-once"),
    Peer("Bytewax 0.21, ring, recovery every 10 s", "ring_bytewax.py", "10"),
    Peer("Bytewax 0.21, ring, no recovery", "ring_bytewax.py", "0"),
)


@dataclass(frozen=True)
class Run:
    """What one system took in one round."""

    events: float
    seconds: float
    cpu_seconds: float | None
    """All threads; None where it was not taken."""
    alerts: int | None = None
    """Read back and found equal to the oracle's; None where the system does not do W1's score."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu(self) -> float | None:
        """CPU seconds per million events."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.events * 1e6


async def measure(
    settings: Settings, folder: Path, workload: Workload, python: Path, rounds: int, tell: Callable[[str], None]
) -> list[dict[str, Run]]:
    """Return system → run, once a round.

    Raises
    ------
    Refusal
        A system failed, or its alerts are not the oracle's.
    """
    await topics.create(settings)
    lines = list(workload.lines())
    tell("the oracle")
    wanted = by_account(oracle.alerts(lines))
    await preload(workload, settings, tell)
    await _make(settings, TOPIC)
    await _write(settings, lines)
    played = []
    for number in range(1, rounds + 1):
        own = replace(settings, app_id=f"bench-{number}")
        await topics.create(own)
        tell(f"round {number}: Bellwether")
        through = await run_through(own, folder, workload.events, tell)
        spent = through.last.cpu_seconds - through.first.cpu_seconds
        runs = {OURS: Run(through.events, through.last.at - through.first.at, spent)}
        tell(f"round {number}: stock Faust")
        stock = await children.measure_stock(own, workload)
        runs[STOCK] = Run(stock["events"], stock["seconds"], None)
        for peer in RIVALS:
            tell(f"round {number}: {peer.title}")
            runs[peer.title] = await _compete(own, folder, workload, python, peer, wanted)
        tell(", ".join(f"{name}: {run.rate:,.0f}/s" for name, run in runs.items()))
        played.append(runs)
    return played


async def _compete(
    settings: Settings,
    folder: Path,
    workload: Workload,
    python: Path,
    peer: Peer,
    wanted: Mapping[str, list[dict[str, Any]]],
) -> Run:
    name = f"{settings.app_id}-{Path(peer.program).stem}-{peer.argument}"
    own = folder / name
    own.mkdir()
    await _make(settings, name)
    environ = {
        "PEER_KAFKA": settings.kafka,
        "PEER_TOPIC": TOPIC,
        "PEER_ALERTS": name,
        "PEER_GROUP": name,
        "PEER_EVENTS": str(workload.events),
        "PEER_FOLDER": str(own),
        "PYTHONPATH": "",
    }
    spent = await children.figures_of(peer.title, [str(python), str(PEERS / peer.program), peer.argument], environ)
    found = by_account(await _read(settings, name))
    if found != wanted:
        counts = [sum(map(len, alerts.values())) for alerts in (wanted, found)]
        raise Refusal(f"{peer.title}: expected the oracle's {counts[0]} alerts, got {counts[1]}, and not the same")
    return Run(workload.events, spent["seconds"], spent["cpu_seconds"], sum(map(len, found.values())))


def by_account(alerts: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return account → its alerts in order: accounts share nothing, so nothing orders them among each other."""
    found = defaultdict(list)
    for alert in alerts:
        found[alert["account_id"]].append(alert)
    return found


async def _make(settings: Settings, topic: str) -> None:
    config = {"retention.ms": "-1"}
    async with topics.admin(settings) as client:
        await client.create_topics([NewTopic(topic, settings.partitions, 1, topic_configs=config)])


async def _write(settings: Settings, lines: Sequence[Line]) -> None:
    async with Outbox(settings) as outbox:
        for line in lines:
            place = partition_of(line.account_id, settings.partitions)
            await outbox.add(TOPIC, line.account_id.encode(), line.value, line.timestamp_ms, partition=place)


async def _read(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Return what the topic holds, committed records only."""
    places = [TopicPartition(topic, number) for number in range(settings.partitions)]
    reader = AIOKafkaConsumer(
        **kafka(settings), isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        reader.assign(places)
        ends = await reader.end_offsets(places)
        values: list[bytes] = []
        while any([await reader.position(place) < ends[place] for place in places]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                values.extend(record.value for record in records)
    finally:
        await reader.stop()
    return [orjson.loads(value) for value in values]


def summary(played: Sequence[Mapping[str, Run]]) -> dict[str, dict[str, object]]:
    """Return system → its figures, medians over the rounds; ratios are ours to theirs in the same round."""
    found: dict[str, dict[str, object]] = {}
    for name in played[0]:
        runs = [runs[name] for runs in played]
        spent = [run.cpu for run in runs if run.cpu is not None]
        pairs = [(runs[OURS], runs[name]) for runs in played]
        cheaper = [it.cpu / own.cpu for own, it in pairs if it.cpu is not None and own.cpu is not None]
        found[name] = {
            "events_per_second": round(median(run.rate for run in runs)),
            "cpu_seconds_per_million": round(median(spent), 1) if spent else None,
            "bellwether_times_faster": round(median(own.rate / it.rate for own, it in pairs), 2),
            "bellwether_times_cheaper": round(median(cheaper), 2) if cheaper else None,
            "alerts_as_the_oracle": runs[0].alerts,
        }
    return found


def table(found: Mapping[str, Mapping[str, object]]) -> Table:
    """Return the figures for people."""
    shown = Table("system", *COLUMNS.values())
    for name, figures in found.items():
        shown.add_row(name, *("-" if figures[key] is None else f"{figures[key]:,}" for key in COLUMNS))
    return shown


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Bellwether beside its rivals, on a stack of its own.")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of the peers' environment")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=1, help="each runs every system once; medians are printed")
    parser.add_argument("--results", type=Path, help="also put the figures into this file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    quiet_client()
    workload = Workload(options.events, options.accounts)
    try:
        with own_stack(Settings(), note) as (settings, folder):
            # Not resolved: the link's own folder is what makes it an environment.
            python = options.python.absolute()
            played = asyncio.run(measure(settings, folder, workload, python, options.rounds, note))
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    found = {"systems": summary(played), "rounds": options.rounds, "events": options.events}
    Console(stderr=options.json).print(table(found["systems"]))
    if options.results:
        record(options.results, "peers", ["make", "bench-peers", f"ROUNDS={options.rounds}"], found)
    if options.json:
        result(found, as_json=True, sentence="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
