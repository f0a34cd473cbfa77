"""One history replayed by several processes, each with its own accounts, to the same bytes as by one.

Every process reads all files, so that all agree on when the history begins, which midnights it has and which offset an
event stands at, and applies the events of its own accounts. They meet where accounts concern each other or a reader:

    each day's sums  ->  added up here, one reference back to all      (cohort days)
    each midnight    ->  alerts and rejected lines put in one order    (at most a day of them is held)
    each step        ->  snapshots put in one order
    the end          ->  totals, and whatever a `Witness` took down

What a process says next depends on event time alone, so all say the same kind of thing at the same instant.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scoring.compile import Compiled
from state.busyness import COHORTS
from state.cohorts import DECODER as COHORT_DECODER
from state.cohorts import CohortFold, Reference
from state.flush import Message
from state.history import Told
from state.warming import warm
from streams.affinity import allowed_cpus
from streams.cli.files import STANDARD_INPUT, EventFile
from streams.event_order import Share, UnsortedError, in_order
from streams.halt import Refusal
from streams.replay import TOPICS, Rejected, Replay, Sinks, Totals, place_of

BYTES_PER_PROCESS = 1 << 20
"""Files of fewer bytes are done sooner than another process is ready."""

Witness = Callable[[Replay, Sinks], Callable[[], Any]]
"""Puts into a replay's sinks what it wants to be told, and returns what gives its findings at the end."""


class TooManyCohortsError(Exception):
    """There are more segments than cohorts, so it matters which were met first: one process must see all accounts."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is replayed, and what of it somebody reads.

    Parameters
    ----------
    files
        In the contracts of the input topics.
    compiled
        The model.
    every_ms
        Event time between snapshots, > 0, milliseconds; None = only at the end.
    witness
        What takes something down beside the replay, in each process for its own accounts.
    whole
        Names of files that are read whole, because they are not sorted.
    """

    files: Sequence[EventFile]
    compiled: Compiled
    every_ms: int | None = None
    witness: Witness | None = None
    whole: frozenset[str] = frozenset()


def processes_for(files: Sequence[EventFile]) -> int:
    """Return how many processes a history is worth here: one for each core that we may use, fewer for little data."""
    if "fork" not in get_all_start_methods() or any(file.name == STANDARD_INPUT for file in files):
        return 1
    cores = len(allowed_cpus()) or os.cpu_count() or 1
    return max(min(cores, sum(file.size or 0 for file in files) // BYTES_PER_PROCESS), 1)


def replay_all(
    task: Task, sinks: Sinks, note: Callable[[str], None], processes: int = 1, again: Callable[[], None] = lambda: None
) -> tuple[Totals, list[Any]]:
    """Replay a history; return its totals and what each process's witness found.

    Parameters
    ----------
    sinks
        Where results go. `midnight` is left to the witness.
    note
        Told in a sentence what takes longer than expected.
    processes
        How many share the accounts, >= 1. The output is the same.
    again
        Called when everything handed out so far is worth nothing, because it starts again.

    Raises
    ------
    Refusal
        A file cannot be read.
    """
    while True:
        try:
            return _alone(task, sinks) if processes == 1 else _shared(task, sinks, processes)
        except UnsortedError as found:
            note(f"{Path(found.name).name}: not sorted by occurred_at, so it is read into memory; starting again")
            task = replace(task, whole=task.whole | {found.name})
        except TooManyCohortsError:
            note(f"more than {COHORTS - 1} segments: one process has to see all accounts; starting again")
            processes = 1
        again()


def _alone(task: Task, sinks: Sinks) -> tuple[Totals, list[Any]]:
    own = replace(sinks)
    running = Replay(task.compiled, own, task.every_ms)
    finish = task.witness(running, own) if task.witness else None
    running.run(in_order(task.files, TOPICS, task.whole))
    return running.totals(), [finish()] if finish else []


def _shared(task: Task, sinks: Sinks, processes: int) -> tuple[Totals, list[Any]]:
    for _ in warm(task.compiled):  # once, before there are several of us
        pass
    with _started(task, sinks, processes) as partners:
        return _meet(task, sinks, partners)


@contextmanager
def _started(task: Task, sinks: Sinks, processes: int) -> Iterator[list[Connection]]:
    """Start the processes, and end them whatever happens: none outlives its reader."""
    context = get_context("fork")
    ours: list[Connection] = []
    children = []
    try:
        for number in range(processes):
            near, far = context.Pipe()
            ours.append(near)
            given = (task, sinks, Share(number, processes), far, tuple(ours))
            children.append(context.Process(target=_live, args=given, daemon=True))
            # Ctrl-C goes to all of us: the reader hears of it and ends the others, who were born deaf to it.
            former = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
            children[-1].start()
            far.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        yield ours
    finally:
        for child in children:
            child.terminate()  # what it had to say was said, or nobody listens any more
            child.join()
        for connection in ours:
            connection.close()


def _live(task: Task, wanted: Sinks, share: Share, far: Connection, others: Sequence[Connection]) -> None:
    """Replay one share; `others` are the reader's ends, which forking copied."""
    for connection in others:
        connection.close()

    def day(told: Told, rejected: Sequence[Rejected]) -> None:
        read = [file.bytes_read for file in task.files] if share.number == 0 else []
        far.send(("day", (told, rejected, running.end_ms, read)))

    def references(sums: Sequence[Message]) -> list[Reference]:
        far.send(("sums", [message.value for message in sums]))
        found: list[Reference] = far.recv()
        return found

    def snapshots(found: list[dict[str, Any]]) -> None:
        far.send(("snapshots", found))

    sinks = replace(wanted, day=day, fired=None, snapshots=snapshots if wanted.snapshots else None, passed=None)
    running = Replay(task.compiled, sinks, task.every_ms, references)
    finish = task.witness(running, sinks) if task.witness else None
    with suppress(BrokenPipeError, EOFError):  # the reader is gone
        try:
            running.run(in_order(task.files, TOPICS, task.whole, share))
            segments = running.state.cohorts.segments if running.state.layout.relative else []
            far.send(("end", (running.totals(), finish() if finish else None, segments)))
        except UnsortedError as found:
            far.send(("unsorted", found.name))
        except Refusal as refusal:
            far.send(("refused", (str(refusal), refusal.code)))


def _meet(task: Task, sinks: Sinks, partners: Sequence[Connection]) -> tuple[Totals, list[Any]]:
    """Take what the processes say, one thing of each at a time, until the end."""
    fold = CohortFold(len(partners))
    while True:
        kind, said = _hear(partners)
        match kind:
            case "day":
                _give_day(task, sinks, said)
            case "sums":
                _add_up(fold, partners, said)
            case "snapshots":
                assert sinks.snapshots is not None
                sinks.snapshots(sorted(chain.from_iterable(said), key=lambda snapshot: snapshot["account_id"]))
            case "end":
                return _ended(said)
            case "unsorted":
                raise UnsortedError(said[0])
            case _:
                raise Refusal(*said[0])


def _give_day(task: Task, sinks: Sinks, said: Sequence[Any]) -> None:
    told, rejected, reached, read = zip(*said, strict=True)
    sinks.give(_together(told), sorted(chain.from_iterable(rejected), key=place_of))
    for file, number in zip(task.files, read[0], strict=True):
        file.note_read(number)
    if sinks.passed:
        sinks.passed(reached[0])


def _add_up(fold: CohortFold, partners: Sequence[Connection], said: Sequence[list[bytes]]) -> None:
    for number, sums in enumerate(said):
        for value in sums:
            fold.take(number, COHORT_DECODER.decode(value))
    references = fold.complete()
    for partner in partners:
        partner.send(references)


def _hear(partners: Sequence[Connection]) -> tuple[str, list[Any]]:
    try:
        heard = [partner.recv() for partner in partners]
    except EOFError as error:
        raise Refusal("a process of the replay ended — see above, or use --processes 1") from error
    kinds = {kind for kind, _ in heard}
    assert len(kinds) == 1, kinds
    return kinds.pop(), [said for _, said in heard]


def _together(told: Sequence[Told]) -> Told:
    """Return what several processes decided in a day, in the order in which one would have told it."""
    fired = sorted(chain.from_iterable(each.fired for each in told), key=lambda one: (one.at_ms, one.account))
    records = sorted(chain.from_iterable(zip(each.places, each.records, strict=True) for each in told))
    return Told(fired, [place for place, _ in records], [body for _, body in records])


def _ended(said: Sequence[tuple[Totals, Any, list[str]]]) -> tuple[Totals, list[Any]]:
    totals = said[0][0]
    for other, _, _ in said[1:]:
        totals.add(other)
    # Who is full may have left some out.
    if len(set(chain.from_iterable(met for _, _, met in said))) > COHORTS or COHORTS in (
        len(met) for _, _, met in said
    ):
        raise TooManyCohortsError
    return totals, [found for _, found, _ in said if found is not None]
