"""Recomputes an alert from the journal and the input topics, and says whether it was right.

The journal says in which order a partition applied its inputs and where each flush was taken. A fresh state fed in that
order, up to the flush that carried the alert, must write the very same record. Nothing else is believed: not the
changelog, not Redis, not the alert itself.

The journal is kept for a month. What came before it is put in the order of the records' times, which is how workers merge
their topics but for what came late. The same bytes from that prove the alert as well, for no other order could have
been meant; other bytes then prove nothing.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiokafka.structs import ConsumerRecord

from scoring.compile import Compiled, compile_model
from scoring.presets import parse_text
from state.flush import Message
from streams.halt import Refusal
from streams.models import publications
from streams.reading import read_all
from streams.refolding import Refolded, refold
from streams.settings import Settings

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
    """What came of an alert: a verdict for each of its records.

    Attributes
    ----------
    folded
        Input records applied for it.
    guessed
        How many of those in the order of their times, because the journal no longer has theirs.
    missing
        What else is no longer there, as sentences.
    """

    alert_id: str
    account_id: str
    verdicts: tuple[Verdict, ...]
    folded: int
    guessed: int = 0
    missing: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether every record is what the log gives."""
        return not any(verdict.differences for verdict in self.verdicts)

    @property
    def is_known(self) -> bool:
        """Whether that is certain: the right bytes always are, others only where nothing was guessed or missing."""
        return self.is_right or not (self.guessed or self.missing)


async def verify(
    settings: Settings, compiled: Compiled, given: str, tell: Callable[[int, int], None] = lambda _, __: None
) -> Verification:
    """Compute an alert anew and compare every record of it.

    Parameters
    ----------
    settings
        Of the workers that decided.
    compiled
        The model the application began with; where others were published since, they are known from their topic.
    given
        The alert's id, or the beginning of it.
    tell
        Called after each flush with how many are done and how many there are.

    Raises
    ------
    Refusal
        No such alert, or another model.
    """
    records = await _records_of(settings, given)
    alerts = [orjson.loads(record.value) for record in records]
    published = [each for _, each in await publications(settings)]
    if published:  # the first of them says which model there was before any was published
        compiled = compile_model(parse_text(published[0].before, "models"))
    _require_model(alerts, compiled, {each.fingerprint for each in published})
    number = records[0].partition
    wanted = {_identity(record): record for record in records}
    last = max(alert["decided_at"]["journal_sequence"] for alert in alerts)
    again = await refold(settings, compiled, number, last, wanted.keys(), tell)
    verdicts = tuple(
        Verdict(
            alert["sequence"],
            alert["state"],
            alert["decided_at"]["journal_sequence"],
            _differences(record, _computed(again, alert, _identity(record))),
        )
        for record, alert in zip(records, alerts, strict=True)
    )
    alert = alerts[0]
    return Verification(alert["alert_id"], alert["account_id"], verdicts, again.folded, again.guessed, again.missing)


def _computed(again: Refolded, alert: dict[str, Any], identity: str) -> Message | None:
    """Return a record as it was computed; the number of a flush that the journal no longer has is taken as written."""
    message, number = again.alerts.get(identity), alert["decided_at"]["journal_sequence"]
    if message is None or number >= again.first_flush:
        return message
    body = orjson.loads(message.value or b"null")
    mark = b'"decided_at":{"journal_sequence":%d,'
    value = (message.value or b"").replace(mark % body["decided_at"]["journal_sequence"], mark % number, 1)
    return message._replace(value=value)


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


def _require_model(alerts: Sequence[dict[str, Any]], compiled: Compiled, published: Collection[str]) -> None:
    for alert in alerts:
        decided, own = alert["model"], compiled.model
        if decided["fingerprint"] not in (own.fingerprint, *published):
            raise Refusal(
                f"alert {alert['alert_id']}: decided by model {decided['name']} {decided['version']} ({decided['fingerprint']}),"
                f" got {own.name} {own.version} ({own.fingerprint}) — set BELLWETHER_MODEL to the file of that version"
            )


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
