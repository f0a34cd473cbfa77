"""Event files, line by line: JSON lines or CSV, plain, `.gz` or `.zst`, named after their topic.

CSV cells are text; columns whose contract is a number become one, `aliases` is split at `;`, an empty cell is an
absent field, and a column `relationship.champion` is a field of the object `relationship`.
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import zstandard

from streams.halt import Refusal

STANDARD_INPUT = "-"
NUMBERS = frozenset(
    {
        "seats",
        "score",
        "strategic_fit",
        "expected_uplift",
        "engagement_cost",
        "response_hours",
        "quantity",
        "arr",
        "amount",
        "mrr",
    }
)
LISTS = frozenset({"aliases", "contacts"})


@dataclass
class EventFile:
    """One file of events.

    Attributes
    ----------
    name
        As given on the command line; `-` is standard input.
    topic
        Bellwether's name of the topic its events belong to.
    """

    name: str
    topic: str
    _source: BinaryIO | None = None

    @property
    def size(self) -> int | None:
        """Size on disk in bytes, compressed as it is; None for standard input."""
        return None if self.name == STANDARD_INPUT else Path(self.name).stat().st_size

    @property
    def bytes_read(self) -> int:
        """Bytes of it that were read so far, compressed as they are; 0 for standard input."""
        if self._source is None or self.name == STANDARD_INPUT:
            return 0
        return (self.size or 0) if self._source.closed else self._source.tell()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number, from 1, and the JSON of every event; blank lines are skipped.

        Raises
        ------
        Refusal
            The file cannot be read or decompressed.
        """
        try:
            self._source = sys.stdin.buffer if self.name == STANDARD_INPUT else Path(self.name).open("rb")  # noqa: SIM115 (closed below)
            with self._source:
                stream = _decompressed(self._source, self.name)
                yield from _csv_lines(stream) if ".csv" in Path(self.name).suffixes else _json_lines(stream)
        except (OSError, EOFError, zstandard.ZstdError, UnicodeDecodeError, csv.Error) as error:
            raise Refusal(f"{self.name}: cannot be read ({error}) — check the file") from error


def topic_of(name: str) -> str:
    """Return what precedes the first dot of a file's name: `data/usage.jsonl.gz` → `usage`."""
    return Path(name).name.split(".")[0]


def _decompressed(source: BinaryIO, name: str) -> BinaryIO:
    match Path(name).suffix:
        case ".gz":
            return cast("BinaryIO", gzip.open(source))
        case ".zst":
            return cast(
                "BinaryIO",
                io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)),
            )
    return source


def _json_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(stream, 1):
        if event := line.strip():
            yield number, event


def _csv_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
    for row in reader:
        event: dict[str, Any] = {}
        for column, cell in row.items():
            if cell and column:  # a row longer than the header has its surplus under None
                *path, field = column.split(".")
                target = event
                for step in path:
                    target = target.setdefault(step, {})
                target[field] = _value(field, cell)
        yield reader.line_num, orjson.dumps(event)


def _value(field: str, cell: str) -> str | int | float | list[str]:
    if field in LISTS:
        return [part.strip() for part in cell.split(";")]
    if field in NUMBERS:
        # Decimals stay text where the contract takes decimal text: it is exact.
        for kind in (int, float):
            try:
                return kind(cell)
            except ValueError:
                continue
    return cell
