"""Watches the topics from outside, as any other program would: alerts as they fire, and how far the workers are."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError

from streams.access import kafka
from streams.demo.alarms import Alarm, read_alarm
from streams.demo.event import instant
from streams.demo.feed import TOPICS
from streams.settings import Settings

POLL_MS = 200
LINES_PER_SECOND = 3
# A fresh broker makes its group coordinator when the first group asks for it; until then there is nothing to report.
COORDINATOR_ABSENT = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError)


class _Reason(msgspec.Struct):
    text: str = ""


class _Shown(msgspec.Struct):
    from_band: str | None = None
    to_band: str | None = None
    reasons: list[_Reason] = []


_SHOWN = msgspec.json.Decoder(_Shown)


def describe(alarm: Alarm, body: bytes, names: Mapping[str, str]) -> str:
    """Return an alert as one line for people.

    Parameters
    ----------
    alarm
        The alert.
    body
        Its JSON, for what an alarm leaves out.
    names
        Account id → name, where known.
    """
    shown = _SHOWN.decode(body)
    bands = dict.fromkeys(band for band in (shown.from_band, shown.to_band) if band)  # once if it did not change
    why = "; ".join(reason.text for reason in shown.reasons[:2])
    name = names.get(alarm.account_id, "")
    label = f"{alarm.account_id} {name}".strip()
    return f"{instant(alarm.at_ms)[:10]}  {alarm.severity:<8}  {label}  {' → '.join(bands)}  {alarm.rule}  {why}"


class Watch:
    """Follows the alerts of all partitions; use it as an async context manager.

    Parameters
    ----------
    settings
        Where to look.
    show
        Called with a line for people, at most a few times a second; the rest is counted.
    names
        Account id → name, for the lines.

    Attributes
    ----------
    alarms
        Everything read so far.
    fired
        Loud firings among them.
    """

    def __init__(self, settings: Settings, show: Callable[[str], None], names: Mapping[str, str]) -> None:
        self._settings = settings
        self._show = show
        self._names = names
        self._shown_in_second = (0, 0)  # the second, and lines shown in it
        self._unshown = 0
        self.alarms: list[Alarm] = []
        self.fired = 0

    async def __aenter__(self) -> Self:
        client = kafka(self._settings)
        self._consumer = AIOKafkaConsumer(
            **client,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._admin = AIOKafkaAdminClient(**client)
        await self._consumer.start()
        await self._admin.start()
        places = [TopicPartition(self._settings.topic("alerts"), number) for number in range(self._settings.partitions)]
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, 0)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._consumer.stop()
        await self._admin.close()

    async def members(self) -> int:
        """Return how many workers the consumer group has; 0 while it is not settled."""
        try:
            answers = await self._admin.describe_consumer_groups([self._settings.app_id])
        except COORDINATOR_ABSENT:
            return 0
        groups = [group for answer in answers for group in answer.groups]
        # (error code, group, state, protocol type, protocol, members, …)
        return len(groups[0][5]) if groups and groups[0][2] == "Stable" else 0

    async def positions(self) -> dict[TopicPartition, int]:
        """Return the offsets the workers have committed, for each partition of every topic they read."""
        try:
            committed = await self._admin.list_consumer_group_offsets(self._settings.app_id)
        except COORDINATOR_ABSENT:
            return {}
        return {place: entry.offset for place, entry in committed.items()}

    async def lag(self, positions: Mapping[TopicPartition, int]) -> int:
        """Return how many fed records the workers have not committed yet.

        Parameters
        ----------
        positions
            From ``positions``. Only topics fed from outside are counted: in the topics that workers write in
            transactions, markers take offsets that nobody reads.
        """
        names = [self._settings.topic(topic) for topic in TOPICS]
        places = [TopicPartition(name, number) for name in names for number in range(self._settings.partitions)]
        ends = await self._consumer.end_offsets(places)
        return sum(end - max(0, positions.get(place, 0)) for place, end in ends.items())

    async def _follow(self) -> None:
        while True:
            chunks = await self._consumer.getmany(timeout_ms=POLL_MS)
            for records in chunks.values():
                for record in records:
                    if record.value is not None:
                        self._take(record.value)

    def _take(self, body: bytes) -> None:
        alarm = read_alarm(body)
        self.alarms.append(alarm)
        if not alarm.is_loud:
            return
        self.fired += 1
        second = int(time.monotonic())
        shown = self._shown_in_second[1] if self._shown_in_second[0] == second else 0
        if shown >= LINES_PER_SECOND:
            self._unshown += 1
            return
        more = f"  (and {self._unshown} more)" if self._unshown else ""
        self._unshown = 0
        self._shown_in_second = (second, shown + 1)
        self._show(describe(alarm, body, self._names) + more)
