"""What the shell asks of the core: the shape of one partition's state."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from state.flush import Flush
from state.record import Record


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

        No sweep may be pending; ticks come last.
        """

    def sweep(self, max_rows: int) -> bool:
        """Run at most ``max_rows`` rows (>= 1) of a pending sweep; True when nothing is pending."""

    def take_flush(self) -> Flush | None:
        """Return everything since the last flush, encoded; None when nothing was applied."""

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record during a restore, in log order."""

    def finish_load(self) -> None:
        """End the restore; after it ``positions`` is true."""
