"""A column of texts as one buffer, so that compiled code can read it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit


class Texts(NamedTuple):
    """n texts, one behind the other in UTF-8.

    Parameters
    ----------
    buffer
        uint8: all bytes.
    ends
        int64, n: where each text ends in `buffer`; it begins where the one before it ends.
    """

    buffer: np.ndarray
    ends: np.ndarray


def join_texts(column: Sequence[str]) -> Texts:
    """Return the column as one buffer. O(bytes).

    Lengths are kept beside the bytes instead of a separator between them: a text may contain any character.
    """
    joined = "".join(column)
    encoded = joined.encode()
    # In ASCII a character is a byte, so the lengths need no encoding text by text.
    sized: Sequence[str | bytes] = column if len(encoded) == len(joined) else [text.encode() for text in column]
    lengths = np.fromiter(map(len, sized), np.int64, len(column))
    return Texts(np.frombuffer(encoded, np.uint8), np.cumsum(lengths))


@njit(cache=True, inline="always")
def byte_at(buffer: np.ndarray, at: int) -> int:
    """Return one byte of a uint8 buffer as an int64, in which differences cannot wrap."""
    return np.int64(buffer[at])  # type: ignore[return-value]  # numpy's int64 is int's equal in compiled code
