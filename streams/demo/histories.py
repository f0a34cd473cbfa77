"""Real histories from a folder of event files, merged in the order in which they happened, as a feed takes them."""

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from state.decode import LoneRecord, decode_chunk
from streams.cli.files import EventFile, topic_of
from streams.demo.event import Event
from streams.demo.feed import TOPICS, History
from streams.demo.outcomes import Outcome
from streams.demo.truth import DAY_MS
from streams.halt import Refusal

EVENTS_AT_ONCE = 4096
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst")


class Histories:
    """What a folder holds: its events, its accounts, and what became of them. It is read whole, into memory.

    Parameters
    ----------
    folder
        Holds files named after the input topics, such as ``usage.jsonl.gz``.

    Attributes
    ----------
    accounts
        Ids in order of their first event.
    outcomes
        Account id → its first outcome.
    rejected
        Lines left out because they are no valid events.

    Raises
    ------
    Refusal
        If the folder has no file of a topic, or no valid event.
    """

    def __init__(self, folder: Path) -> None:
        files = sorted(
            path for path in folder.glob("*") if topic_of(path.name) in TOPICS and path.name.endswith(SUFFIXES)
        )
        if not files:
            raise Refusal(
                f"{folder}: expected files such as usage.jsonl or billing.jsonl.gz, found none — check the path"
            )
        self.outcomes: dict[str, Outcome] = {}
        self.rejected = 0
        events = [found for path in files for found in self._read(path)]
        if not events:
            raise Refusal(
                f"{folder}: expected events, found {self.rejected} lines that are none — try `bellwether produce`"
            )
        # A stable sort by time and topic rank keeps the lines of a file in their order, as `replay` has it.
        events.sort(key=lambda found: (found.occurred_at_ms, TOPICS.index(found.topic)))
        self.accounts = list(dict.fromkeys(found.account_id for found in events))
        self._events = events

    @property
    def history(self) -> History:
        """The events, as a feed takes them."""
        start_ms = self._events[0].occurred_at_ms // DAY_MS * DAY_MS
        days = (self._events[at : at + EVENTS_AT_ONCE] for at in range(0, len(self._events), EVENTS_AT_ONCE))
        return History(start_ms, self._events[-1].occurred_at_ms + 1, days)

    def _read(self, path: Path) -> Iterator[Event]:
        topic = topic_of(path.name)
        for _, values in EventFile(str(path), topic).blocks():
            decoded = decode_chunk(topic, [LoneRecord(value, offset=index) for index, value in enumerate(values)])
            self.rejected += len(decoded.rejections)
            columns = zip(decoded.structs, decoded.offset.tolist(), decoded.occurred_at_ms.tolist(), strict=True)
            for body, index, at_ms in columns:
                if topic == "outcomes":
                    self._note_outcome(body.account_id, Outcome(body.outcome, at_ms))
                yield Event(topic, body.account_id, values[index], at_ms, at_ms)

    def _note_outcome(self, account_id: str, outcome: Outcome) -> None:
        first = min(self.outcomes.get(account_id, outcome), outcome, key=attrgetter("at_ms"))
        self.outcomes[account_id] = first
