"""Event names to small numbers, and from those to what the kernel needs: route code and 64-bit hash.

Any producer may invent names, so the table is bounded: when it is full it is emptied and fills again.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.compile import Vocabulary
from state.hashing import hash_text

LIMIT: Final = 65_536


class EventNames:
    """The names met on one topic.

    Parameters
    ----------
    vocabulary
        Route codes of the model.
    topic
        The topic.
    """

    def __init__(self, vocabulary: Vocabulary, topic: str) -> None:
        self._codes = vocabulary.names[topic]
        self._generic = vocabulary.generic[topic]
        self._numbers: dict[str, int] = {}
        self._code_of = np.zeros(64, np.int64)
        self._hash_of = np.zeros(64, np.uint64)

    def resolve(self, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the route code and the hash of each name."""
        try:
            found = [self._numbers[name] for name in names]
        except KeyError:
            if len(self._numbers) > LIMIT:
                self._numbers.clear()
            found = [self._number(name) for name in names]
        numbers = np.array(found, np.int64)
        return self._code_of[numbers], self._hash_of[numbers]

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is not None:
            return number
        number = self._numbers[name] = len(self._numbers)
        if number == self._code_of.size:
            self._code_of = np.concatenate([self._code_of, np.zeros_like(self._code_of)])
            self._hash_of = np.concatenate([self._hash_of, np.zeros_like(self._hash_of)])
        self._code_of[number] = self._codes.get(name, self._generic)
        self._hash_of[number] = hash_text(name)
        return number
