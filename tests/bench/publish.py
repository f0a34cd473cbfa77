"""Writes the figures of `docs/bench.json` into README, `docs/results.md` and `docs/scale.md`; nobody types them.

``make bench RESULTS=docs/bench.json``, ``make bench-peers RESULTS=docs/bench.json``, then ``make bench-publish``.
"""

import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from streams.bench.sizing import Load, plan, table

TOP = Path(__file__).resolve().parents[2]
RESULTS = TOP / "docs" / "bench.json"
README = TOP / "README.md"
DOCUMENT = TOP / "docs" / "results.md"
SCALE = TOP / "docs" / "scale.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SPEED = re.compile(r"^\*\*Speed\*\*.*?(?=\n\n)", re.DOTALL | re.MULTILINE)
WIDTH = 132
SHOWN_PEERS = {
    "Quix Streams": "Quix Streams 3.28, ring, exactly once",
    "Bytewax": "Bytewax 0.21, ring, recovery every 10 s",
}
"""Name in the README → row of the table."""

FIGURES = {
    "events_per_second": "events per second",
    "cpu_seconds_per_million": "CPU seconds per million events",
    "limit_events_per_second": "bare aiokafka with orjson and one dict, events per second",
    "limit_cpu_seconds_per_million": "the same, CPU seconds per million",
    "ratio_to_limit": "share of that bound reached",
    "stock_faust_events_per_second": "stock Faust agent with one plain table, events per second",
    "restore_accounts_per_second": "accounts restored per second",
    "sweep_accounts_per_second": "accounts swept per second, mean of the hourly ticks of a day",
    "sweep_longest_slice_ms": "longest slice of a sweep, ms",
    "bytes_per_account": "bytes an account, items and room to grow included",
    "changelog_bytes_per_event": "changelog bytes per event",
    "alerts_per_event": "alerts per event",
    "help_seconds": "`bellwether --help`, s",
    "worker_ready_seconds": "worker ready, kernel compiled before, s",
}
PEER_FIGURES = {
    "events_per_second": "events/s",
    "cpu_seconds_per_million": "CPU s per million",
    "bellwether_times_faster": "Bellwether is faster",
    "bellwether_times_cheaper": "and takes less CPU",
    "alerts_as_the_oracle": "alerts, the oracle's",
}
LATENCIES = {"latency_ms": "event to alert", "latency_at_80_percent_ms": "the same at 80 % of the maximum"}


def thousands(number: float) -> str:
    """Return a number with its thousands apart, and no more than three digits that count above a thousand.

    Examples
    --------
    >>> thousands(56_478), thousands(999.04), thousands(16.9), thousands(17.0)
    ('56 500', '999', '16.9', '17')
    """
    if number >= 1_000:
        digits = len(str(int(number))) - 3
        return f"{round(number, -digits):,.0f}".replace(",", " ")
    return f"{round(number, 1 if number >= 10 else 3):g}" if number < 100 else f"{number:.0f}"


def speed(found: Mapping[str, Any]) -> str:
    """Return the README's paragraph."""
    figures, waits = found["bench"]["figures"], found["bench"]["figures"]["latency_ms"]
    systems = found["peers"]["figures"]["systems"] if "peers" in found else {}
    beside = "".join(
        f", {name} {thousands(systems[row]['events_per_second'])}"
        for name, row in SHOWN_PEERS.items()
        if row in systems
    )
    text = (
        f"**Speed**, one worker, {found['bench']['machine']['cores']} cores shared with Kafka, everything on (`make bench`): "
        f"{thousands(figures['events_per_second'])} events/s at {thousands(figures['cpu_seconds_per_million'])} CPU seconds a "
        f"million (a stock Faust agent {thousands(figures['stock_faust_events_per_second'])}{beside}); event to readable alert at "
        f"{thousands(waits['events_per_second'])} events/s p50 {thousands(waits['p50'])} ms, p99 {thousands(waits['p99'])} ms."
    )
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def tables(found: Mapping[str, Any]) -> str:
    """Return what stands between the marks of `docs/results.md`."""
    figures = found["bench"]["figures"]
    lines = [_origin(found["bench"]), "", "| figure | value |", "|---|---|"]
    lines += [f"| {title} | {thousands(figures[name])} |" for name, title in FIGURES.items() if name in figures]
    for name, title in LATENCIES.items():
        if name in figures:
            lines.append(
                f"| {title}, at {thousands(figures[name]['events_per_second'])} events/s | {_waits(figures[name])} |"
            )
    stages = ", ".join(f"{name} {thousands(spent)}" for name, spent in figures["stages_microseconds_per_event"].items())
    lines += ["", f"Microseconds an event, by stage: {stages}."]
    if "peers" in found:
        lines += [
            "",
            _origin(found["peers"]),
            "",
            f"| system | {' | '.join(PEER_FIGURES.values())} |",
            "|---" * 6 + "|",
        ]
        systems = found["peers"]["figures"]["systems"].items()
        for system, row in sorted(systems, key=lambda each: -each[1]["events_per_second"]):
            shown = ("-" if row[name] is None else thousands(row[name]) for name in PEER_FIGURES)
            lines.append(f"| {system} | {' | '.join(shown)} |")
    return "\n".join(lines)


def scale(found: Mapping[str, Any]) -> str:
    """Return the plan that stands between the marks of `docs/scale.md`."""
    figures, load = found["bench"]["figures"], Load()
    text = (
        f"For **{load.accounts / 1e6:.0f} million accounts and {thousands(load.events_per_second)} events a second**, with the "
        f"figures published in [results.md](results.md) ({thousands(figures['events_per_second'])} events/s, "
        f"{thousands(figures['cpu_seconds_per_million'])} CPU seconds a million, {thousands(figures['bytes_per_account'])} bytes an "
        f"account in memory with room to grow, {thousands(figures['restore_accounts_per_second'])} accounts restored a second), "
        f"`saas-renewal`, {100 * load.use:.0f} % use, workers of {load.worker_gib:.0f} GiB, {load.copies} copies, events of "
        f"{load.event_bytes:.0f} bytes, brokers that write {load.broker_bytes / 1e6:.0f} MB/s:"
    )
    return f"{textwrap.fill(text, WIDTH, break_on_hyphens=False)}\n\n{table(plan(load, figures))}"


def _waits(found: Mapping[str, float]) -> str:
    kafka = f"p50 {thousands(found['p50'])} ms, p99 {thousands(found['p99'])} ms"
    if "redis_p99" not in found:
        return kafka
    return f"{kafka}; in Redis p50 {thousands(found['redis_p50'])} ms, p99 {thousands(found['redis_p99'])} ms"


def _origin(measured: Mapping[str, Any]) -> str:
    machine = measured["machine"]
    return (
        f"`{measured['command']}`, {measured['date']}, commit {measured['commit']}, {machine['cores']} cores"
        f" ({machine['processor']}), Python {machine['python']}, load before {machine['load_before']}:"
    )


def publish(found: Mapping[str, Any], readme: Path = README, document: Path = DOCUMENT, growth: Path = SCALE) -> None:
    """Put paragraph, tables and plan where they belong; all around them stays."""
    readme.write_text(SPEED.sub(lambda _: speed(found), readme.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    for path, text in ((document, tables(found)), (growth, scale(found))):
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        _, after = rest.split(END)
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    publish(orjson.loads(RESULTS.read_bytes()))
    sys.exit(0)
