"""What the bench says: one flat set of figures, as a table for people and as JSON for programs."""

import os
import platform
from collections.abc import Mapping

from rich.table import Table

from streams.bench.latency import Latency
from streams.bench.throughput import Throughput

DECIMALS = 2


def figures(
    through: Throughput,
    limit: Mapping[str, float],
    stock: Mapping[str, float],
    restored: Mapping[str, float],
    stages: Mapping[str, float],
    latency: Latency,
    busy: Latency,
    help_seconds: float,
) -> dict[str, object]:
    """Return every figure by the name it has in `--json`."""
    rate, bound = through.events_per_second, limit["events"] / limit["seconds"]
    stock_rate = stock["events"] / stock["seconds"]
    counters = through.counters
    applied = through.last.committed
    alerts = counters["bellwether_flush_records_total alerts"]

    def per_event(name: str) -> float:
        return counters[f"bellwether_{name}"] / applied * 1e6

    core_microseconds = {stage: round(spent, DECIMALS) for stage, spent in stages.items()}
    return {
        "events_per_second": round(rate),
        "cpu_seconds_per_million": round(through.cpu_seconds_per_million, DECIMALS),
        "limit_events_per_second": round(bound),
        "limit_cpu_seconds_per_million": round(limit["cpu_seconds"] / limit["events"] * 1e6, DECIMALS),
        "ratio_to_limit": round(rate / bound, 3),
        "stock_faust_events_per_second": round(stock_rate),
        "stock_faust_events": round(stock["events"]),
        "ratio_to_stock_faust": round(rate / stock_rate, 1),
        "latency_ms": _latency(latency),
        "latency_at_80_percent_ms": _latency(busy),
        "restore_accounts_per_second": round(restored["accounts"] / restored["restore_seconds"]),
        "sweep_accounts_per_second": round(24 * restored["accounts"] / restored["sweep_seconds"]),
        "sweep_longest_slice_ms": round(restored["sweep_longest_slice_seconds"] * 1000, 1),
        "bytes_per_account": round(restored["bytes_per_account"]),
        "changelog_bytes_per_event": round(counters["bellwether_flush_bytes_total changelog"] / applied, 1),
        "output_bytes_per_event": round(_output_bytes(counters) / applied, 1),
        "alerts": round(alerts),
        "alerts_per_event": round(alerts / applied, 3),
        "events": applied,
        "measured_events": through.events,
        "accounts": restored["accounts"],
        "resident_bytes": through.last.resident_bytes,
        "help_seconds": round(help_seconds, DECIMALS),
        "worker_ready_seconds": round(through.ready_seconds, 1),
        "worker_start_seconds": round(through.start_seconds, 1),
        "worker_restart_seconds": round(latency.start_seconds, 1),
        "stages_microseconds_per_event": {
            "fetch": round(through.fetch_seconds_per_million, DECIMALS),
            **core_microseconds,
            "apply_wall": round(per_event("apply_duration_seconds_sum"), DECIMALS),
            "encode_wall": round(per_event("encode_duration_seconds_sum"), DECIMALS),
            "commit_wall": round(per_event("commit_duration_seconds_sum"), DECIMALS),
        },
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 1),
        },
    }


def _latency(found: Latency) -> dict[str, float]:
    return {
        "p50": round(found.p50_ms, 1),
        "p99": round(found.p99_ms, 1),
        "redis_p50": round(found.redis_p50_ms, 1),
        "redis_p99": round(found.redis_p99_ms, 1),
        "events_per_second": round(found.events_per_second),
        "alerts": found.alerts,
    }


def _output_bytes(counters: Mapping[str, float]) -> float:
    return sum(number for name, number in counters.items() if name.startswith("bellwether_flush_bytes_total "))


def table(value: Mapping[str, object]) -> Table:
    """Return the figures as a table, groups indented."""
    shown = Table("figure", "value", title="bellwether bench")
    shown.columns[1].justify = "right"
    for name, number in value.items():
        if isinstance(number, Mapping):
            shown.add_row(name, "")
            for part, each in number.items():
                shown.add_row(f"  {part}", _text(each))
        else:
            shown.add_row(name, _text(number))
    return shown


def _text(number: object) -> str:
    return f"{number:,}" if isinstance(number, int | float) else str(number)
