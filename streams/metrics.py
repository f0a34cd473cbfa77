"""Every metric of our processes, declared once: name, kind, labels, meaning. `python -m streams.metrics` prints the table.

Units are Prometheus's base units and stand in the name: ``_seconds``, ``_bytes``, ``_records``; counters end in
``_total``. No label ever holds an account, a user or an event id, so the number of series depends on the model and the
number of topics only; of sources and segments the first ones are told apart.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from state.arrivals import DELAYS_MS

PREFIX: Final = "bellwether_"
MOST_SERIES: Final = 1_100
"""Series that one worker exports at most under a preset, whoever sends events; a test holds it."""
LATENCY_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""Finest around the promises: 0.3 s to a committed alert, 0.4 s to Redis, 1 s under load."""
WORK_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Work that holds the event loop: from 50 ms on heartbeats and fetches begin to suffer."""
DELAY_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0, 604_800.0)
"""Up to a week: producers that deliver by the hour or the day are common."""
RESTORE_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


class Kind(Enum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    name
        Full name without the suffixes that Prometheus adds to a histogram.
    kind
        Counter, gauge or histogram.
    meaning
        One sentence for people, also the metric's HELP text.
    labels
        Label names.
    buckets
        Upper bounds of a histogram, in the metric's unit.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(PREFIX + name, Kind.COUNTER, meaning, labels)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(PREFIX + name, Kind.GAUGE, meaning, labels)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(PREFIX + name, Kind.HISTOGRAM, meaning, (), buckets)


EVENTS = _counter(
    "events_total",
    "Input records by what became of them: applied, duplicate, dead_letter, rerouted, unchecked, skipped; counted once committed.",
    "topic",
    "result",
)
RECORDS = _counter("applied_records_total", "Input records handed to the kernel, committed or not.", "topic")
DROPPED = _counter("dropped_records_total", "Records fetched under a former assignment; they are read again.", "topic")
NEWEST = _gauge(
    "newest_record_timestamp_seconds",
    "Record timestamp of the newest record applied; its distance to now is a topic's freshness.",
    "topic",
)
LAG = _gauge("lag_records", "Records in the owned partitions' logs that are not applied yet.", "topic")
LAG_SECONDS = _gauge(
    "lag_seconds",
    "Age of the oldest record that is not applied yet, at most: since the newest one applied, or since none waited; 0 when none waits.",
    "topic",
)
SOURCE_RECORDS = _counter(
    "source_records_total",
    "Valid events by who says to have sent them: a topic's first 15 sources, (other) for the rest, (none) where it is not said.",
    "topic",
    "source",
)
SOURCE_NEWEST = _gauge(
    "source_newest_record_timestamp_seconds",
    "Record timestamp of the newest event of a source; its distance to now is the source's freshness.",
    "topic",
    "source",
)
LATE = _counter("late_events_total", "Events of a UTC day that was over when their record was written.", "topic")
EVENT_DELAY = _histogram(
    "event_delay_seconds",
    "From when an event happened to its record's timestamp: how late producers are.",
    tuple(bound / 1000 for bound in DELAYS_MS),
)
DELAY = _histogram(
    "record_delay_seconds",
    "From a record's timestamp to when it was applied, of the newest record of each topic in a stretch; not with the log's clock.",
    DELAY_SECONDS,
)
EVENT_TO_ALERT = _histogram(
    "event_to_alert_seconds",
    "From the timestamp of the oldest record applied together with the deciding one to the alert's commit; with the log's clock from when it was applied.",
    LATENCY_SECONDS,
)
APPLY = _histogram(
    "apply_duration_seconds", "Time to decode, apply and score one stretch of up to 4 000 records.", WORK_SECONDS
)
ENCODE = _histogram("encode_duration_seconds", "Time to encode one flush: rows, snapshots, alerts.", WORK_SECONDS)
COMMIT = _histogram("commit_duration_seconds", "Time of one transaction, from first send to commit.", LATENCY_SECONDS)
COMMIT_AGE = _gauge("commit_age_seconds", "Age of the oldest applied record that is not committed; 0 when none waits.")
FLUSH_RECORDS = _counter("flush_records_total", "Records committed, by where they went.", "output")
FLUSH_BYTES = _counter("flush_bytes_total", "Bytes of keys and values committed, by where they went.", "output")
ALERTS = _counter("alerts_total", "Alerts committed.", "rule", "state")
DEAD_LETTERS = _counter("dead_letters_total", "Dead letters committed.", "reason")
ACCOUNTS = _gauge("accounts", "Accounts in the owned partitions, by band.", "band")
SEGMENT_ACCOUNTS = _gauge(
    "segment_accounts",
    "Accounts in the owned partitions, by segment and band: a worker's first 31 segments, (other) for the rest, (none) without one.",
    "segment",
    "band",
)
PARTITIONS = _gauge("partitions", "Owned partitions by state: restoring, serving, or paused by a rebalance.", "state")
TOPIC_PARTITIONS = _gauge("topic_partitions", "Partitions that every topic has, by the settings.")
STATE_BYTES = _gauge("state_bytes", "Memory of the owned partitions' rows, spare room included.")
REBALANCES = _counter("rebalances_total", "Assignments this worker was given.")
REBALANCE = _histogram(
    "rebalance_duration_seconds", "From giving partitions up to serving again, restores included.", RESTORE_SECONDS
)
RESTORE = _histogram("restore_duration_seconds", "Time to restore one partition from its changelog.", RESTORE_SECONDS)
RESTORED = _gauge("restored_records", "Changelog records read so far for the owned partitions.")
UNRESTORED = _gauge("unrestored_records", "Offsets of changelogs still to be read before the owned partitions serve.")
STANDSTILL = _gauge(
    "standstill_seconds", "How long work has waited without movement; the watchdog ends the worker at 60."
)
TICKS = _counter("ticks_total", "Ticks written.")
CLOCK = _gauge("clock_timestamp_seconds", "As-of time of the newest tick written.")
MODEL = _gauge("model_info", "1; the labels tell the model in use.", "name", "version", "fingerprint")
PROJECTED = _counter("projected_records_total", "Records written to Redis.", "topic")
PROJECT = _histogram("projection_duration_seconds", "Time of one call to Redis.", WORK_SECONDS)
PROJECTION_DELAY = _histogram(
    "projection_delay_seconds",
    "From when a record was written to `scores` or `alerts` to when it is in Redis, of the oldest record of each call.",
    LATENCY_SECONDS,
)
EVENT_TO_REDIS = _histogram(
    "event_to_redis_seconds",
    "From the moment a score or alert speaks of (its event's, or a due time) to when it is in Redis; not what is put back there, nor with the log's clock.",
    LATENCY_SECONDS,
)
PROJECTION_LAG = _gauge("projection_lag_records", "Committed records that are not in Redis yet.", "topic")
REWINDS = _counter("projection_rewinds_total", "Times Redis had lost data and is filled again.", "topic")
UNREADABLE = _counter("projection_unreadable_total", "Records left out of Redis because nobody can read them.", "topic")
REDIS_UP = _gauge("redis_up", "Whether Redis takes what the projector writes: 1 or 0.")

METRICS: Final = tuple(metric for metric in list(globals().values()) if isinstance(metric, Metric))
"""A worker's, in the order above."""

TRIES = _counter(
    "delivery_tries_total",
    "Tries to deliver an alert: delivered, failed (tried again), refused, gone.",
    "target",
    "result",
)
TRY = _histogram("delivery_duration_seconds", "Time of one try, whatever came of it.", LATENCY_SECONDS)
LEFT_OUT = _counter(
    "deliveries_left_out_total",
    "Alerts that a target does not get: by its own choice, or because of what the desk decided.",
    "target",
)
UNDELIVERED = _counter("undelivered_total", "Alerts given up for a target; each is a dead letter.", "target")
OWED = _gauge("deliveries_owed", "Deliveries begun or to be tried again.", "target")
DELIVERY_LAG = _gauge("delivery_lag_records", "Alert records that a target has not come to yet.", "target")
TARGET_UP = _gauge("target_up", "0 once a target answered 410 Gone and gets nothing any more.", "target")
NOTICES = _counter(
    "notices_total", "Alerts by what the desk decided of them: now, held, digest, portfolio, told.", "fate"
)

NOTIFIER_METRICS: Final = (NOTICES, TRIES, TRY, LEFT_OUT, UNDELIVERED, OWED, DELIVERY_LAG, TARGET_UP)
"""A notifier's."""

SAID = _gauge(
    "predicted_outcome_ratio",
    "Mean risk that was said of accounts in a band, over the predictions whose horizon ended in the last quarter.",
    "band",
)
CAME = _gauge("observed_outcome_ratio", "Share of the same predictions whose account met the outcome.", "band")
JUDGED = _gauge("judged_predictions", "How many predictions these are.", "band")
PRECISION = _gauge(
    "alarm_precision_ratio", "Share of the same predictions in any band but the best whose account met the outcome."
)
FORESEEN = _gauge(
    "foreseen_outcomes_ratio",
    "Share of the last quarter's outcomes whose account stood in any band but the best so many days before.",
    "days",
)
SLOPE = _gauge("calibration_slope", "Of the same predictions: 1 is right, below 1 they are too extreme.")
CALIBRATION_ERROR = _gauge(
    "calibration_error_ratio", "Expected calibration error of the same predictions, over tenths of them."
)
RANKING = _gauge("ranking_auc_ratio", "Area under the curve of the same predictions: 0.5 is chance.")
STABILITY = _gauge(
    "stability_index",
    "Population stability index of the last quarter against the present model's first: from 0.25 on it is another population.",
    "group",
    "name",
)
GREENED = _gauge(
    "red_to_green_ratio", "Share of accounts in the worst band that were in the best within so many days.", "days"
)
RECOVERED = _gauge("playbook_recovered_ratio", "Share of a playbook's accounts that recovered in its time.", "playbook")
REFRESH = _gauge(
    "model_needs_refresh", "1 where calibration, ranking or inputs say so: the model should be looked at.", "reason"
)
SILENT = _gauge(
    "silent_accounts", "Accounts that have reached the silence asked for; not a number where an outcome is stated."
)
HEARD_FROM = _gauge(
    "heard_from_timestamp_seconds",
    "From when on all events are known that break the silence asked for; not a number where none was ever deleted.",
)
NEWEST_CLOSE = _gauge("newest_close_timestamp_seconds", "Midnight that the newest record of `score-history` speaks of.")

FEEDBACK_METRICS: Final = (
    SAID,
    CAME,
    JUDGED,
    PRECISION,
    FORESEEN,
    SLOPE,
    CALIBRATION_ERROR,
    RANKING,
    STABILITY,
    GREENED,
    RECOVERED,
    REFRESH,
    SILENT,
    HEARD_FROM,
    NEWEST_CLOSE,
)
"""Of `drift --follow`."""


class Metrics:
    """The declared metrics as Prometheus objects in one registry.

    Parameters
    ----------
    registry
        Where they are registered.
    declared
        Which of them: a worker's, a notifier's, or those of `drift --follow`.
    """

    def __init__(self, registry: CollectorRegistry, declared: tuple[Metric, ...] = METRICS) -> None:
        self.registry = registry
        self._made = {metric: _make(metric, registry) for metric in declared}

    def add(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Raise a counter by `amount`, ≥ 0."""
        made = self._made[metric]
        assert isinstance(made, Counter)
        (made.labels(**labels) if labels else made).inc(amount)

    def set(self, metric: Metric, number: float, **labels: str) -> None:
        """Set a gauge."""
        made = self._made[metric]
        assert isinstance(made, Gauge)
        (made.labels(**labels) if labels else made).set(number)

    def observe(self, metric: Metric, number: float, times: int = 1) -> None:
        """Add a number to a histogram, `times` ≥ 0 times."""
        made = self._made[metric]
        assert isinstance(made, Distribution)
        made.observe(number, times)

    def observe_many(self, metric: Metric, numbers: Sequence[float]) -> None:
        """Add numbers to a histogram."""
        made = self._made[metric]
        assert isinstance(made, Distribution)
        made.add(np.bincount(np.searchsorted(metric.buckets, numbers), minlength=len(metric.buckets) + 1), sum(numbers))

    def observe_counts(self, metric: Metric, counts: NDArray[np.int64], total: float) -> None:
        """Add so many numbers up to each bound of a histogram, and beyond, that come to a sum."""
        made = self._made[metric]
        assert isinstance(made, Distribution)
        made.add(counts, total)

    def prepare(self, metric: Metric, labels: Iterable[Mapping[str, str]]) -> None:
        """Make series that start at 0: a rate over a series that appears with its first event misses that event."""
        made = self._made[metric]
        assert not isinstance(made, Distribution)
        for each in labels:
            made.labels(**each)

    def forget(self, metric: Metric) -> None:
        """Drop all of a metric's series."""
        made = self._made[metric]
        assert not isinstance(made, Distribution)
        made.clear()


class Distribution(Collector):
    """A histogram to which numbers may be added by the thousand, which Prometheus's own cannot.

    Parameters
    ----------
    metric
        What is declared of it.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._counts = np.zeros(len(metric.buckets) + 1, np.int64)
        self._sum = 0.0

    def observe(self, number: float, times: int) -> None:
        """Add a number, `times` ≥ 0 times."""
        self._counts[bisect_left(self._metric.buckets, number)] += times
        self._sum += number * times

    def add(self, counts: NDArray[np.int64], total: float) -> None:
        """Add so many numbers per bucket, the last one unbounded, and their sum."""
        self._counts += counts
        self._sum += total

    def collect(self) -> Iterable[Family]:
        """Return what Prometheus reads."""
        bounds = [*(repr(float(bound)) for bound in self._metric.buckets), "+Inf"]
        buckets = list(zip(bounds, np.cumsum(self._counts).tolist(), strict=True))
        family = HistogramMetricFamily(self._metric.name, self._metric.meaning)
        family.add_metric([], buckets, self._sum)
        return [family]


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Distribution:
    if metric.kind is Kind.HISTOGRAM:
        made = Distribution(metric)
        registry.register(made)
        return made
    kind = Counter if metric.kind is Kind.COUNTER else Gauge
    return kind(metric.name, metric.meaning, metric.labels, registry=registry)


def table() -> str:
    """Return the declaration as a Markdown page."""
    lines = [
        "# Metrics",
        "",
        "Exported by `bellwether worker` on `BELLWETHER_METRICS_PORT` at `/metrics`. Made by `python -m streams.metrics`.",
        "`/healthz` answers while the process runs, `/readyz` once every owned partition is restored.",
        "A transaction that fails ends its worker and Kafka aborts it, so aborts are counted as starts: `process_start_time_seconds`.",
        *_rows(METRICS),
        "",
        "## Of the notifier",
        "",
        "Exported by `bellwether notify`, on the port that its own `BELLWETHER_METRICS_PORT` says.",
        *_rows(NOTIFIER_METRICS),
        "",
        "## Of what came of predictions",
        "",
        "Exported by `bellwether drift --follow`, on the port that its own `BELLWETHER_METRICS_PORT` says; computed with each report.",
        *_rows(FEEDBACK_METRICS),
    ]
    return "\n".join(lines)


def _rows(metrics: tuple[Metric, ...]) -> list[str]:
    lines = ["", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        lines.append(f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.meaning} |")
    return lines


if __name__ == "__main__":
    print(table())
