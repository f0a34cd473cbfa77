"""What the shell asks of the core: the shape of one partition's state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from state.flush import Flush
from state.record import Keyed, Record


class Fold(Protocol):
    """One partition's state: pure and synchronous, it does no input or output."""

    @property
    def urgent(self) -> bool:
        """An alert waits: flush at once."""

    @property
    def dirty(self) -> bool:
        """Something was applied since the last flush was taken."""

    @property
    def positions(self) -> Mapping[str, int]:
        """Input topic → next offset to read; topics never read are absent."""

    def apply_runs(self, runs: Sequence[tuple[str, Sequence[Record]]]) -> None:
        """Apply runs of records (topic, records) in order; those below a topic's position are skipped.

        No sweep may be pending; ticks and models come last.
        """

    def sweep(self, max_rows: int) -> bool:
        """Run at most ``max_rows`` rows (>= 1) of a pending sweep, or change of the model; True when nothing is pending."""

    def encode(self, max_rows: int) -> bool:
        """Encode at most ``max_rows`` rows (>= 1) of the next flush; True when all are. Until it is taken nothing is applied."""

    def take_flush(self) -> Flush | None:
        """Return everything since the last flush, encoded; None when nothing was applied."""

    @property
    def META_KEY(self) -> bytes:  # noqa: N802 - a constant of each class
        """Key of the changelog record that every flush ends with."""

    def expect(self, newest: bytes | None) -> None:
        """Look at the newest value of `META_KEY`, None without any, before a restore; raise where rows cannot be read."""

    def load(self, records: Iterable[Keyed]) -> None:
        """Take changelog records during a restore, in log order. May run in another thread."""

    def finish_load(self) -> None:
        """End the restore; after it ``positions`` is true. May run in another thread."""
