"""How far a worker is, seen from outside: its group's committed offsets, and what its process has used."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.access import kafka
from streams.settings import Settings


@dataclass(frozen=True)
class Sample:
    """A worker at one moment.

    Parameters
    ----------
    at
        Steady clock, seconds.
    committed
        Committed offsets of the watched topics, added up.
    main_seconds, other_seconds
        CPU time of the process's first thread and of all others, user and system.
    resident_bytes
        Its resident memory.
    """

    at: float
    committed: int
    main_seconds: float
    other_seconds: float
    resident_bytes: int

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the whole process, user and system."""
        return self.main_seconds + self.other_seconds


class Progress:
    """Samples one worker; use it as an async context manager.

    Parameters
    ----------
    settings
        The worker's.
    topics
        Input topics whose committed offsets count.
    pid
        The worker's process id.
    """

    def __init__(self, settings: Settings, topics: Collection[str], pid: int) -> None:
        self._group = settings.app_id
        self._names = {settings.topic(topic) for topic in topics}
        self._process = psutil.Process(pid)
        self._admin = AIOKafkaAdminClient(**kafka(settings))

    async def __aenter__(self) -> Self:
        await self._admin.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._admin.close()

    async def sample(self) -> Sample:
        """Return where the worker is now; `psutil.NoSuchProcess` when it has ended."""
        try:
            offsets = await self._admin.list_consumer_group_offsets(self._group)
        except KafkaError as error:
            if not error.retriable:
                raise
            offsets = {}  # a new cluster makes its offsets topic for the first group that asks
        committed = sum(max(meta.offset, 0) for tp, meta in offsets.items() if tp.topic in self._names)
        with self._process.oneshot():
            cpu, resident = self._process.cpu_times(), self._process.memory_info().rss
        main = next((t for t in self._process.threads() if t.id == self._process.pid), None)
        main_seconds = main.user_time + main.system_time if main else 0.0
        total = cpu.user + cpu.system
        return Sample(time.monotonic(), committed, main_seconds, max(0.0, total - main_seconds), resident)
