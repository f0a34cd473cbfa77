"""The same kills with stock Faust in Bellwether's place: what is lost and what is counted twice.

``python -m tests.faults.stock`` plays both of Faust's guarantees and adds a row each to the comparison in `docs/results.md`.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import Stack
from streams.supervise import Child, Supervisor
from tests.faults.results import DOCUMENT, thousands

RESULTS = Path(__file__).with_name("stock.json")
BEGIN, END = "<!-- stock: begin -->", "<!-- stock: end -->"
GUARANTEES = ("at_least_once", "exactly_once")
PARTITIONS, ACCOUNTS, WORKERS = 4, 60, 2
RATE = 400.0
"""Events per second, as while Bellwether's faults land."""

KILLS = 10
CALM_SECONDS = (4.0, 20.0)
"""Between two kills: some fall into the restore that the last one caused."""

START_SECONDS = 120.0
STALL_SECONDS = 120.0
"""Without any further event in the table for so long, what is missing counts as lost."""


@dataclass(frozen=True)
class Outcome:
    """What one run came to.

    Parameters
    ----------
    guarantee
        Faust's `processing_guarantee`.
    kills
        SIGKILLs of a worker at random times under load.
    events
        Written by the producer, each with an id of its own.
    unread
        Events that the group had not committed at the end: it stood still before them.
    accounts_wrong
        Accounts whose count is not the number of their events, of `accounts`.
    lost, doubled
        Events missing from the counts, and counted too often, summed over accounts.
    outcomes_missing, outcomes_repeated
        Events whose id was never handed on, and ids handed on again, read with read_committed.
    """

    guarantee: str
    kills: int
    events: int
    unread: int
    accounts: int
    accounts_wrong: int
    lost: int
    doubled: int
    outcomes_missing: int
    outcomes_repeated: int


class Run:
    """One run of one guarantee.

    Parameters
    ----------
    stack
        Three brokers.
    folder
        For the workers' logs.
    guarantee
        Faust's `processing_guarantee`.
    seed
        Of the load and the kills.
    tell
        Takes progress lines.
    """

    def __init__(self, stack: Stack, folder: Path, guarantee: str, seed: int, tell: Callable[[str], None]) -> None:
        self._kafka = stack.kafka
        self._app_id = f"stock-{uuid.uuid4().hex[:8]}"
        self._guarantee = guarantee
        self._chance = random.Random(seed)
        self._tell = tell
        self._written: Counter[str] = Counter()
        self._rate = 0.0
        environ = {
            **os.environ,
            "KAFKA": stack.kafka,
            "APP_ID": self._app_id,
            "PARTITIONS": str(PARTITIONS),
            "GUARANTEE": guarantee,
        }
        command = [sys.executable, "-u", "-m", "tests.faults.stock_worker"]
        names = [f"stock-{number}" for number in range(1, WORKERS + 1)]
        self._children = [
            Child(name, command, environ, folder / f"{self._app_id}-{guarantee}-{name}.log") for name in names
        ]

    async def play(self, kills: int) -> Outcome:
        """Kill workers under load, let everything come to rest, and count."""
        client = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await client.start()
        try:
            names = (f"{self._app_id}-events", f"{self._app_id}-outcome")
            await client.create_topics([NewTopic(name, PARTITIONS, 3) for name in names])
        finally:
            await client.close()
        async with Supervisor(self._children, self._tell, healthy_seconds=1.0) as supervisor:
            writing = asyncio.create_task(self._write())
            self._rate = RATE
            await self._until_counted(1, START_SECONDS)
            for number in range(kills):
                await asyncio.sleep(self._chance.uniform(*CALM_SECONDS))
                await self._kill_one(supervisor)
                self._tell(f"{self._guarantee}: kill {number + 1} of {kills}, {self._written.total()} events written")
            self._rate = 0.0
            await asyncio.sleep(1)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self._until_counted(self._written.total(), STALL_SECONDS)
        return await self._count(kills)

    async def _kill_one(self, supervisor: Supervisor) -> None:
        while True:
            pid = supervisor.pid(self._chance.choice(self._children).name)
            try:
                os.kill(pid or 0, signal.SIGKILL) if pid else await asyncio.sleep(0.1)
            except ProcessLookupError:
                continue
            if pid:
                return

    async def _write(self) -> None:
        owed, last, number = 0.0, time.monotonic(), 0
        async with AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, linger_ms=5, request_timeout_ms=120_000
        ) as producer:
            try:
                while True:
                    await asyncio.sleep(0.02)
                    now = time.monotonic()
                    owed, last = min(owed + self._rate * (now - last), self._rate), now
                    while owed >= 1:
                        owed -= 1
                        account = f"account-{self._chance.randrange(ACCOUNTS)}"
                        value = orjson.dumps({"id": f"e-{number}", "account_id": account})
                        await producer.send(f"{self._app_id}-events", value, key=account.encode())
                        self._written[account] += 1
                        number += 1
            finally:
                await producer.flush()

    async def _until_counted(self, events: int, patience: float) -> None:
        """Wait until the table has counted so many; give up when it has not moved for so long (seconds)."""
        seen, moved = -1, time.monotonic()
        while True:
            counted = sum((await self._counts()).values())
            if counted != seen:
                seen, moved = counted, time.monotonic()
            # A table that counted events twice passes the number early: it must also have come to rest.
            if time.monotonic() - moved > (10.0 if counted >= events > 1 else patience) or counted >= events == 1:
                return
            await asyncio.sleep(1)

    async def _counts(self) -> dict[str, int]:
        """Return account → count, as the changelog has it."""
        found: dict[str, int] = {}
        for record in await self._read(f"{self._app_id}-counts-changelog"):
            found[orjson.loads(record.key)] = orjson.loads(record.value)
        return found

    async def _count(self, kills: int) -> Outcome:
        counts = await self._counts()
        outcomes = Counter(record.value for record in await self._read(f"{self._app_id}-outcome"))
        missing = {name: number - counts.get(name, 0) for name, number in self._written.items()}
        events = self._written.total()
        return Outcome(
            guarantee=self._guarantee,
            kills=kills,
            events=events,
            unread=await self._unread(events),
            accounts=len(missing),
            accounts_wrong=sum(number != 0 for number in missing.values()),
            lost=sum(number for number in missing.values() if number > 0),
            doubled=-sum(number for number in missing.values() if number < 0),
            outcomes_missing=events - len(outcomes),
            outcomes_repeated=outcomes.total() - len(outcomes),
        )

    async def _unread(self, events: int) -> int:
        client = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await client.start()
        try:
            found = await client.list_consumer_group_offsets(self._app_id)
        finally:
            await client.close()
        return events - sum(meta.offset for tp, meta in found.items() if tp.topic == f"{self._app_id}-events")

    async def _read(self, topic: str) -> list[object]:
        """Return what is committed in a topic, partition by partition; nothing where there is no such topic yet."""
        found: list[object] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        ) as consumer:
            if topic not in await consumer.topics():
                return found
            tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            unread = {tp for tp in tps if ends[tp] > 0}
            deadline = time.monotonic() + STALL_SECONDS  # an open transaction bars the rest
            while unread and time.monotonic() < deadline:
                for records in (await consumer.getmany(*unread, timeout_ms=200)).values():
                    found += records
                unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
        return found


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Return the comparison in Markdown."""
    lines = [
        "| stock Faust, guarantee | kill -9 | events | never read | wrong counts | lost | counted twice | results missing | repeated |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in outcomes.values():
        figures = (each.lost, each.doubled, each.outcomes_missing, each.outcomes_repeated)
        lines.append(
            f"| `{each.guarantee}` | {each.kills} | {thousands(each.events)} | {thousands(each.unread)} | {each.accounts_wrong} of {each.accounts} | "
            + " | ".join(map(thousands, figures))
            + " |"
        )
    return "\n".join(lines)


def main() -> int:
    """Play, and write the comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.stock", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"of a worker, under each guarantee ({KILLS})")
    parser.add_argument("--guarantee", action="append", choices=GUARANTEES, help="only this one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file that keeps the last run of each")
    parser.add_argument("--folder", type=Path, help="where to keep the workers' logs")
    parser.add_argument("--publish", action="store_true", help="write the comparison into docs/results.md")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    outcomes = {name: Outcome(**each) for name, each in _former(options.results).items()}
    with tempfile.TemporaryDirectory(prefix="bellwether-stock-") as temporary, Stack(brokers=3, redis=False) as stack:
        folder = options.folder or Path(temporary)
        for guarantee in options.guarantee or GUARANTEES:
            run = Run(stack, folder, guarantee, options.seed, _say)
            outcomes[guarantee] = asyncio.run(run.play(options.kills))
            _say(str(outcomes[guarantee]))
            options.results.write_text(
                json.dumps({name: asdict(each) for name, each in outcomes.items()}, indent=1) + "\n"
            )
    print(table(outcomes))
    if options.publish:
        before, rest = DOCUMENT.read_text().split(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table(outcomes)}\n{END}{rest.split(END)[1]}")
    return 0


def _former(path: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
