"""The events of several files in one order: by time, then rank of the topic, then line; in bounded memory.

A file is read a block of lines at a time. What is earlier than the last line of every block can be handed out, since a
file that is sorted has nothing earlier to come:

    usage    |1 3 5 7|. . .         handed out: everything before 4 (the earliest end of a block that has more to come)
    billing  |2 4|. .
    support  |6|                    read to its end: holds nothing back

A file that turns out not to be sorted cannot be read so; the reader is told, and has it read whole.

Several processes may share the events by account: each reads all files, so that all know the same times and offsets, and
hands out its own events only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.hashing import hash_texts
from state.layout import NO_VALUE
from state.timestamps import parse_times
from streams.cli.files import LINES_AT_ONCE, EventFile


class Line(msgspec.Struct, frozen=True, gc=False):
    """An event of a file, in the form of a record (`streams.ports.Record`); `file` and `line` say where it stands."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    offset: int
    timestamp: int
    key: bytes | None
    file: str
    line: int


class Share(NamedTuple):
    """Which accounts are ours: those whose id's hash leaves `number` when divided by `of`."""

    number: int = 0
    of: int = 1


EVERYTHING = Share()


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
        The events; offsets count the events of a topic, whosever they are.
    n_lines
        Events in this stretch, whosever they are.
    first_ms, last_ms
        Event time of the first and the last of these that states one, milliseconds UTC; NO_VALUE where none does.
    """

    times: NDArray[np.int64]
    topics: NDArray[np.int64]
    lines: list[Line]
    n_lines: int
    first_ms: int
    last_ms: int


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


class _Stamp(msgspec.Struct, gc=False):
    occurred_at: str = ""
    account_id: str = ""


_UNREADABLE = _Stamp()


_DECODER = msgspec.json.Decoder(_Stamp)


class Held(NamedTuple):
    """Events of one file, or of several one after the other: their times, whether they are ours, line numbers and JSON."""

    times: NDArray[np.int64]
    is_ours: NDArray[np.bool_]
    numbers: NDArray[np.int64]
    values: list[bytes]

    @classmethod
    def joined(cls, parts: Sequence["Held"]) -> Self:
        """Return them as one."""
        return cls(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.is_ours for part in parts]),
            np.concatenate([part.numbers for part in parts]),
            list(chain.from_iterable(part.values for part in parts)),
        )

    def part(self, chosen: slice) -> "Held":
        """Return some that follow each other."""
        return Held(self.times[chosen], self.is_ours[chosen], self.numbers[chosen], self.values[chosen])


class _Source:
    """One file: the block at hand, and whether there is more."""

    def __init__(self, file: EventFile, rank: int, share: Share, *, is_whole: bool) -> None:
        self.rank = rank
        self.name = file.name
        self.is_done = False
        self.held = Held(np.empty(0, np.int64), np.empty(0, bool), np.empty(0, np.int64), [])
        self._share = share
        self._is_whole = is_whole
        self._blocks = file.blocks(LINES_AT_ONCE)
        self._last_ms = NO_VALUE

    def fill(self) -> None:
        """Read one block more, or all of them."""
        blocks = list(self._blocks if self._is_whole else islice(self._blocks, 1))
        self.is_done = self._is_whole or not blocks
        values = list(chain.from_iterable(block.values for block in blocks))
        numbers = np.array(list(chain.from_iterable(block.numbers for block in blocks)), np.int64)
        stamps = _stamps(values)
        times = _times(stamps, self._last_ms)
        is_ours = _is_ours(stamps, self._share)
        if (np.diff(times) < 0).any():
            order = np.argsort(times, kind="stable")
            times, is_ours, numbers = times[order], is_ours[order], numbers[order]
            values = [values[k] for k in order.tolist()]
        if times.size:
            if times[0] < self._last_ms:
                raise UnsortedError(self.name)
            self._last_ms = int(times[-1])
        self.held = Held.joined([self.held, Held(times, is_ours, numbers, values)])

    def take(self, count: int) -> Held:
        """Return the first `count` events at hand and forget them."""
        taken, self.held = self.held.part(slice(count)), self.held.part(slice(count, None))
        return taken


def in_order(
    files: Sequence[EventFile],
    topics: Sequence[str],
    whole: frozenset[str] = frozenset(),
    share: Share = EVERYTHING,
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
    share
        Whose events are handed out.

    Raises
    ------
    UnsortedError
        When another file is not sorted; nothing handed out so far is worth anything then.
    """
    ranked = sorted(files, key=lambda file: (topics.index(file.topic), file.name))
    sources = [_Source(file, topics.index(file.topic), share, is_whole=file.name in whole) for file in ranked]
    offsets = [0] * len(topics)
    while True:
        for source in sources:
            if not source.held.times.size and not source.is_done:
                source.fill()
        if not any(source.held.times.size for source in sources):
            return
        stretch = _stretch(sources, offsets)
        if stretch.n_lines:
            yield stretch


def _stretch(sources: Sequence[_Source], offsets: list[int]) -> Stretch:
    """Return what is safe to hand out; where that is nothing, a block lies in one instant: read on."""
    ends = [int(source.held.times[-1]) for source in sources if not source.is_done]
    until = min(ends, default=0)
    pieces = []
    for source in sources:
        times = source.held.times
        pieces.append(source.take(int(np.searchsorted(times, until)) if ends else times.size))
    held = Held.joined(pieces)
    if not held.times.size:
        for source in sources:
            if not source.is_done and int(source.held.times[-1]) == until:
                source.fill()
    order = np.argsort(held.times, kind="stable")
    times = held.times[order]
    source_of = np.repeat(np.arange(len(sources)), [piece.times.size for piece in pieces])[order]
    topics = np.array([source.rank for source in sources])[source_of]
    offset = np.empty(topics.size, np.int64)
    for rank in np.unique(topics).tolist():
        places = np.flatnonzero(topics == rank)
        offset[places] = np.arange(offsets[rank], offsets[rank] + places.size)
        offsets[rank] += places.size
    timed = times[times != NO_VALUE]
    ours = np.flatnonzero(held.is_ours[order])
    chosen = order[ours]
    lines = map(
        Line,
        [held.values[k] for k in chosen.tolist()],
        repeat(()),
        offset[ours].tolist(),
        times[ours].tolist(),
        repeat(None),
        [sources[k].name for k in source_of[ours].tolist()],
        held.numbers[chosen].tolist(),
    )
    return Stretch(
        times=times[ours],
        topics=topics[ours],
        lines=list(lines),
        n_lines=times.size,
        first_ms=int(timed[0]) if timed.size else NO_VALUE,
        last_ms=int(timed[-1]) if timed.size else NO_VALUE,
    )


def _stamps(values: Sequence[bytes]) -> list[_Stamp]:
    try:
        return list(map(_DECODER.decode, values))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [_stamp(value) for value in values]


def _stamp(value: bytes) -> _Stamp:
    try:
        return _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _UNREADABLE


def _is_ours(stamps: Sequence[_Stamp], share: Share) -> NDArray[np.bool_]:
    """Return which events are of our accounts; what names none is the first share's to tell of."""
    if share.of == 1:
        return np.ones(len(stamps), bool)
    found: NDArray[np.bool_] = hash_texts([stamp.account_id for stamp in stamps]) % np.uint64(share.of) == share.number
    return found


def _times(stamps: Sequence[_Stamp], last_ms: int) -> NDArray[np.int64]:
    """Return the event time of each stamp; one that states none keeps its place beside the one before it."""
    times = parse_times([stamp.occurred_at for stamp in stamps]) if stamps else np.empty(0, np.int64)
    if (times == NO_VALUE).any():
        known = np.where(times == NO_VALUE, -1, np.arange(times.size))
        before = np.maximum.accumulate(known)
        times = np.where(before < 0, last_ms, times[before])
    return times
