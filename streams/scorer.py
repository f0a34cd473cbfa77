"""Puts the pure core into the shell: the model a process runs, and a partition's state for it."""

import logging
from collections.abc import Iterator
from time import monotonic

import msgspec

from scoring.compile import Compiled, compile_model
from scoring.faults import ModelError
from scoring.model import Model
from scoring.presets import load_model
from state.daily import DayCloses
from state.flush import Flush, Message
from state.partition import Partition
from streams.halt import FAILED, Refusal
from streams.settings import Settings

logger = logging.getLogger(__name__)


def load_compiled(settings: Settings) -> Compiled:
    """Return the model that BELLWETHER_MODEL names, compiled: the one an empty application begins with.

    Raises
    ------
    Refusal
        It cannot be read; all its faults are listed.
    """
    try:
        return compile_model(load_model(settings.model))
    except ModelError as error:
        raise Refusal(str(error), FAILED) from error


class LivePartition(Partition):
    """A partition that says by which model it scores, where that is not the one it was started with.

    Parameters
    ----------
    number, settings, compiled
        Which one, of which process, and the model to begin with.
    """

    def __init__(self, number: int, settings: Settings, compiled: Compiled) -> None:
        skew_ms = settings.future_skew_seconds * 1000
        super().__init__(number, settings.partitions, compiled, app_id=settings.app_id, skew_ms=skew_ms)
        self._closes = DayCloses() if settings.score_history == "on" else None
        self._early_history: list[Message] = []

    def take_flush(self) -> Flush | None:
        """Return everything since the last flush, day closes included where they are kept."""
        flush = super().take_flush()
        if flush is None or self._closes is None:
            return flush
        early, self._early_history = self._early_history, []
        return msgspec.structs.replace(flush, history=early + self._closes.take(self))

    def finish_load(self) -> None:
        """End the restore."""
        super().finish_load()
        if self._closes is not None:
            self._closes.settle(self)
        given, own = self.given.model, self.compiled.model
        if own.fingerprint != given.fingerprint:
            logger.warning(
                "partition %d: scores by %s, which it had before; BELLWETHER_MODEL names %s and only begins an empty"
                " application — `bellwether model publish FILE` changes the model",
                self.number,
                _named(own),
                _named(given),
            )

    def changing(self, new: Compiled) -> Iterator[None]:
        """Score by another model from here on."""
        began, old = monotonic(), self.compiled.model
        if self._closes is not None:
            self._early_history += self._closes.take(self)
        yield from super().changing(new)
        if self._closes is not None:
            self._closes.settle(self)  # rows are numbered anew
        seconds, count = monotonic() - began, len(self.store)
        told = (self.number, _named(new.model), _named(old), count, seconds)
        logger.info("partition %d: scores by %s instead of %s from here on, %d accounts in %.1f s", *told)


def _named(model: Model) -> str:
    return f"{model.name} {model.version} ({model.fingerprint})"


def new_partition(number: int, settings: Settings, compiled: Compiled) -> Partition:
    """Return the empty state of a partition."""
    return LivePartition(number, settings, compiled)
