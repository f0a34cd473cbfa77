"""Recomputes an alert from the journal and the input topics, and says whether it was right.

The journal says in which order a partition applied its inputs and where each flush was taken. A fresh state fed in that
order, up to the flush that carried the alert, must write the very same record. Nothing else is believed: not the
changelog, not Redis, not the alert itself.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiokafka.structs import ConsumerRecord

from scoring.compile import Compiled
from state.flush import Message
from state.layout import INPUT_TOPICS
from state.partition import Partition
from streams.halt import Refusal
from streams.reading import read_all
from streams.scorer import new_partition
from streams.settings import Settings

SWEEP_ROWS: Final = 100_000
DIFFERENCES_SHOWN: Final = 20


@dataclass(frozen=True)
class Verdict:
    """What came of one record of an alert.

    Attributes
    ----------
    sequence, state
        Of the record.
    journal_sequence
        Number of the flush that carried it.
    differences
        Where it differs from what was computed anew, ``path: written …, computed …``; empty means it was right.
    """

    sequence: int
    state: str
    journal_sequence: int
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """What came of an alert: a verdict for each of its records, and how many input records were applied for it."""

    alert_id: str
    account_id: str
    verdicts: tuple[Verdict, ...]
    folded: int

    @property
    def is_right(self) -> bool:
        """Whether every record is what the log gives."""
        return not any(verdict.differences for verdict in self.verdicts)


async def verify(
    settings: Settings, compiled: Compiled, given: str, tell: Callable[[int, int], None] = lambda _, __: None
) -> Verification:
    """Compute an alert anew and compare every record of it.

    Parameters
    ----------
    settings
        Of the workers that decided.
    compiled
        The model.
    given
        The alert's id, or the beginning of it.
    tell
        Called after each flush with how many are done and how many there are.

    Raises
    ------
    Refusal
        No such alert, another model, or the journal no longer reaches back to the beginning.
    """
    records = await _records_of(settings, given)
    alerts = [orjson.loads(record.value) for record in records]
    _require_model(alerts, compiled)
    number = records[0].partition
    wanted = {_identity(record): record for record in records}
    last = max(alert["decided_at"]["journal_sequence"] for alert in alerts)
    computed, folded = await _fold(settings, compiled, number, last, wanted.keys(), tell)
    verdicts = tuple(
        Verdict(
            alert["sequence"],
            alert["state"],
            alert["decided_at"]["journal_sequence"],
            _differences(record, computed.get(_identity(record))),
        )
        for record, alert in zip(records, alerts, strict=True)
    )
    return Verification(alerts[0]["alert_id"], alerts[0]["account_id"], verdicts, folded)


async def _records_of(settings: Settings, given: str) -> list[ConsumerRecord]:
    found: dict[str, list[ConsumerRecord]] = {}
    async for record in read_all(settings, settings.topic("alerts")):
        identity = _identity(record).rpartition("-")[0]
        if identity.startswith(given):
            found.setdefault(identity, []).append(record)
    if len(found) != 1:
        some = f"{len(found)} begin like this ({', '.join(sorted(found)[:3])})" if found else "none begins like this"
        raise Refusal(f"{given}: expected one alert, {some} — see `bellwether alerts tail`")
    return next(iter(found.values()))


def _require_model(alerts: Sequence[dict[str, Any]], compiled: Compiled) -> None:
    for alert in alerts:
        decided, own = alert["model"], compiled.model
        if decided["fingerprint"] != own.fingerprint:
            raise Refusal(
                f"alert {alert['alert_id']}: decided by model {decided['name']} {decided['version']} ({decided['fingerprint']}),"
                f" got {own.name} {own.version} ({own.fingerprint}) — set BELLWETHER_MODEL to the file of that version"
            )


async def _fold(
    settings: Settings,
    compiled: Compiled,
    number: int,
    last: int,
    wanted: Collection[str],
    tell: Callable[[int, int], None],
) -> tuple[dict[str, Message], int]:
    """Apply a partition's journal up to a flush; return the wanted alerts it wrote by CloudEvents id, and the records."""
    state = new_partition(number, settings, compiled)
    computed: dict[str, Message] = {}
    folded, done = 0, 0
    async with AsyncExitStack() as stack:
        inputs = {
            topic: _Input(await stack.enter_async_context(aclosing(read_all(settings, settings.topic(topic), number))))
            for topic in INPUT_TOPICS
        }
        journal = await stack.enter_async_context(aclosing(read_all(settings, settings.topic("journal"), number)))
        async for record in journal:
            entry = orjson.loads(record.value)
            done += 1
            if entry["sequence"] != done:
                raise Refusal(
                    f"journal of partition {number}: expected flush {done}, got {entry['sequence']} — it is kept for 30 days"
                    " and what is older cannot be computed anew; keep it longer (retention.ms of the topic)"
                )
            for topic, first, to in entry["runs"]:
                folded += await _apply(state, topic, inputs[topic], (first, to))
            flush = state.take_flush()
            for message in flush.alerts if flush is not None else []:
                identity = dict(message.headers)["ce_id"].decode()
                if identity in wanted:
                    computed[identity] = message
            tell(done, last)
            if done == last:
                break
    return computed, folded


async def _apply(state: Partition, topic: str, source: "_Input", run: tuple[int, int]) -> int:
    records = await source.run(*run)
    state.apply(topic, records)
    while not state.sweep(SWEEP_ROWS):
        pass
    return len(records)


class _Input:
    """One input topic's partition, read as far as the journal asks.

    Parameters
    ----------
    records
        All of its records, by offset.
    """

    def __init__(self, records: AsyncGenerator[ConsumerRecord, None]) -> None:
        self._records = records
        self._next: ConsumerRecord | None = None

    async def run(self, first: int, last: int) -> list[ConsumerRecord]:
        """Return the records from one offset to another, both included; runs are asked for in rising order."""
        found: list[ConsumerRecord] = []
        while True:
            record = self._next or await anext(self._records, None)
            self._next = None
            if record is None:
                return found
            if record.offset > last:
                self._next = record
                return found
            if record.offset >= first:
                found.append(record)


def _identity(record: ConsumerRecord) -> str:
    return dict(record.headers)["ce_id"].decode()


def _differences(record: ConsumerRecord, message: Message | None) -> tuple[str, ...]:
    """Return where a written record differs from the computed one, by JSON path; byte for byte equal is none."""
    if message is None:
        return ("$: written, but the log gives no such alert",)
    written = list(_paths("headers", {name: value.decode() for name, value in record.headers}))
    written += _paths("$", orjson.loads(record.value))
    computed = dict(_paths("headers", {name: value.decode() for name, value in message.headers}))
    computed |= _paths("$", orjson.loads(message.value or b"null"))
    known = dict(written)
    paths = [path for path in {**known, **computed} if known.get(path) != computed.get(path)]
    lines = [f"{path}: written {known.get(path)!r}, computed {computed.get(path)!r}" for path in paths]
    if not lines and record.value != message.value:
        lines = ["$: the same content in other bytes"]
    return tuple(lines[:DIFFERENCES_SHOWN])


def _paths(path: str, value: Any) -> list[tuple[str, object]]:
    """Return every plain value below a value with its path."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _paths(f"{path}.{key}", inner)]
    if isinstance(value, list):
        return [pair for place, inner in enumerate(value) for pair in _paths(f"{path}[{place}]", inner)]
    return [(path, value)]
