"""A backtest from a folder to its collected rows."""

from collections.abc import Callable, Sequence

from scoring.compile import Compiled
from streams.backtest.collect import Collected, Collector, merged
from streams.backtest.outcomes import Answers
from streams.backtest.question import AsOf
from streams.cli.files import EventFile
from streams.replay import Replay, Sinks
from streams.sharing import Task, replay_all


def collect(
    files: Sequence[EventFile],
    compiled: Compiled,
    answers: Answers,
    is_as_of: AsOf,
    *,
    passed: Callable[[int], None] | None = None,
    note: Callable[[str], None] = lambda _: None,
    processes: int = 1,
) -> Collected:
    """Replay files through a model and return the rows of a backtest; a file out of order is read whole.

    Parameters
    ----------
    passed
        Told the event time reached.
    note
        Told in a sentence what takes longer than expected.
    processes
        How many share the accounts, >= 1; the rows are the same.
    """

    def witness(replay: Replay, sinks: Sinks) -> Callable[[], Collected]:
        collector = Collector(answers, is_as_of)
        collector.sinks(sinks)
        collector.watch(replay)
        return collector.finish

    _, found = replay_all(Task(files, compiled, witness=witness), Sinks(passed=passed), note, processes)
    return merged(found)
