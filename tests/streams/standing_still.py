"""A worker that stops making progress in one of several ways: ``python standing_still.py SCENE``."""

import os
import sys
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from state.flush import Flush
from state.record import Record
from streams import worker
from streams.exposition import serve
from streams.measuring import Measuring
from streams.settings import Settings
from tests.streams.counting import CountingFold

LIMIT_SECONDS = 15.0
"""Longer than joining the group takes: until then a worker owns nothing, which is another reason to end it."""

FOREVER_SECONDS = 3600.0


class NeverSwept(CountingFold):
    """Says that a sweep is pending, and never ends it: what comes after the first records is not applied."""

    def apply_runs(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Have nothing to commit."""

    def sweep(self, max_rows: int) -> bool:
        """Never end."""
        return max_rows == 0


class NeverFlushed(CountingFold):
    """Has nothing to flush, although records were applied: nothing is ever committed."""

    def take_flush(self) -> Flush | None:
        """Return nothing."""
        return None


class NeverBack(CountingFold):
    """Does not return from applying: the event loop stands."""

    def apply_runs(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Take an hour."""
        del runs
        time.sleep(FOREVER_SECONDS)


SCENES = {"apply": NeverSwept, "commit": NeverFlushed, "loop": NeverBack}

if __name__ == "__main__":
    settings = Settings.from_environ(os.environ)
    registry = CollectorRegistry()
    measuring = Measuring(registry, settings.clock, None)
    serve(settings.metrics_port, registry, measuring)
    sys.exit(worker.run(settings, SCENES[sys.argv[1]], measuring, watchdog_seconds=LIMIT_SECONDS))
