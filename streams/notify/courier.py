"""Delivers one target's alerts: reads `alerts` (or `notices`) in a consumer group of its own, tries, tries again, gives up in the end.

Each target has its own position, so a slow or dead one holds nobody else. Per partition the position and what is still
owed before it are committed together (`backlog`); after `kill -9` a delivery under way is made again, with the same id.
What is given up becomes a dead letter in one transaction with the position: once, however often this dies.
An Alertmanager is told of what stands again and again, because it keeps that in memory only.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, Self

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from streams.access import kafka
from streams.dead_letters import UNDELIVERED
from streams.ending import ended
from streams.halt import Refusal
from streams.notify.backlog import Backlog, Owed, Remembered, remembered
from streams.notify.observer import DeliveryObserver
from streams.notify.records import alert_of, is_for_now
from streams.notify.reminding import Standing
from streams.notify.sending import Outcome, Sender, Verdict
from streams.notify.targets import Alertmanager, Target
from streams.outbox import Outbox
from streams.reading import committed, read_all
from streams.settings import Settings

logger = logging.getLogger(__name__)

UNDER_WAY_AT_MOST: Final = 8
POLL_MS: Final = 100
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 60.0
SPREAD: Final = 0.1
"""Retries are up to a tenth later than the table says, so that they do not come all at once."""


class Courier(ConsumerRebalanceListener):
    """One target's member of its consumer group; use it as an async context manager.

    Parameters
    ----------
    settings
        Of this process.
    target
        Where to deliver.
    observer
        Told what happens.
    source
        The topic to deliver from, by Bellwether's name: `alerts`, or `notices` where a desk decides.
    is_enabling
        Whether a place that said it is gone is tried again.
    """

    def __init__(
        self, settings: Settings, target: Target, observer: DeliveryObserver, source: str, *, is_enabling: bool
    ) -> None:
        self._settings = settings
        self._source = source
        self._target = target
        self._observer = observer
        self._is_enabling = is_enabling
        self._group = f"{settings.app_id}-notify-{target.name}"
        self._sender = Sender(target)
        self._backlogs: dict[TopicPartition, Backlog] = {}
        self._tries: dict[asyncio.Task[Outcome], tuple[TopicPartition, Owed]] = {}
        self._standing = Standing(target.place.resend_ms if isinstance(target.place, Alertmanager) else 0)
        self._assignments = 0
        self._is_assigned = False

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            **kafka(self._settings),
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # only until `_begin_reading` seeks
        )
        try:
            await self._consumer.start()
        except BaseException:
            await ended(self._consumer.stop())
            raise
        await self._sender.__aenter__()
        self._consumer.subscribe([self._settings.topic(self._source)], listener=self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._forget()
        await self._sender.__aexit__()
        await ended(self._consumer.stop())

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let go of everything: what is under way is made again by the next owner, with the same id."""
        del revoked
        self._forget()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Have every partition's position looked up before anything of it is delivered."""
        self._forget()
        self._is_assigned = True
        logger.info("%s: delivering partitions %s", self._target.name, sorted(tp.partition for tp in assigned))

    def _forget(self) -> None:
        self._assignments += 1
        self._backlogs.clear()
        self._standing.forget()
        for task in self._tries:
            task.cancel()
        self._tries.clear()

    async def run(self) -> None:
        """Deliver until cancelled; raise what Kafka's client cannot recover from."""
        while True:
            await self._begin_reading()
            for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                await self._take(tp, records)
            await self._remind()
            self._start_tries()
            await self._settle()
            self._hold_back()
            await self._commit()
            self._tell()

    async def _begin_reading(self) -> None:
        """Seek partitions that are new to where their target is."""
        new = [tp for tp in self._consumer.assignment() if tp not in self._backlogs]
        if not new:
            return
        assignments = self._assignments
        kept = await committed(self._settings, self._group)
        limits = self._consumer.beginning_offsets if self._target.from_beginning else self._consumer.end_offsets
        starts = await limits(new)
        if assignments != self._assignments:
            return  # a rebalance came in between: look again
        for tp in new:
            known = kept.get(tp)
            is_known = known is not None and known.offset >= 0
            first = Remembered(starts[tp], since=starts[tp])
            memory = remembered(known.offset, known.metadata) if known and is_known else first
            if isinstance(self._target.place, Alertmanager):
                await self._look_back(tp, memory)
                if assignments != self._assignments:
                    return
            backlog = Backlog(memory)
            if self._is_enabling or backlog.gone != self._target.fingerprint:
                backlog.gone = ""
            # Committed at once, or what is written before the first delivery would be skipped by a restart.
            backlog.is_changed = not is_known or backlog.gone != memory.gone
            self._consumer.seek(tp, memory.start)
            self._backlogs[tp] = backlog

    async def _look_back(self, tp: TopicPartition, memory: Remembered) -> None:
        """Read what stands of what an earlier process delivered."""
        async with aclosing(read_all(self._settings, tp.topic, tp.partition)) as records:
            async for record in records:
                if record.offset >= memory.start:
                    break
                alert = alert_of(record) if record.offset >= memory.since else None
                if alert is not None and self._is_wanted(alert):
                    self._standing.note(tp, alert)

    async def _remind(self) -> None:
        """Tell an Alertmanager again what stands; what has a delivery under way, which may be its end, is not told."""
        place = self._target.place
        if not isinstance(place, Alertmanager) or any(backlog.gone for backlog in self._backlogs.values()):
            return
        owed = {each for backlog in self._backlogs.values() for each in backlog.alerts}
        for alerts in self._standing.due(_now_ms(), owed):
            outcome = await self._sender.remind(place, alerts)
            if outcome.verdict is not Verdict.DELIVERED:
                logger.warning("%s: %d standing alerts not told again: %s", self._target.name, len(alerts), outcome.why)
                return

    def _is_wanted(self, alert: dict[str, Any]) -> bool:
        return is_for_now(alert) and self._target.takes(alert)

    async def _take(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        """Take the records of one fetch, unless they were fetched before the partition was looked up."""
        backlog = self._backlogs.get(tp)
        if backlog is None:
            return
        for record in records:
            alert = alert_of(record)
            is_wanted = alert is not None and self._is_wanted(alert)
            self._observer.read(self._target.name, is_wanted=is_wanted)
            backlog.add(record.offset, alert if is_wanted else None)
            if alert is not None and is_wanted and isinstance(self._target.place, Alertmanager):
                self._standing.note(tp, alert)

    def _start_tries(self) -> None:
        now_ms = _now_ms()
        for tp, backlog in self._backlogs.items():
            if backlog.gone:
                continue
            for owed in backlog.due(now_ms):
                if len(self._tries) >= UNDER_WAY_AT_MOST:
                    return
                owed.is_under_way = True
                self._tries[asyncio.create_task(self._try(owed))] = (tp, owed)

    async def _try(self, owed: Owed) -> Outcome:
        began = time.monotonic()
        try:
            outcome = await self._sender.send(owed.alert)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # A record that cannot be put into a receiver's form must not hold those that can.
            outcome = Outcome(Verdict.REFUSED, f"cannot be told: {error!r}")
        self._observer.tried(self._target.name, outcome.verdict, time.monotonic() - began)
        return outcome

    async def _settle(self) -> None:
        """Take note of what came of the tries that ended."""
        for task in [task for task in self._tries if task.done()]:
            if task not in self._tries:
                return  # a rebalance came in between
            tp, owed = self._tries.pop(task)
            await self._conclude(tp, owed, task.result())

    async def _conclude(self, tp: TopicPartition, owed: Owed, outcome: Outcome) -> None:
        backlog, name = self._backlogs[tp], self._target.name
        if outcome.verdict is Verdict.DELIVERED:
            backlog.settle(owed)
            for each in self._backlogs.values():
                each.hurry()
            return
        if outcome.verdict is Verdict.GONE:
            logger.error(
                "%s: answered %s and gets nothing any more; alerts wait — correct its address, or start with --enable %s",
                *(name, outcome.why, name),
            )
            for each in self._backlogs.values():
                each.gone, each.is_changed = self._target.fingerprint, True
            owed.is_under_way = False
            return
        is_last = owed.tries >= len(self._target.retry_ms)
        if outcome.verdict is Verdict.REFUSED or is_last:
            await self._give_up(tp, owed, outcome)
            return
        wait_ms = self._target.retry_ms[owed.tries]
        wait_ms = max(wait_ms + round(wait_ms * SPREAD * _share(owed)), round(outcome.wait_seconds * 1000))
        backlog.postpone(owed, _now_ms() + wait_ms, is_unanswered=outcome.is_unanswered)
        logger.warning(
            "%s: alert %s: %s; try %d of %d in %.0f s",
            *(
                name,
                owed.alert["alert_id"],
                outcome.why,
                owed.tries + 1,
                len(self._target.retry_ms) + 1,
                wait_ms / 1000,
            ),
        )

    async def _give_up(self, tp: TopicPartition, owed: Owed, outcome: Outcome) -> None:
        """Write a dead letter and the position after it, both or neither."""
        backlog, name = self._backlogs[tp], self._target.name
        logger.error(
            "%s: alert %s: %s; given up after %d tries", name, owed.alert["alert_id"], outcome.why, owed.tries + 1
        )
        backlog.settle(owed)
        headers = {
            "bw_topic": tp.topic,
            "bw_partition": str(tp.partition),
            "bw_offset": str(owed.offset),
            "bw_reason": UNDELIVERED,
            "bw_path": name,
            "bw_given": outcome.why[:120],
        }
        topic = self._settings.topic("dead-letters")
        async with Outbox(self._settings, transactional_id=f"{self._group}-{tp.partition}") as outbox:
            await outbox.open(topic)
            key, value = owed.alert["account_id"].encode(), orjson.dumps(owed.alert)
            await outbox.add(topic, key, value, None, [(header, text.encode()) for header, text in headers.items()])
            await outbox.commit({tp: OffsetAndMetadata(*backlog.committed())}, self._group)
        self._observer.gave_up(name)

    def _hold_back(self) -> None:
        """Read no more of a partition that owes too much, or whose target is gone."""
        held = [tp for tp, backlog in self._backlogs.items() if backlog.is_full or backlog.gone]
        paused = self._consumer.paused()
        self._consumer.pause(*(tp for tp in held if tp not in paused))
        self._consumer.resume(*(tp for tp in paused if tp not in held and tp in self._backlogs))

    async def _commit(self) -> None:
        for tp, backlog in list(self._backlogs.items()):
            if not backlog.is_full and not backlog.gone and tp in self._consumer.assignment():
                backlog.pass_to(await self._consumer.position(tp))
        changed = {tp: backlog for tp, backlog in self._backlogs.items() if backlog.is_changed}
        if changed:
            offsets = {tp: OffsetAndMetadata(*backlog.committed()) for tp, backlog in changed.items()}
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError):
                self._forget()  # a rebalance came in between: look everything up again

    def _tell(self) -> None:
        if not self._is_assigned or self._consumer.assignment() - self._backlogs.keys():
            return  # how things stand is not known yet
        waiting = sum(backlog.waiting for backlog in self._backlogs.values())
        behind = 0
        for tp, backlog in self._backlogs.items():
            behind += max(0, (self._consumer.last_stable_offset(tp) or 0) - backlog.position)
        is_up = not any(backlog.gone for backlog in self._backlogs.values())
        self._observer.stands(self._target.name, waiting, behind, is_up=is_up)


async def deliver_forever(
    settings: Settings, target: Target, observer: DeliveryObserver, source: str, *, is_enabling: bool = False
) -> None:
    """Deliver to a target until cancelled; no failure ends it.

    Parameters
    ----------
    settings
        Of this process.
    target
        Where to deliver.
    observer
        Told what happens.
    source
        The topic to deliver from: `alerts`, or `notices` where a desk decides.
    is_enabling
        Whether a place that said it is gone is tried again.
    """
    wait_seconds = FIRST_WAIT_SECONDS
    while True:
        began = time.monotonic()
        try:
            async with Courier(settings, target, observer, source, is_enabling=is_enabling) as courier:
                await courier.run()
        except (KafkaError, OSError, Refusal) as error:
            logger.warning("%s: Kafka: %s; trying again", target.name, error)
        except Exception:
            # The other targets are served by this process too, and go on whatever is wrong with this one.
            logger.exception("%s: unexpected; trying again", target.name)
        is_healthy = time.monotonic() - began > HEALTHY_SECONDS
        wait_seconds = FIRST_WAIT_SECONDS if is_healthy else min(2 * wait_seconds, LONGEST_WAIT_SECONDS)
        await asyncio.sleep(wait_seconds)


def _share(owed: Owed) -> float:
    """Return a number in 0..1 that differs between deliveries and tries."""
    text = f"{owed.alert['alert_id']}{owed.alert['sequence']}{owed.tries}"
    return hashlib.sha256(text.encode()).digest()[0] / 255


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
