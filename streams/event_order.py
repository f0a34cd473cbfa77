"""The events of several files in one order: by time, then rank of the topic, then line; in bounded memory.

A file is read a block of lines at a time. What is earlier than the last line of every block can be handed out, since a
file that is sorted has nothing earlier to come:

    usage    |1 3 5 7|. . .         handed out: everything before 4 (the earliest end of a block that has more to come)
    billing  |2 4|. .
    support  |6|                    read to its end: holds nothing back

A file that turns out not to be sorted cannot be read so; the reader is told, and has it read whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.layout import NO_VALUE
from state.timestamps import parse_times
from streams.cli.files import EventFile

LINES_AT_ONCE = 8192


class Line(NamedTuple):
    """An event of a file, in the form of a record (`streams.ports.Record`); `file` and `line` say where it stands."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    offset: int
    timestamp: int
    key: bytes | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive events of the whole order.

    Parameters
    ----------
    times
        int64, milliseconds UTC, rising; NO_VALUE first where a file begins with lines that state no time.
    topics
        int64, position of each event's topic among the topics.
    lines
        The events; offsets count the events of a topic.
    """

    times: NDArray[np.int64]
    topics: NDArray[np.int64]
    lines: list[Line]


class UnsortedError(Exception):
    """A file is not sorted by time, which shows too late to put it in order.

    Parameters
    ----------
    name
        The file's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: expected lines sorted by occurred_at — read it whole")
        self.name = name


class _Stamp(msgspec.Struct):
    occurred_at: str = ""


_DECODER = msgspec.json.Decoder(_Stamp)


class _Source:
    """One file: the block at hand, and whether there is more."""

    def __init__(self, file: EventFile, rank: int, *, is_whole: bool) -> None:
        self.rank = rank
        self.name = file.name
        self.is_done = False
        self.times = np.empty(0, np.int64)
        self.block: list[tuple[int, bytes]] = []
        self._lines = file.lines()
        self._size = None if is_whole else LINES_AT_ONCE
        self._last_ms = NO_VALUE

    def fill(self) -> None:
        """Read one block more."""
        block = list(islice(self._lines, self._size))
        self.is_done = self._size is None or len(block) < self._size
        times = _times([value for _, value in block], self._last_ms)
        order = np.argsort(times, kind="stable")
        times = times[order]
        if times.size:
            if times[0] < self._last_ms:
                raise UnsortedError(self.name)
            self._last_ms = int(times[-1])
        self.times = np.concatenate((self.times, times))
        self.block += [block[k] for k in order.tolist()]

    def take(self, count: int) -> tuple[NDArray[np.int64], list[tuple[int, bytes]]]:
        """Return the first `count` events of the block and forget them."""
        taken = self.times[:count], self.block[:count]
        self.times, self.block = self.times[count:], self.block[count:]
        return taken


def in_order(
    files: Sequence[EventFile], topics: Sequence[str], whole: frozenset[str] = frozenset()
) -> Iterator[Stretch]:
    """Yield the events of files in the order of time, topic, file name and line.

    Parameters
    ----------
    files
        Files of these topics.
    topics
        Topics in rank order.
    whole
        Names of files that are to be read whole, because they are not sorted.

    Raises
    ------
    UnsortedError
        When another file is not sorted; nothing handed out so far is worth anything then.
    """
    ranked = sorted(files, key=lambda file: (topics.index(file.topic), file.name))
    sources = [_Source(file, topics.index(file.topic), is_whole=file.name in whole) for file in ranked]
    offsets = [0] * len(topics)
    while True:
        for source in sources:
            if not source.times.size and not source.is_done:
                source.fill()
        if not any(source.times.size for source in sources):
            return
        stretch = _stretch(sources, offsets)
        if stretch.lines:
            yield stretch


def _stretch(sources: Sequence[_Source], offsets: list[int]) -> Stretch:
    """Return what is safe to hand out; where that is nothing, a block lies in one instant: read on."""
    ends = [int(source.times[-1]) for source in sources if not source.is_done]
    pieces = []
    for source in sources:
        count = int(np.searchsorted(source.times, min(ends))) if ends else source.times.size
        pieces.append((source, *source.take(count)))
    times = np.concatenate([piece for _, piece, _ in pieces])
    if not times.size:
        for source in sources:
            if not source.is_done and int(source.times[-1]) == min(ends):
                source.fill()
    topics = np.concatenate([np.full(piece.size, source.rank) for source, piece, _ in pieces])
    found = [(source.name, number, value) for source, _, block in pieces for number, value in block]
    order = np.argsort(times, kind="stable")
    times, topics = times[order], topics[order]
    lines = []
    for k, at_ms, rank in zip(order.tolist(), times.tolist(), topics.tolist(), strict=True):
        name, number, value = found[k]
        lines.append(Line(value, (), offsets[rank], at_ms, None, name, number))
        offsets[rank] += 1
    return Stretch(times, topics, lines)


def _times(values: Sequence[bytes], last_ms: int) -> NDArray[np.int64]:
    """Return the event time of each value; one that states none keeps its place beside the one before it."""
    texts = []
    for value in values:
        try:
            texts.append(_DECODER.decode(value).occurred_at)
        except (msgspec.DecodeError, UnicodeDecodeError):
            texts.append("")
    times = parse_times(texts) if texts else np.empty(0, np.int64)
    if (times == NO_VALUE).any():
        known = np.where(times == NO_VALUE, -1, np.arange(times.size))
        before = np.maximum.accumulate(known)
        times = np.where(before < 0, last_ms, times[before])
    return times
