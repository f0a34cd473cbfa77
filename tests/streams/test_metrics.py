"""The declared metrics, what feeds them, and the endpoint of a real worker."""

import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from scoring.compile import compile_model
from scoring.presets import load_model
from state.arrivals import SOURCES, Arrivals
from state.busyness import COHORTS
from state.decode import LoneRecord
from state.flush import Flush, Message
from state.layout import INPUT_TOPICS
from state.partition import Partition
from streams import metrics as m
from streams.exposition import serve
from streams.halt import Refusal
from streams.lease import Lease
from streams.measuring import Measuring
from streams.merge import Run
from tests.deploy.programs import promtool

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
UNITS = ("_seconds", "_bytes", "_records", "_total", "_info", "_up", "_accounts", "_partitions")
ALERT = Message(b"a", b'{"rule":"band-red","state":"firing","account_id":"a"}')


def measuring(clock: str = "log") -> Measuring:
    """Return an observer with a registry of its own."""
    return Measuring(CollectorRegistry(), clock, compile_model(load_model("saas-renewal")))  # type: ignore[arg-type]


def heard(topic: str, records: list[LoneRecord]) -> Arrivals:
    """Return what a partition that reads these records hears of their producers."""
    partition = Partition(0, 1, compile_model(load_model("saas-renewal")))
    partition.apply(topic, records)
    return partition.intake.arrivals


def samples(observer: Measuring, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the labels and numbers of a metric's series."""
    families = observer.metrics.registry.collect()
    return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]


def number(observer: Measuring, name: str, **labels: str) -> float:
    """Return the present number of a series."""
    found = observer.metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


@pytest.mark.parametrize("metric", m.METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: m.Metric) -> None:
    """A name has our prefix and a base unit, counters alone end in _total, and no label identifies anybody."""
    assert re.fullmatch(r"bellwether_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith(UNITS)
    assert metric.name.endswith("_total") == (metric.kind is m.Kind.COUNTER)
    assert metric.meaning.endswith(".") or metric.name == "bellwether_model_info"
    assert not {"account", "account_id", "user", "event_id", "alert_id"} & set(metric.labels)
    assert bool(metric.buckets) == (metric.kind is m.Kind.HISTOGRAM)


def test_docs_are_current() -> None:
    """docs/metrics.md is what `python -m streams.metrics` prints."""
    assert DOCS.read_text(encoding="utf-8").strip() == m.table().strip()


def test_a_new_process_exports_every_metric_and_few_series() -> None:
    """Every declared metric is there before anything happened, and the number of series stays under what is declared."""
    observer = measuring()
    families = {family.name: family for family in observer.metrics.registry.collect()}
    assert {metric.name.removesuffix("_total") for metric in m.METRICS} <= families.keys()
    assert sum(len(family.samples) for family in families.values()) < m.MOST_SERIES


def test_promtool_finds_nothing_to_improve() -> None:
    """Prometheus's own linter has no remark about names, units and help texts."""
    body = generate_latest(measuring().metrics.registry)
    ran = subprocess.run([promtool(), "check", "metrics"], input=body, capture_output=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_a_flush_counts_its_alerts_and_bytes() -> None:
    """A committed flush adds its records, bytes and alerts, and one latency for each alert."""
    observer = measuring()
    observer.applied(0, [Run("usage", [LoneRecord(b"{}", timestamp=5_000)])], 0.2, is_urgent=True)
    observer.encoded(0, 0.01)
    flush = Flush(
        sequence=1, journal=Message(b"1", b"{}"), offsets={}, changelog=[Message(b"ab", b"cde")], alerts=[ALERT]
    )
    observer.flushed(0, 0.05, flush)
    assert number(observer, "bellwether_flush_bytes_total", output="changelog") == 5
    assert number(observer, "bellwether_alerts_total", rule="band-red", state="firing") == 1
    assert number(observer, "bellwether_event_to_alert_seconds_count") == 1
    assert 0.2 <= number(observer, "bellwether_event_to_alert_seconds_sum") < 5
    assert number(observer, "bellwether_newest_record_timestamp_seconds", topic="usage") == 5


def test_latency_under_the_wall_clock_begins_with_the_record() -> None:
    """With the wall clock a record that waited for years before it was applied shows as years of latency."""
    observer = measuring("wall")
    observer.applied(0, [Run("usage", [LoneRecord(b"{}", timestamp=1_000)])], 0.2, is_urgent=True)
    observer.encoded(0, 0.01)
    observer.flushed(0, 0.05, Flush(sequence=1, journal=Message(b"1", b"{}"), offsets={}, alerts=[ALERT]))
    assert number(observer, "bellwether_event_to_alert_seconds_sum") > 1e9


def test_what_waits_for_a_commit_has_an_age() -> None:
    """The commit age grows from the first record applied, over the flush, and is 0 after the commit."""
    observer = measuring()
    observer.applied(0, [Run("usage", [LoneRecord(b"{}")])], 3.0, is_urgent=False)
    observer.look()
    assert number(observer, "bellwether_commit_age_seconds") >= 3
    observer.encoded(0, 0.01)
    observer.look()
    assert number(observer, "bellwether_commit_age_seconds") >= 3
    observer.flushed(0, 0.05, Flush(sequence=1, journal=Message(b"1", b"{}"), offsets={}))
    observer.look()
    assert number(observer, "bellwether_commit_age_seconds") == 0


def test_lag_is_summed_over_the_owned_partitions() -> None:
    """A topic's lag is that of the partitions owned now."""
    observer = measuring()
    observer.lag("usage", 0, 5)
    observer.lag("usage", 1, 7)
    observer.assigned(frozenset({1}))
    observer.look()
    assert number(observer, "bellwether_lag_records", topic="usage") == 7


def test_lag_in_seconds_counts_from_the_newest_applied_record() -> None:
    """A record waits at most since the newest one applied, or since none waited, whichever is later; 0 once none does."""
    observer = measuring("wall")
    old = round((time.time() - 100) * 1000)
    observer.applied(0, [Run("usage", [LoneRecord(b"{}", timestamp=old)])], 0.1, is_urgent=False)
    observer.lag("usage", 0, 0)
    observer.look()
    assert number(observer, "bellwether_lag_seconds", topic="usage") == 0
    observer.lag("usage", 0, 3)
    observer.look()
    assert 0 <= number(observer, "bellwether_lag_seconds", topic="usage") < 50
    other = measuring("wall")
    other.applied(0, [Run("usage", [LoneRecord(b"{}", timestamp=old)])], 0.1, is_urgent=False)
    other.lag("usage", 0, 3)
    other.look()
    assert 0 <= number(other, "bellwether_lag_seconds", topic="usage") < 50  # it began to look just now
    assert 99 < number(other, "bellwether_record_delay_seconds_sum") < 150


def test_durations_told_by_the_shell_are_kept() -> None:
    """A rebalance and the way to Redis are observed as told; a clock that is ahead counts as no delay."""
    observer = measuring()
    observer.rebalanced(2.5)
    observer.projection_delayed(-1.0)
    observer.projection_delayed(0.5)
    assert number(observer, "bellwether_rebalance_duration_seconds_sum") == 2.5
    assert number(observer, "bellwether_projection_delay_seconds_sum") == 0.5
    assert number(observer, "bellwether_projection_delay_seconds_count") == 2


def test_producers_are_told_apart_up_to_a_limit() -> None:
    """Records, newest record and lateness by source; the sixteenth source of a topic and those after it are one."""
    observer = measuring()
    written = 86_400_000 + 3_000  # on the day after, 3 s later
    body = {"account_id": "a", "event": "e", "occurred_at": "1970-01-01T23:59:59.999Z"}
    sources = [None, "crm", *(f"s{number}" for number in range(20)), "crm"]
    records = [
        LoneRecord(orjson.dumps(body | {"id": str(k), "source": source}), offset=k, timestamp=written + k)
        for k, source in enumerate(sources)
    ]
    arrivals = heard("usage", records)
    observer._count_arrivals(arrivals)
    counts = {
        labels["source"]: value for labels, value in samples(observer, "bellwether_source_records_total") if value
    }
    assert (counts["(none)"], counts["crm"], counts["s0"], counts["(other)"]) == (1, 2, 1, 20 + 1 - SOURCES)
    assert len(counts) == SOURCES + 2
    newest = number(observer, "bellwether_source_newest_record_timestamp_seconds", topic="usage", source="crm")
    assert newest == (written + len(sources) - 1) / 1000
    assert number(observer, "bellwether_late_events_total", topic="usage") == len(sources)
    assert number(observer, "bellwether_event_delay_seconds_bucket", le="1.0") == 0
    assert number(observer, "bellwether_event_delay_seconds_bucket", le="5.0") == len(sources)
    assert not arrivals.records
    assert not arrivals.delays.any()


def test_events_without_a_source_are_counted_too() -> None:
    """Their freshness is that of the topic, and an event written as it happened has no delay."""
    body = b'{"id":"1","account_id":"a","event":"e","occurred_at":"1970-01-01T00:00:07Z"}'
    arrivals = heard("usage", [LoneRecord(body, offset=k, timestamp=7_000) for k in range(3)])
    assert (arrivals.records, arrivals.newest_ms) == ({("usage", "(none)"): 3}, {("usage", "(none)"): 7_000})
    assert arrivals.delays.tolist() == [3] + [0] * 10
    assert not arrivals.late


def test_accounts_are_counted_by_segment_and_band() -> None:
    """Every account once, under its segment; those beyond the limit of a worker together."""
    observer = measuring()
    partition = Partition(0, 1, compile_model(load_model("saas-renewal")))
    value = b'{"account_id":"%d","segment":"s%d","occurred_at":"1970-01-01T00:00:07Z"}'
    partition.apply("accounts", [LoneRecord(value % (k, k % 40), offset=k, timestamp=7_000) for k in range(80)])
    lease = Lease(0, partition, None, ())
    observer.attached([lease])
    observer.look()
    found = {labels["segment"]: value for labels, value in samples(observer, "bellwether_segment_accounts") if value}
    assert (found["s0"], sum(found.values())) == (2, 80)
    # The partition itself numbers no more than the worker tells apart.
    assert (len(found), found["(none)"]) == (COHORTS, 80 - 2 * (COHORTS - 1))
    assert number(observer, "bellwether_accounts", band="insufficient_data") == 80


def test_series_are_bounded_whoever_sends() -> None:
    """With sources and segments without end, a worker still exports fewer series than are declared at most."""
    observer = measuring()
    arrivals = Arrivals()
    for topic in INPUT_TOPICS[:7]:
        for k in range(100):
            arrivals.records[topic, f"{k}"] += 1
            arrivals.newest_ms[topic, f"{k}"] = k
    observer._count_arrivals(arrivals)
    for segment in range(100):
        for band in ("red", "yellow", "green", "insufficient_data"):
            observer.metrics.set(m.SEGMENT_ACCOUNTS, 1, segment=observer._segments.name(f"{segment}"), band=band)
    families = observer.metrics.registry.collect()
    assert sum(len(family.samples) for family in families) < m.MOST_SERIES


def test_the_way_to_redis_counts_every_record_under_the_wall_clock() -> None:
    """From the moment each speaks of; one in the future counts as none; with the log's clock nothing is told."""
    observer = measuring("wall")
    now_ms = round(time.time() * 1000)
    observer.reached_redis([now_ms - 30_000, now_ms - 30_000, now_ms + 60_000])
    assert number(observer, "bellwether_event_to_redis_seconds_count") == 3
    assert 59.9 <= number(observer, "bellwether_event_to_redis_seconds_sum") < 70
    other = measuring("log")
    other.reached_redis([now_ms])
    assert number(other, "bellwether_event_to_redis_seconds_count") == 0


def test_the_door_answers() -> None:
    """/metrics can be parsed, /healthz is 200, /readyz is 503 until partitions are assigned, others are 404."""
    observer = measuring()
    server = serve(0, observer.metrics.registry, observer)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with urlopen(f"{address}/metrics", timeout=10) as answer:  # noqa: S310 - our own address
            names = {family.name for family in text_string_to_metric_families(answer.read().decode())}
        assert "bellwether_events" in names
        assert _status(f"{address}/healthz") == 200
        assert _status(f"{address}/readyz") == 503
        observer.assigned(frozenset({0}))
        assert _status(f"{address}/readyz") == 200
        assert _status(f"{address}/else") == 404
    finally:
        server.shutdown()
        server.server_close()


def test_whoever_gives_up_waiting_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    """A scraper that closes the connection before its answer comes is no error of the worker's."""
    observer = measuring()
    asked, closed = Event(), Event()

    class Slow(Collector):
        def collect(self) -> Iterable[Family]:
            asked.set()
            closed.wait(10)
            return ()

    closed.set()
    observer.metrics.registry.register(Slow())  # asks once, for the names
    asked.clear()
    closed.clear()
    server = serve(0, observer.metrics.registry, observer)
    try:
        with socket.create_connection(server.server_address[:2]) as scraper:
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
            assert asked.wait(10)
        closed.set()
        assert _status(f"http://127.0.0.1:{server.server_address[1]}/healthz") == 200
    finally:
        server.shutdown()
        server.server_close()  # waits for the door's threads
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_one_sentence() -> None:
    """A port that is taken refuses the start and says which setting to change."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        observer = measuring()
        with pytest.raises(Refusal) as refusal:
            serve(port, observer.metrics.registry, observer)
    assert str(refusal.value) == (
        f"metrics port {port}: Address already in use — set BELLWETHER_METRICS_PORT to a free port, or to 0 for none"
    )


def _status(address: str) -> int:
    try:
        with urlopen(address, timeout=10) as answer:  # noqa: S310 - our own address
            return int(answer.status)
    except HTTPError as error:
        return error.code
