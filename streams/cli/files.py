"""Event files, a block of lines at a time: JSON lines or CSV, plain, `.gz` or `.zst`, or Parquet, named after their topic.

CSV cells are text; columns whose contract is a number become one, `aliases` is split at `;`, an empty cell is an
absent field, and a column `relationship.champion` is a field of the object `relationship`. Other names are told by a
mapping (`streams.cli.columns`).
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import zstandard

from streams.cli.columns import TableMapping, event_of
from streams.halt import Refusal

STANDARD_INPUT = "-"
PARQUET = ".parquet"
LINES_AT_ONCE = 8192
BYTES_AT_ONCE = 1 << 20
"""Of JSON lines so many bytes are read and cut at once, which takes a third of the time of reading line by line."""


class Block(NamedTuple):
    """Consecutive events of a file: the number of each one's line, from 1, and its JSON."""

    numbers: list[int]
    values: list[bytes]


@dataclass
class EventFile:
    """One file of events.

    Attributes
    ----------
    name
        As given on the command line; `-` is standard input.
    topic
        Bellwether's name of the topic its events belong to.
    mapping
        Which column is which field, for CSV and Parquet; None = they are named alike.
    """

    name: str
    topic: str
    mapping: TableMapping | None = None
    _source: BinaryIO | None = None
    _read_elsewhere: int = 0

    @property
    def size(self) -> int | None:
        """Size on disk in bytes, compressed as it is; None for standard input."""
        return None if self.name == STANDARD_INPUT else Path(self.name).stat().st_size

    @property
    def bytes_read(self) -> int:
        """Bytes of it that were read so far, compressed as they are; 0 for standard input."""
        if self._source is None or self.name == STANDARD_INPUT:
            return self._read_elsewhere
        return (self.size or 0) if self._source.closed else self._source.tell()

    def note_read(self, number: int) -> None:
        """Take note of how many bytes another process has read."""
        self._read_elsewhere = number

    def blocks(self, size: int = LINES_AT_ONCE) -> Iterator[Block]:
        """Yield the events in blocks of at most `size` lines, > 0; blank lines are skipped.

        Raises
        ------
        Refusal
            The file cannot be read or decompressed.
        """
        try:
            if Path(self.name).suffix == PARQUET:
                yield from _in_blocks(_parquet_lines(self.name, self.mapping), size)
                return
            self._source = sys.stdin.buffer if self.name == STANDARD_INPUT else Path(self.name).open("rb")  # noqa: SIM115 (closed below)
            with self._source:
                stream = _decompressed(self._source, self.name)
                if ".csv" in Path(self.name).suffixes:
                    yield from _in_blocks(_csv_lines(stream, self.mapping, self.name), size)
                else:
                    yield from _json_blocks(stream, size)
        except (OSError, EOFError, zstandard.ZstdError, UnicodeDecodeError, csv.Error) as error:
            raise Refusal(f"{self.name}: cannot be read ({error}) — check the file") from error


def topic_of(name: str) -> str:
    """Return what precedes the first dot of a file's name: `data/usage.jsonl.gz` → `usage`."""
    return Path(name).name.split(".")[0]


def _decompressed(source: BinaryIO, name: str) -> BinaryIO:
    match Path(name).suffix:
        case ".gz":
            return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", gzip.open(source)), BYTES_AT_ONCE))
        case ".zst":
            return cast(
                "BinaryIO",
                io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)),
            )
    return source


def _json_blocks(stream: BinaryIO, size: int) -> Iterator[Block]:
    begun: list[bytes] = []  # pieces of a line whose end is not read yet
    first = 1
    while piece := stream.read(BYTES_AT_ONCE):
        head, newline, others = piece.partition(b"\n")
        begun.append(head)
        if not newline:
            continue
        lines = [b"".join(begun), *others.split(b"\n")]
        begun = [lines.pop()]
        for start in range(0, len(lines), size):
            yield from _json_block(lines[start : start + size], first + start)
        first += len(lines)
    yield from _json_block([b"".join(begun)], first)


def _json_block(lines: list[bytes], first: int) -> Iterator[Block]:
    """Yield the block that lines make, the first of which has that number; none where all are blank."""
    values, numbers = [line.strip() for line in lines], list(range(first, first + len(lines)))
    if b"" in values:
        numbers = [number for number, value in zip(numbers, values, strict=True) if value]
        values = [value for value in values if value]
    if values:
        yield Block(numbers, values)


def _in_blocks(lines: Iterator[tuple[int, bytes]], size: int) -> Iterator[Block]:
    while block := list(islice(lines, size)):
        yield Block([number for number, _ in block], [value for _, value in block])


def _csv_lines(stream: BinaryIO, mapping: TableMapping | None, name: str) -> Iterator[tuple[int, bytes]]:
    reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
    for row in reader:
        yield reader.line_num, event_of(row, mapping, Path(name).name, reader.line_num)


def _parquet_lines(name: str, mapping: TableMapping | None) -> Iterator[tuple[int, bytes]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise Refusal(f"{name}: Parquet needs pyarrow — pip install 'bellwether[parquet]'") from error
    number = 0
    try:
        for batch in parquet.ParquetFile(name).iter_batches(LINES_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, event_of(row, mapping, Path(name).name, number)
    except (OSError, pa.ArrowException) as error:
        raise Refusal(f"{name}: cannot be read ({error}) — check the file") from error
