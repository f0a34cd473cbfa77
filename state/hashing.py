"""64-bit hashes of texts: XXH64, the same for ever.

Hashes are written to the changelog and compared after a restart, so the function is a published one with published
test vectors, written out here on unsigned 64-bit arithmetic that is equal on every machine.

References
----------
Yann Collet, "xxHash fast digest algorithm, version 0.1.1", section "XXH64 algorithm description".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit

from state.texts import join_texts

NO_HASH: Final = 0
"""Stands for "no text"; a text whose hash happens to be 0 gets 1 instead."""

_PRIME_1: Final = np.uint64(0x9E3779B185EBCA87)
_PRIME_2: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3: Final = np.uint64(0x165667B19E3779F9)
_PRIME_4: Final = np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5: Final = np.uint64(0x27D4EB2F165667C5)


@njit(cache=True, inline="always")
def _rotate(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@njit(cache=True, inline="always")
def _read(buffer: np.ndarray, at: int, size: int) -> np.uint64:
    """Return `size` bytes as a little-endian word."""
    word = np.uint64(0)
    for place in range(size):
        word |= np.uint64(buffer[at + place]) << np.uint64(8 * place)
    return word


@njit(cache=True, inline="always")
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _PRIME_2, 31) * _PRIME_1


@njit(cache=True)
def _lanes(buffer: np.ndarray, start: int, stop: int, seed: np.uint64) -> np.uint64:
    """Return the merged accumulators of the whole 32-byte stripes of `buffer[start:stop]`."""
    lane_1, lane_2 = seed + _PRIME_1 + _PRIME_2, seed + _PRIME_2
    lane_3, lane_4 = seed, seed - _PRIME_1
    for at in range(start, stop - 31, 32):
        lane_1 = _round(lane_1, _read(buffer, at, 8))
        lane_2 = _round(lane_2, _read(buffer, at + 8, 8))
        lane_3 = _round(lane_3, _read(buffer, at + 16, 8))
        lane_4 = _round(lane_4, _read(buffer, at + 24, 8))
    merged = _rotate(lane_1, 1) + _rotate(lane_2, 7) + _rotate(lane_3, 12) + _rotate(lane_4, 18)
    for lane in (lane_1, lane_2, lane_3, lane_4):
        merged = (merged ^ _round(np.uint64(0), lane)) * _PRIME_1 + _PRIME_4
    return merged


@njit(cache=True)
def xxh64(buffer: np.ndarray, start: int, stop: int, seed: np.uint64) -> np.uint64:
    """Return the XXH64 hash of `buffer[start:stop]`.

    Parameters
    ----------
    buffer
        uint8.
    seed
        uint64.
    """
    word = _lanes(buffer, start, stop, seed) if stop - start >= 32 else seed + _PRIME_5
    word += np.uint64(stop - start)
    at = stop - ((stop - start) & 31)
    while at + 8 <= stop:
        word = _rotate(word ^ _round(np.uint64(0), _read(buffer, at, 8)), 27) * _PRIME_1 + _PRIME_4
        at += 8
    if at + 4 <= stop:
        word = _rotate(word ^ (_read(buffer, at, 4) * _PRIME_1), 23) * _PRIME_2 + _PRIME_3
        at += 4
    while at < stop:
        word = _rotate(word ^ (np.uint64(buffer[at]) * _PRIME_5), 11) * _PRIME_1
        at += 1
    word = (word ^ (word >> np.uint64(33))) * _PRIME_2
    word = (word ^ (word >> np.uint64(29))) * _PRIME_3
    return word ^ (word >> np.uint64(32))


@njit(cache=True)
def _hash_all(buffer: np.ndarray, ends: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the hash of each non-empty text, under its own seed or the only one; an empty text has none."""
    hashes = np.zeros(ends.size, np.uint64)
    start = 0
    for index in range(ends.size):
        stop = ends[index]
        if stop > start:
            hashed = xxh64(buffer, start, stop, seeds[index if seeds.size > 1 else 0])
            hashes[index] = hashed if hashed != np.uint64(0) else np.uint64(1)
        start = stop
    return hashes


_SEED_0: Final = np.zeros(1, np.uint64)


def hash_texts(column: Sequence[str | None]) -> np.ndarray:
    """Return the hashes of a column of texts.

    Returns
    -------
    np.ndarray
        uint64, one per text; `NO_HASH` where the text is absent or empty.
    """
    if not any(column):
        return np.zeros(len(column), np.uint64)
    present = [text or "" for text in column] if None in column else column
    return _hash_all(*join_texts(present), _SEED_0)  # type: ignore[arg-type]  # no None is left


def hash_identities(sources: Sequence[str | None], ids: Sequence[str | None]) -> np.ndarray:
    """Return one hash per (source, id): the id's hash under the source's hash as seed.

    A seed, unlike a separator between the two, leaves no pair of texts that could be read as another pair.

    Returns
    -------
    np.ndarray
        uint64, one per pair; `NO_HASH` where there is no id.
    """
    if not any(sources):
        return hash_texts(ids)
    seeds = hash_texts(sources)
    return _hash_all(*join_texts([text or "" for text in ids]), seeds)


def hash_text(text: str) -> int:
    """Return the hash of one text, 1 to 2⁶⁴ - 1, or `NO_HASH` for an empty one; equal to `hash_texts` of it."""
    return int(hash_texts([text])[0])


def hash_identity(source: str | None, event_id: str) -> int:
    """Return the hash of one (source, id); equal to `hash_identities` of it."""
    return int(hash_identities([source], [event_id])[0])
