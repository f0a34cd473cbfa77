"""Feeds the metrics: an observer that counts what the shell tells it, and looks at the leases when it is asked.

What happens often is only added up; what can be read off the state (accounts by band, partitions, the age of what waits)
is computed when Prometheus asks, in the endpoint's thread, so that scoring pays nothing for it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from time import monotonic
from typing import Final, Literal

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from scoring.bands import INSUFFICIENT
from scoring.compile import Compiled
from scoring.lifecycle import ANNOUNCED, STATE_NAMES
from state.arrivals import OTHERS, SOURCES, UNSTATED, Arrivals
from state.busyness import COHORTS
from state.flush import Flush, Message
from state.layout import BAND, INPUT_TOPICS, SEGMENT
from state.partition import Partition
from state.readmodel import TOPICS as PROJECTED_TOPICS
from state.rejections import RejectionCode
from state.telling import INSUFFICIENT_DATA
from streams import metrics as m
from streams.exposition import serve
from streams.lease import Lease
from streams.merge import Run
from streams.observer import Observer
from streams.settings import Settings

RESULTS: Final = ("applied", "duplicate", "dead_letter", "rerouted", "unchecked", "skipped")
OUTPUTS: Final = ("changelog", "scores", "alerts", "dead_letters", "rerouted", "cohorts", "journal")
PARTITION_STATES: Final = ("restoring", "serving", "paused")


class _Alert(msgspec.Struct, frozen=True):
    rule: str
    state: str


_ALERT: Final = msgspec.json.Decoder(_Alert)


class Names:
    """Values of a label, of which only the first ones are told apart.

    Parameters
    ----------
    most
        How many, > 0.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def name(self, given: str | None) -> str:
        """Return what a value is called as a label."""
        if given is None or given in (UNSTATED, OTHERS) or given in self._known:
            return given or UNSTATED
        if len(self._known) == self._most:
            return OTHERS
        self._known.add(given)
        return given


class Measuring(Observer):
    """Counts what happens in a worker.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    clock
        The worker's; with ``log`` record timestamps tell nothing about latency.
    compiled
        The model that scores; None in a process that only projects.
    """

    def __init__(self, registry: CollectorRegistry, clock: Literal["wall", "log"], compiled: Compiled | None) -> None:
        registry.register(_AtScrape(self))  # the first to be asked, so that the gauges it sets are fresh
        self.metrics = m.Metrics(registry)
        self._is_wall = clock == "wall"
        self._bands = (INSUFFICIENT_DATA, *compiled.model.band_names) if compiled else ()
        self._leases: Iterable[object] = ()
        self._is_assigned = compiled is None  # a process without partitions has nothing to restore
        self._counted: dict[int, tuple[object, dict[tuple[str, str], int]]] = {}
        self._waiting: dict[int, float] = {}  # partition → when the oldest record that is in no flush was applied
        self._in_flush: dict[int, float] = {}
        self._urgent: dict[int, float] = {}  # partition → when the latency of waiting alerts began, steady clock
        self._urgent_in_flush: dict[int, float] = {}
        self._lags: dict[tuple[str, int], int] = {}
        self._level_at: dict[tuple[str, int], float] = {}  # (topic, partition) → when nothing waited, wall clock
        self._newest: dict[str, float] = {}  # topic → timestamp of the newest record applied, seconds
        self._began = time.time()
        self._sources = {topic: Names(SOURCES) for topic in INPUT_TOPICS}
        self._newest_of: dict[tuple[str, str], int] = {}  # (topic, source) → newest record timestamp, milliseconds
        self._segments = Names(COHORTS - 1)
        self._projection_lags: dict[tuple[str, int], int] = {}
        self._prepare(compiled)
        ProcessCollector(registry=registry)

    @property
    def is_ready(self) -> bool:
        """Whether partitions were assigned and all of them are restored."""
        return self._is_assigned and all(lease.is_restored for lease in self._owned())

    def _prepare(self, compiled: Compiled | None) -> None:
        prepare = self.metrics.prepare
        prepare(m.EVENTS, ({"topic": topic, "result": result} for topic in INPUT_TOPICS for result in RESULTS))
        for metric in (m.RECORDS, m.DROPPED, m.LAG, m.LAG_SECONDS):
            prepare(metric, ({"topic": topic} for topic in INPUT_TOPICS))
        for metric in (m.FLUSH_RECORDS, m.FLUSH_BYTES):
            prepare(metric, ({"output": output} for output in OUTPUTS))
        prepare(m.LATE, ({"topic": topic} for topic in INPUT_TOPICS))
        prepare(m.DEAD_LETTERS, ({"reason": code.value} for code in RejectionCode))
        for metric in (m.PROJECTED, m.PROJECTION_LAG, m.REWINDS, m.UNREADABLE):
            prepare(metric, ({"topic": topic} for topic in PROJECTED_TOPICS))
        if compiled is not None:
            model = compiled.model
            rules = [rule.name for rule in compiled.rules]
            prepare(m.ALERTS, ({"rule": rule, "state": STATE_NAMES[state]} for rule in rules for state in ANNOUNCED))
            about = {"name": model.name, "version": str(model.version), "fingerprint": model.fingerprint}
            self.metrics.set(m.MODEL, 1, **about)

    # ---- what the shell tells

    def attached(self, leases: Iterable[object]) -> None:  # noqa: D102 - see Observer
        self._leases = leases

    def applied(self, partition: int, runs: Sequence[Run], seconds: float, *, is_urgent: bool) -> None:  # noqa: D102
        self.metrics.observe(m.APPLY, seconds)
        began = monotonic() - seconds
        self._waiting.setdefault(partition, began)
        counts: dict[str, int] = {}
        newest: dict[str, int] = {}
        for topic, records in runs:  # many and short where topics take turns
            counts[topic] = counts.get(topic, 0) + len(records)
            newest[topic] = records[-1].timestamp
        for topic, count in counts.items():
            self.metrics.add(m.RECORDS, count, topic=topic)
            at = self._newest[topic] = newest[topic] / 1000
            self.metrics.set(m.NEWEST, at, topic=topic)
            if self._is_wall:
                self.metrics.observe(m.DELAY, max(0.0, time.time() - at))
        if is_urgent and partition not in self._urgent:
            age = time.time() - min(run.records[0].timestamp for run in runs) / 1000 if self._is_wall else 0.0
            self._urgent[partition] = min(began, monotonic() - age)

    def chunk_dropped(self, topic: str, records: int) -> None:  # noqa: D102
        self.metrics.add(m.DROPPED, records, topic=topic)

    def encoded(self, partition: int, seconds: float) -> None:  # noqa: D102
        self.metrics.observe(m.ENCODE, seconds)
        for now, then in ((self._waiting, self._in_flush), (self._urgent, self._urgent_in_flush)):
            if partition in now:
                then[partition] = now.pop(partition)

    def flushed(self, partition: int, seconds: float, flush: Flush) -> None:  # noqa: D102
        self.metrics.observe(m.COMMIT, seconds)
        self._in_flush.pop(partition, None)
        began = self._urgent_in_flush.pop(partition, None)
        if began is not None:
            self.metrics.observe(m.EVENT_TO_ALERT, monotonic() - began, len(flush.alerts))
        for output in OUTPUTS[:-1]:
            self._count_output(output, getattr(flush, output))
        self._count_output("journal", [flush.journal])
        alerts = Counter(_ALERT.decode(message.value) for message in flush.alerts if message.value is not None)
        for alert, count in alerts.items():
            self.metrics.add(m.ALERTS, count, rule=alert.rule, state=alert.state)
        for message in flush.dead_letters:
            reason = next(value for name, value in message.headers if name == "bw_reason")
            self.metrics.add(m.DEAD_LETTERS, reason=reason.decode())
        self._count_results(partition)

    def _count_output(self, output: str, messages: Sequence[Message]) -> None:
        if messages:
            self.metrics.add(m.FLUSH_RECORDS, len(messages), output=output)
            volume = sum(len(message.key or b"") + len(message.value or b"") for message in messages)
            self.metrics.add(m.FLUSH_BYTES, volume, output=output)

    def _count_results(self, partition: int) -> None:
        """Add what the partition's state has counted since its last flush."""
        fold = next((lease.fold for lease in self._owned() if lease.partition == partition), None)
        if not isinstance(fold, Partition):
            return
        known, before = self._counted.get(partition, (None, {}))
        before = before if known is fold else {}  # a partition that came back starts counting from 0
        counts = dict(fold.counts)
        for (topic, result), count in counts.items():
            self.metrics.add(m.EVENTS, count - before.get((topic, result), 0), topic=topic, result=result)
        self._counted[partition] = fold, counts
        self._count_arrivals(fold.intake.arrivals)

    def _count_arrivals(self, arrivals: Arrivals) -> None:
        """Add what a partition has heard of producers; partitions may tell other sources apart than this worker does."""
        for (topic, source), count in arrivals.records.items():
            name = self._sources[topic].name(source)
            self.metrics.add(m.SOURCE_RECORDS, count, topic=topic, source=name)
            newest = self._newest_of[topic, name] = max(
                self._newest_of.get((topic, name), 0), arrivals.newest_ms[topic, source]
            )
            self.metrics.set(m.SOURCE_NEWEST, newest / 1000, topic=topic, source=name)
        for topic, count in arrivals.late.items():
            self.metrics.add(m.LATE, count, topic=topic)
        self.metrics.observe_counts(m.EVENT_DELAY, arrivals.delays, arrivals.delay_ms / 1000)
        arrivals.empty()

    def restored(self, partition: int, records: int, seconds: float) -> None:  # noqa: ARG002, D102
        self.metrics.observe(m.RESTORE, seconds)

    def assigned(self, partitions: frozenset[int]) -> None:  # noqa: D102
        self._is_assigned = True
        self.metrics.add(m.REBALANCES)
        for known in (self._counted, self._waiting, self._in_flush, self._urgent, self._urgent_in_flush):
            for partition in known.keys() - partitions:
                del known[partition]
        self._lags = {place: lag for place, lag in self._lags.items() if place[1] in partitions}

    def tick_written(self, partition: int, as_of_ms: int) -> None:  # noqa: ARG002, D102
        self.metrics.add(m.TICKS)
        self.metrics.set(m.CLOCK, as_of_ms / 1000)

    def rebalanced(self, seconds: float) -> None:  # noqa: D102
        self.metrics.observe(m.REBALANCE, seconds)

    def lag(self, topic: str, partition: int, records: int) -> None:  # noqa: D102
        self._lags[topic, partition] = records
        if not records:
            self._level_at[topic, partition] = time.time()

    def stood_still(self, seconds: float) -> None:  # noqa: D102
        self.metrics.set(m.STANDSTILL, seconds)

    def projected(self, topic: str, partition: int, records: int, seconds: float) -> None:  # noqa: ARG002, D102
        self.metrics.add(m.PROJECTED, records, topic=topic)
        self.metrics.observe(m.PROJECT, seconds)

    def projection_delayed(self, seconds: float) -> None:  # noqa: D102
        self.metrics.observe(m.PROJECTION_DELAY, max(0.0, seconds))

    def reached_redis(self, moments_ms: Sequence[int]) -> None:  # noqa: D102
        if self._is_wall and moments_ms:
            now = time.time()
            self.metrics.observe_many(m.EVENT_TO_REDIS, [max(0.0, now - moment / 1000) for moment in moments_ms])

    def projection_lag(self, topic: str, partition: int, records: int) -> None:  # noqa: D102
        self._projection_lags[topic, partition] = records

    def projection_rewound(self, topic: str, partition: int) -> None:  # noqa: ARG002, D102
        self.metrics.add(m.REWINDS, topic=topic)

    def projection_unreadable(self, topic: str, partition: int) -> None:  # noqa: ARG002, D102
        self.metrics.add(m.UNREADABLE, topic=topic)

    def redis_answers(self, *, is_up: bool) -> None:  # noqa: D102
        self.metrics.set(m.REDIS_UP, is_up)

    # ---- what is looked up when Prometheus asks

    def look(self) -> None:
        """Set the gauges that are read off the state. O(accounts), some milliseconds for a million."""
        now = monotonic()
        waiting = [*self._waiting.copy().values(), *self._in_flush.copy().values()]
        self.metrics.set(m.COMMIT_AGE, max((now - began for began in waiting), default=0.0))
        for metric, lags in ((m.LAG, self._lags.copy()), (m.PROJECTION_LAG, self._projection_lags.copy())):
            totals: dict[str, int] = {}
            for (topic, _), records in lags.items():
                totals[topic] = totals.get(topic, 0) + records
            for topic, records in totals.items():
                self.metrics.set(metric, records, topic=topic)
        for topic in INPUT_TOPICS:
            self.metrics.set(m.LAG_SECONDS, self._behind_seconds(topic), topic=topic)
        leases = list(self._owned())
        states = [_state_of(lease) for lease in leases]
        for state in PARTITION_STATES:
            self.metrics.set(m.PARTITIONS, states.count(state), state=state)
        self.metrics.set(m.RESTORED, sum(lease.loaded for lease in leases))
        self.metrics.set(m.UNRESTORED, sum(lease.to_load for lease in leases))
        self.metrics.set(
            m.STATE_BYTES, sum(lease.fold.store.nbytes for lease in leases if isinstance(lease.fold, Partition))
        )
        self._look_at_bands(leases)
        self._look_at_models(leases)

    def _behind_seconds(self, topic: str) -> float:
        """Return how long the oldest waiting record of a topic may have waited; 0 when none does."""
        waiting = [place for place, records in self._lags.copy().items() if records and place[0] == topic]
        known = self._newest.get(topic, 0.0) if self._is_wall else 0.0  # a log clock's records tell nothing of now
        since = (max(known, self._level_at.get(place, self._began)) for place in waiting)
        return max((max(0.0, time.time() - at) for at in since), default=0.0)

    def _look_at_bands(self, leases: Sequence[Lease]) -> None:
        totals: dict[str, Counter[str]] = {}
        for fold in (lease.fold for lease in leases if isinstance(lease.fold, Partition)):
            bands = (INSUFFICIENT_DATA, *fold.compiled.model.band_names)
            count, segments, ints = len(bands), fold.cohorts.segments, fold.store.rows.ints[: len(fold.store)]
            places = ints[:, SEGMENT] * count + ints[:, BAND] - INSUFFICIENT
            found = np.bincount(places, minlength=count * len(segments))[: count * len(segments)]
            for segment, counts in zip(segments, found.reshape(-1, count).tolist(), strict=True):
                known = totals.setdefault(self._segments.name(segment or None), Counter(dict.fromkeys(bands, 0)))
                known.update(dict(zip(bands, counts, strict=True)))
        everybody = Counter(dict.fromkeys(self._bands, 0))
        self.metrics.forget(m.SEGMENT_ACCOUNTS)
        for segment, numbers in totals.items():
            everybody.update(numbers)
            for band, total in numbers.items():
                self.metrics.set(m.SEGMENT_ACCOUNTS, total, segment=segment, band=band)
        for band, total in everybody.items():
            self.metrics.set(m.ACCOUNTS, total, band=band)
        self._bands = tuple(everybody)  # a band that another model does not have has no accounts from then on

    def _look_at_models(self, leases: Sequence[Lease]) -> None:
        folds = [lease.fold for lease in leases if lease.is_restored and isinstance(lease.fold, Partition)]
        models = {fold.compiled.model.fingerprint: fold.compiled.model for fold in folds}
        if models:
            self.metrics.forget(m.MODEL)
        for model in models.values():
            self.metrics.set(m.MODEL, 1, name=model.name, version=str(model.version), fingerprint=model.fingerprint)

    def _owned(self) -> Iterator[Lease]:
        return (lease for lease in self._leases if isinstance(lease, Lease))


def _state_of(lease: Lease) -> str:
    if not lease.is_restored:
        return "restoring"
    return "paused" if lease.generation is None else "serving"


class _AtScrape(Collector):
    """Has the gauges set before Prometheus reads them; it has none of its own."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring

    def collect(self) -> Iterable[Family]:
        self._measuring.look()
        return ()


def expose(settings: Settings, compiled: Compiled | None) -> Measuring | None:
    """Serve the metrics on BELLWETHER_METRICS_PORT until the process ends; return the observer that feeds them.

    Parameters
    ----------
    settings
        Of this process; with port 0 there is no endpoint and nothing is measured.
    compiled
        The model that scores; None in a process that only projects.

    Raises
    ------
    Refusal
        The port is taken.
    """
    if settings.metrics_port == 0:
        return None
    registry = CollectorRegistry()
    measuring = Measuring(registry, settings.clock, compiled)
    measuring.metrics.set(m.TOPIC_PARTITIONS, settings.partitions)
    serve(settings.metrics_port, registry, measuring)
    return measuring
