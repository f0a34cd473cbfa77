"""The smallest state the shell can carry: counts each account's events, alerts at every tenth. Also runs as a worker.

``python tests/streams/counting.py`` is a worker with this state and settings from the environment.
"""

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

import orjson

from state.flush import Flush, Message
from state.record import Keyed, Record

META = b"\x00meta"
EVERY = 10
LOAD_SECONDS = float(os.environ.get("COUNTING_LOAD_SECONDS", "0"))


class CountingFold:
    """A `Fold`: account key → number of events, ticks ignored."""

    META_KEY = META

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.rows: dict[bytes, int] = {}
        self.positions: dict[str, int] = {}
        self.sequence = 0
        self.urgent = False
        self.dirty = False
        self._changed: set[bytes] = set()
        self._alerts: list[Message] = []
        self._runs: list[list[object]] = []

    def apply_runs(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Count what lies at or above the positions."""
        for topic, records in runs:
            self._apply(topic, records)

    def _apply(self, topic: str, records: Sequence[Record]) -> None:
        position = self.positions.get(topic, 0)
        fresh = records if records[0].offset >= position else [r for r in records if r.offset >= position]
        if not fresh:
            return
        if topic != "ticks":
            rows, changed = self.rows, self._changed
            for record in fresh:
                key = record.key or b""
                count = rows[key] = rows.get(key, 0) + 1
                changed.add(key)
                if count % EVERY == 0:
                    self._alerts.append(Message(key, b"%d" % count, _headers(key, count)))
                    self.urgent = True
        self.positions[topic] = fresh[-1].offset + 1
        self._runs.append([topic, fresh[0].offset, fresh[-1].offset])
        self.dirty = True

    def sweep(self, max_rows: int) -> bool:
        """Nothing is ever pending."""
        return max_rows > 0

    def encode(self, max_rows: int) -> bool:
        """A flush is small."""
        return max_rows > 0

    def take_flush(self) -> Flush | None:
        """Encode what changed."""
        if not self.dirty:
            return None
        self.sequence += 1
        meta = orjson.dumps({"sequence": self.sequence, "positions": self.positions})
        flush = Flush(
            sequence=self.sequence,
            changelog=[Message(key, b"%d" % self.rows[key]) for key in self._changed] + [Message(META, meta)],
            alerts=self._alerts,
            journal=Message(None, orjson.dumps({"sequence": self.sequence, "runs": self._runs, "clock_ms": 0})),
            offsets=dict(self.positions),
        )
        self._changed, self._alerts, self._runs = set(), [], []
        self.urgent = self.dirty = False
        return flush

    def expect(self, newest: bytes | None) -> None:
        """Read anything."""

    def load(self, records: Iterable[Keyed]) -> None:
        """Take changelog records, slowly when COUNTING_LOAD_SECONDS says how slowly."""
        for record in records:
            time.sleep(LOAD_SECONDS)
            key, value = record.key, record.value
            assert value is not None
            if key == META:
                meta: Mapping[str, object] = orjson.loads(value)
                self.sequence, self.positions = meta["sequence"], dict(meta["positions"])  # type: ignore[call-overload,assignment]
            else:
                self.rows[key] = int(value)

    def finish_load(self) -> None:
        """Nothing to derive."""


def _headers(key: bytes, count: int) -> tuple[tuple[str, bytes], ...]:
    return ("ce_id", key + b"-%d" % count), ("ce_type", b"io.bellwether.alert.firing")


if __name__ == "__main__":
    from streams import worker
    from streams.settings import Settings

    sys.exit(worker.run(Settings.from_environ(os.environ), CountingFold))
