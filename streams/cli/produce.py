"""`bellwether produce FILE…|-`: events from files into the topics, checked by the same decoder that the workers use.

The record's key is the account id and its timestamp the event's own time, so that a history sent today is read in the
order in which it happened.
"""

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from state.decode import LoneRecord, decode_chunk
from state.events import EVENT_TYPES
from state.rejections import Rejection
from streams.cli.files import STANDARD_INPUT, EventFile, topic_of
from streams.cli.output import note, quiet_client, result
from streams.halt import FAILED, Refusal
from streams.outbox import Outbox
from streams.settings import Settings

REJECTIONS_SHOWN = 50
TOPICS = tuple(topic for topic in EVENT_TYPES if topic != "ticks")


@dataclass
class Tally:
    """What became of the lines: accepted per topic, and the first rejected ones as sentences."""

    produced: Counter[str] = field(default_factory=Counter)
    n_rejected: int = 0
    rejections: list[dict[str, object]] = field(default_factory=list)

    def reject(self, file: str, line: int, rejection: Rejection) -> None:
        """Count a rejected line, and tell about it unless there were many."""
        self.n_rejected += 1
        if self.n_rejected <= REJECTIONS_SHOWN:
            code = rejection.code
            self.rejections.append(
                {"file": file, "line": line, "reason": str(code), "path": rejection.path, "given": rejection.given}
            )
            note(f"{file}:{line} {rejection.path}: {code} {rejection.given} — {code.meaning}")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="JSON lines or CSV, also .gz and .zst; - reads JSON lines from standard input",
    )
    parser.add_argument(
        "--topic", choices=TOPICS, help="topic of all files; otherwise each file's name before the first dot"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 when a line was rejected; the others are sent all the same"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Send the files one after the other; rejected lines are listed and left out."""
    files = [_file(name, options.topic) for name in options.files]
    quiet_client()
    tally, started = Tally(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        asyncio.run(_produce(files, settings, tally, progress))
    seconds, total = time.monotonic() - started, tally.produced.total()
    if tally.n_rejected > REJECTIONS_SHOWN:
        note(f"… and {tally.n_rejected - REJECTIONS_SHOWN} more rejected lines")
    value = {
        "produced": dict(tally.produced),
        "rejected": tally.n_rejected,
        "rejections": tally.rejections,
        "seconds": round(seconds, 3),
    }
    sentence = f"{total} events sent in {seconds:.1f} s ({total / seconds:,.0f}/s), {tally.n_rejected} lines rejected"
    result(value, as_json=options.json, sentence=sentence)
    return FAILED if options.strict and tally.n_rejected else 0


def _file(name: str, topic: str | None) -> EventFile:
    if name == STANDARD_INPUT and topic is None:
        raise Refusal(
            "-: expected --topic with standard input, got none — say which topic the events belong to", code=2
        )
    file = EventFile(name, topic or topic_of(name))
    if file.topic not in TOPICS:
        raise Refusal(
            f"{name}: expected a file named after a topic ({', '.join(TOPICS)}), got {file.topic!r} — rename it, or say --topic",
            code=2,
        )
    if name != STANDARD_INPUT and not Path(name).is_file():
        raise Refusal(f"{name}: no such file — check the path", code=2)
    return file


async def _produce(files: list[EventFile], settings: Settings, tally: Tally, progress: Progress) -> None:
    async with Outbox(settings) as outbox:
        for file in files:
            await outbox.open(settings.topic(file.topic))
        for file in files:
            await _produce_file(file, outbox, settings, tally, progress)


async def _produce_file(file: EventFile, outbox: Outbox, settings: Settings, tally: Tally, progress: Progress) -> None:
    task: TaskID = progress.add_task(file.name, total=file.size)
    topic = settings.topic(file.topic)
    for numbers, values in file.blocks():
        decoded = decode_chunk(file.topic, [LoneRecord(value, offset=index) for index, value in enumerate(values)])
        for index, rejection in decoded.rejections:
            tally.reject(file.name, numbers[index], rejection)
        accepted = zip(decoded.structs, decoded.offset.tolist(), decoded.occurred_at_ms.tolist(), strict=True)
        for event, index, occurred_at_ms in accepted:
            await outbox.add(topic, event.account_id.encode(), values[index], occurred_at_ms)
        tally.produced[file.topic] += len(decoded.structs)
        progress.update(task, completed=file.bytes_read)
    progress.update(task, completed=file.size)
