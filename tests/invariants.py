"""What must hold, whatever happened: everything is derived anew from the logs and compared byte for byte.

The simulation's logs and those of real brokers are checked by the same code: the committed journal is folded over the
committed input records, flush by flush, and must give the very records that stand in the outputs.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from state.flush import Message
from state.layout import INPUT_TOPICS
from state.partition import Partition
from state.record import Record
from streams.topics import CHANGELOG

OUTPUTS = {"scores": "scores", "alerts": "alerts", "dead-letters": "dead_letters", "rerouted": "rerouted"}
REASONS = ("bw_topic", "bw_reason")

READ = (*INPUT_TOPICS, "scores", "alerts", "dead-letters", "journal", CHANGELOG)
"""Topics whose committed records a check needs."""

OWN = ("ticks", "cohorts")
"""Inputs that workers write themselves: the last ones may still be on their way when everything else is done."""


class ViolationError(Exception):
    """An invariant does not hold."""


Logs = Mapping[tuple[str, int], Sequence[Record]]


class Check:
    """Recounts one finished run.

    Parameters
    ----------
    logs
        (topic of READ, partition) → its committed records in order. The changelog may be compacted.
    partitions
        How many there are.
    new_fold
        Partition number → empty state.
    compacted
        Outputs of which only the last record of a key must be there still.
    has_elders
        A former version wrote some of the scores and alerts: its records may lack members that came later.
    """

    def __init__(
        self,
        logs: Logs,
        partitions: int,
        new_fold: Callable[[int], Partition],
        compacted: Collection[str] = (),
        *,
        has_elders: bool = False,
    ) -> None:
        self._compacted = compacted
        self._has_elders = has_elders
        self._logs = logs
        self._partitions = partitions
        self._new_fold = new_fold
        self.folds: dict[int, Partition] = {}
        self.flushes = 0
        self.alerts = 0
        self._sent: dict[tuple[str, int], list[Message]] = {}
        self._rerouted: list[tuple[int, Message]] = []
        self._refusals: Counter[str] = Counter()

    def everything(self, sent: Mapping[str, int] | None) -> None:
        """Check all that can be derived from the logs, and the counts of what producers wrote, by kind, where known."""
        for partition in range(self._partitions):
            self.folds[partition] = self._fold_journal(partition)
        for partition, fold in self.folds.items():
            self._outputs_are_the_folds(partition)
            self._changelog_restores(partition, fold)
            self._nothing_is_uncounted(partition, fold)
        self._reroutes_arrived()
        self._alerts_are_contiguous()
        if sent is not None:
            self._good_events_count_once(sent)

    def survivors(self, folds: Iterator[tuple[int, Partition]]) -> None:
        """Compare the states that living workers hold."""
        for partition, fold in folds:
            _same_rows(f"partition {partition} in memory", fold, self.folds[partition])

    def _fold_journal(self, partition: int) -> Partition:
        """Apply the journal's runs to an empty state, flush by flush, and keep what it writes."""
        fold = self._new_fold(partition)
        logs = {topic: self._logs[topic, partition] for topic in INPUT_TOPICS}
        read = dict.fromkeys(INPUT_TOPICS, 0)
        for number, record in enumerate(self._logs["journal", partition], 1):
            where = f"journal[{partition}] flush {number}"
            journal = orjson.loads(record.value or b"")
            if journal["sequence"] != number:
                raise ViolationError(f"{where}: sequence {journal['sequence']}")
            for topic, first, last in journal["runs"]:
                read[topic] = self._apply_run(where, fold, topic, (first, last), logs[topic], read[topic])
            flush = fold.take_flush()
            if flush is None or flush.journal.value != record.value:
                raise ViolationError(f"{where}: {record.value!r} but the fold's is {flush and flush.journal.value!r}")
            for letter in flush.dead_letters:
                self._refusals[" ".join(value.decode() for key, value in letter.headers[:5] if key in REASONS)] += 1
            for topic, name in OUTPUTS.items():
                messages: list[Message] = getattr(flush, name)
                if topic == "rerouted":
                    self._rerouted += [(partition, message) for message in messages]
                else:
                    self._sent.setdefault((topic, partition), []).extend(messages)
            self.flushes += 1
        for topic, records in logs.items():
            if topic not in OWN and read[topic] < len(records):
                raise ViolationError(f"{topic}[{partition}]: {len(records) - read[topic]} records were never applied")
        return fold

    def _apply_run(
        self, where: str, fold: Partition, topic: str, run: tuple[int, int], records: Sequence[Record], read: int
    ) -> int:
        """Apply one run; return how many records of the topic are applied after it."""
        first, last = run
        stop = read
        while stop < len(records) and records[stop].offset <= last:
            stop += 1
        chosen = records[read:stop]
        if not chosen or (chosen[0].offset, chosen[-1].offset) != (first, last):
            given = (chosen[0].offset, chosen[-1].offset) if chosen else "nothing unread"
            raise ViolationError(f"{where}: {topic} run {first} to {last} is not what follows: {given}")
        fold.apply_runs([(topic, chosen)])
        while not fold.sweep(1_000):
            pass
        return stop

    def _outputs_are_the_folds(self, partition: int) -> None:
        """Compare what was written, per key in order; across keys a restart may order a flush in another way."""
        for topic in ("scores", "alerts"):
            wanted = _by_key(map(_content, self._sent.get((topic, partition), [])))
            found = _by_key(map(_content_of, self._logs[topic, partition]))
            if self._has_elders:
                wanted = {key: _as_elders_say(found.get(key, []), contents) for key, contents in wanted.items()}
            for key in sorted(wanted.keys() | found.keys()):
                if topic in self._compacted and _is_what_compaction_leaves(found.get(key), wanted.get(key)):
                    continue
                if found.get(key) != wanted.get(key):
                    raise ViolationError(
                        f"{topic}[{partition}] {key!r}: {_difference(found.get(key), wanted.get(key))}"
                    )
        letters = "dead-letters"
        wanted_letters = Counter(map(_content, self._sent.get((letters, partition), [])))
        found_letters = Counter(map(_content_of, self._logs[letters, partition]))
        if found_letters != wanted_letters:
            missing, extra = wanted_letters - found_letters, found_letters - wanted_letters
            raise ViolationError(f"{letters}[{partition}]: missing {missing}, too many {extra}")

    def _reroutes_arrived(self) -> None:
        wanted = Counter((message.partition, _content(message)) for _, message in self._rerouted)
        found = Counter(
            (partition, _content_of(record))
            for partition in range(self._partitions)
            for record in self._logs["rerouted", partition]
        )
        if found != wanted:
            raise ViolationError(f"rerouted: missing {wanted - found}, too many {found - wanted}")

    def _changelog_restores(self, partition: int, fold: Partition) -> None:
        restored = self._new_fold(partition)
        restored.load(self._logs[CHANGELOG, partition])
        restored.finish_load()
        _same_rows(f"changelog[{partition}]", restored, fold)
        if restored.positions != fold.positions or restored.sequence != fold.sequence:
            raise ViolationError(f"changelog[{partition}]: {restored.positions} but the fold is at {fold.positions}")

    def _nothing_is_uncounted(self, partition: int, fold: Partition) -> None:
        """Consumed = applied + duplicates + dead letters + rerouted + skipped, per topic (invariant 2)."""
        for topic in INPUT_TOPICS:
            counted = sum(
                number for (name, result), number in fold.counts.items() if name == topic and result != "unchecked"
            )
            position = fold.positions.get(topic, 0)
            records = self._logs[topic, partition]
            consumed = sum(record.offset < position for record in records)
            if counted != consumed:
                raise ViolationError(f"{topic}[{partition}]: {consumed} consumed, {counted} counted")

    def _alerts_are_contiguous(self) -> None:
        expected: Counter[str] = Counter()
        for partition in range(self._partitions):
            for record in self._logs["alerts", partition]:
                alert = orjson.loads(record.value or b"")
                expected[alert["account_id"]] += 1
                if alert["sequence"] != expected[alert["account_id"]]:
                    raise ViolationError(f"alerts: {alert['account_id']} has {alert['sequence']} out of turn")
                self.alerts += 1

    def _good_events_count_once(self, sent: Mapping[str, int]) -> None:
        """Every good event is applied; a repeat only where its id was forgotten already."""
        total: Counter[str] = Counter()
        for fold in self.folds.values():
            for (topic, result), number in fold.counts.items():
                if topic not in (*OWN, "models"):
                    total[result] += number
        # An old event is expired only for an account that has moved on since; what brokers doubled may be of any kind.
        good, broken = sent["good"], sent["bad"] + sent["future"]
        either = sent["expired"] + sent.get("doubled", 0)
        is_applied = good <= total["applied"] <= good + sent["repeated"] + either
        if not is_applied or not broken <= total["dead_letter"] <= broken + either:
            raise ViolationError(f"sent {dict(sent)} but counted {dict(total)}; refused: {dict(self._refusals)}")


def _same_rows(where: str, found: Partition, wanted: Partition) -> None:
    names = set(found.store.names)
    if names != set(wanted.store.names):
        raise ViolationError(f"{where}: other accounts: {sorted(names ^ set(wanted.store.names))}")
    for account in sorted(names):
        if found.row_bytes(account) != wanted.row_bytes(account):
            raise ViolationError(f"{where}: the row of {account} differs from the fold's")


def _content(message: Message) -> tuple[Any, ...]:
    return message.key, message.value, tuple(message.headers)


def _content_of(record: Record) -> tuple[Any, ...]:
    return record.key, record.value, tuple(record.headers)


def _by_key(contents: Iterable[tuple[Any, ...]]) -> dict[bytes, list[tuple[Any, ...]]]:
    lists: dict[bytes, list[tuple[Any, ...]]] = {}
    for content in contents:
        lists.setdefault(content[0], []).append(content)
    return lists


def _as_elders_say(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the contents wanted; where the record in its place only lacks members of one, that record's value."""
    if len(found) != len(wanted):
        return wanted
    return [
        (key, told if _lacks_members_only(told, value) else value, headers)
        for (_, told, _), (key, value, headers) in zip(found, wanted, strict=True)
    ]


def _lacks_members_only(told: bytes | None, value: bytes | None) -> bool:
    if told is None or value is None:
        return False
    known = orjson.loads(told)
    return bool(known == {name: member for name, member in orjson.loads(value).items() if name in known})


def _is_what_compaction_leaves(found: list[Any] | None, wanted: list[Any] | None) -> bool:
    """Return whether records are a part of those wanted, in their order, and end with the last."""
    if not found or not wanted or found[-1] != wanted[-1]:
        return False
    left = iter(wanted)
    return all(any(each == one for each in left) for one in found)


def _difference(found: list[Any] | None, wanted: list[Any] | None) -> str:
    found, wanted = found or [], wanted or []
    missing, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    at = next((k for k, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), None)
    first = "" if at is None else f": {found[at]} instead of {wanted[at]}"
    return f"{missing.total()} missing, {extra.total()} too many of {len(wanted)}, first at {at}{first}"
