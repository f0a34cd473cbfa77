"""Faults of a model file, collected and shown together.

::

    ModelError(ValueError)      the file as a whole, listing every Fault
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong at one place: ``path: expected …, got … — advice``."""

    path: str
    expected: str
    given: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.given} — {self.advice}"


class ModelError(ValueError):
    """A model file that cannot be used, with everything that is wrong with it.

    Parameters
    ----------
    source
        File or preset name that every line of the message starts with.
    faults
        At least one, in the order of the file's parts.
    """

    def __init__(self, source: str, faults: tuple[Fault, ...]) -> None:
        assert faults
        self.source = source
        self.faults = faults
        super().__init__("\n".join(f"{source} {fault}" for fault in faults))
