"""`bellwether replay DIR`: a folder of histories through a model, with the live kernel and without Kafka.

The folder holds JSON lines (or CSV) named after the input topics. `--scores` takes one line per account and step,
`--alerts` the alerts as the topic would carry them.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from scoring.compile import Compiled, compile_model
from scoring.durations import parse_duration
from scoring.faults import ModelError
from scoring.presets import load_model
from state.moments import rfc3339
from streams.cli.files import EventFile
from streams.cli.output import note, result
from streams.halt import Refusal
from streams.replay import Rejected, Sinks, Totals, files_of
from streams.settings import Settings
from streams.sharing import Task, processes_for, replay_all

REJECTIONS_SHOWN = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds files such as usage.jsonl or billing.jsonl.gz")
    parser.add_argument("--model", metavar="M", help="a preset's name or a file (default: BELLWETHER_MODEL)")
    parser.add_argument("--scores", type=Path, metavar="OUT", help="write a snapshot of every account and step here")
    parser.add_argument("--alerts", type=Path, metavar="OUT", help="write the alerts here")
    parser.add_argument(
        "--every", type=_duration_ms, metavar="7d", help="step between snapshots (default: only the end)"
    )
    add_processes(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Declare how many processes share a history."""
    parser.add_argument(
        "--processes", type=_count, metavar="N", help="share the accounts among N (default: one a core); same output"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Replay the folder; lines that are no valid events are listed and left out."""
    try:
        compiled = compile_model(load_model(options.model or settings.model))
    except ModelError as error:
        raise Refusal(str(error)) from error
    files = files_of(options.folder)
    started = time.monotonic()
    rejections: list[dict[str, object]] = []
    task = Task(files, compiled, options.every)
    with _sinks(options, files, rejections) as (sinks, again):
        processes = options.processes or processes_for(files)
        totals, _ = replay_all(task, sinks, note, processes, again)
    if totals.n_rejected > REJECTIONS_SHOWN:
        note(f"… and {totals.n_rejected - REJECTIONS_SHOWN} more rejected lines")
    value = _summary(totals, compiled, rejections, time.monotonic() - started) | {"processes": processes}
    result(value, as_json=options.json, sentence=_sentences(totals, value))
    return 0


def _duration_ms(text: str) -> int:
    duration_ms = parse_duration(text)
    if not duration_ms:
        raise argparse.ArgumentTypeError(f"expected a duration such as 7d or 12h, got {text}")
    return duration_ms


@contextlib.contextmanager
def _sinks(
    options: argparse.Namespace, files: list[EventFile], rejections: list[dict[str, object]]
) -> Iterator[tuple[Sinks, Callable[[], None]]]:
    """Open what results are written to, and what empties it; show progress by the bytes read."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("replay", total=sum(file.size or 0 for file in files))
        scores, alerts = (_opened(path, stack) for path in (options.scores, options.alerts))

        def reject(found: Rejected) -> None:
            if len(rejections) < REJECTIONS_SHOWN:
                shown = asdict(found)
                del shown["at_ms"]
                rejections.append(shown)
                note(f"{found.file}:{found.line} {found.path}: {found.reason} {found.given}")

        def advance(reached_ms: int) -> None:
            read = sum(file.bytes_read for file in files)
            progress.update(task, completed=read, description=f"replay {rfc3339(reached_ms)[:10]}")

        def again() -> None:
            rejections.clear()
            for file in (scores, alerts):
                if file is not None:
                    file.seek(0)
                    file.truncate()

        sinks = Sinks(
            alert=None if alerts is None else lambda body: _write(alerts, (body,)),
            snapshots=None if scores is None else lambda found: _write(scores, map(orjson.dumps, found)),
            rejected=reject,
            passed=advance,
        )
        yield sinks, again


def _opened(path: Path | None, stack: contextlib.ExitStack) -> BinaryIO | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("wb"))
    except OSError as error:
        raise Refusal(f"{path}: cannot be written ({error.strerror}) — check the path") from error


def _write(file: BinaryIO, bodies: Iterable[bytes]) -> None:
    file.writelines(body + b"\n" for body in bodies)


def _summary(
    totals: Totals, compiled: Compiled, rejections: list[dict[str, object]], seconds: float
) -> dict[str, object]:
    by_severity: dict[str, int] = {}
    for (_, severity), number in totals.alerts.items():
        by_severity[severity] = by_severity.get(severity, 0) + number
    model = compiled.model
    is_empty = totals.n_lines == totals.n_rejected
    return {
        "accounts": totals.accounts,
        "events": totals.n_lines,
        **{name: totals.counts[name] for name in ("applied", "duplicate")},
        "rejected": totals.n_rejected,
        "rejections": rejections,
        "from": None if is_empty else rfc3339(totals.start_ms),
        "to": None if is_empty else rfc3339(totals.end_ms),
        "alerts": {
            "by_severity": by_severity,
            "by_rule": {rule: number for (rule, _), number in totals.alerts.most_common()},
        },
        "bands": totals.bands,
        "model": {"name": model.name, "version": model.version, "fingerprint": model.fingerprint},
        "seconds": round(seconds, 3),
        "events_per_second": round(totals.n_lines / seconds),
    }


def _sentences(totals: Totals, value: dict[str, object]) -> str:
    bands = ", ".join(f"{name} {number}" for name, number in totals.bands.items() if number)
    span = f"{value['accounts']} accounts, {value['events']} events from {value['from']} to {value['to']}"
    pace = f"{value['rejected']} rejected, {value['seconds']} s, {value['events_per_second']} events/s"
    rules = [f"  {rule:<28} {severity:<9} {n:>7}" for (rule, severity), n in totals.alerts.most_common()]
    return "\n".join([f"{span} ({pace})", f"at the end: {bands}", f"alerts: {totals.alerts.total()}", *rules])
