"""Puts the pure core into the shell: the model a process runs, and a partition's state for it."""

from scoring.compile import Compiled, compile_model
from scoring.faults import ModelError
from scoring.presets import load_model
from state.partition import Partition
from streams.halt import FAILED, Refusal
from streams.settings import Settings


def load_compiled(settings: Settings) -> Compiled:
    """Return the model that BELLWETHER_MODEL names, compiled.

    Raises
    ------
    Refusal
        It cannot be read; all its faults are listed.
    """
    try:
        return compile_model(load_model(settings.model))
    except ModelError as error:
        raise Refusal(str(error), FAILED) from error


def new_partition(number: int, settings: Settings, compiled: Compiled) -> Partition:
    """Return the empty state of a partition."""
    return Partition(
        number,
        settings.partitions,
        compiled,
        app_id=settings.app_id,
        skew_ms=settings.future_skew_seconds * 1000,
    )
