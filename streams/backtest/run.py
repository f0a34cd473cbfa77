"""A backtest from a folder to its collected rows."""

from collections.abc import Callable, Sequence
from pathlib import Path

from scoring.compile import Compiled
from streams.backtest.collect import Collected, Collector
from streams.backtest.outcomes import Answers
from streams.backtest.question import AsOf
from streams.cli.files import EventFile
from streams.event_order import UnsortedError, in_order
from streams.replay import TOPICS, Replay, Sinks


def collect(
    files: Sequence[EventFile],
    compiled: Compiled,
    answers: Answers,
    is_as_of: AsOf,
    *,
    passed: Callable[[int], None] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Replay files through a model and return the rows of a backtest; a file out of order is read whole.

    Parameters
    ----------
    passed
        Told the event time reached.
    note
        Told in a sentence what takes longer than expected.
    """
    whole: frozenset[str] = frozenset()
    while True:
        collector = Collector(answers, is_as_of)
        replay = Replay(compiled, collector.sinks(Sinks(passed=passed)))
        collector.watch(replay)
        try:
            replay.run(in_order(files, TOPICS, whole))
        except UnsortedError as found:
            note(f"{Path(found.name).name}: not sorted by occurred_at, so it is read into memory; starting again")
            whole |= {found.name}
        else:
            return collector.finish()
