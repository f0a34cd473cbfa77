"""Whole numbers as few bytes: 7 bits a byte, low bits first, sign folded in; 0 stands for "no value".

A number v is written as zigzag(v) + 1, so that the absent value costs one byte and small numbers of either sign too.
Buffers are uint8 arrays; the caller has made sure of room (`MAXIMUM_BYTES` a number).
"""

import numpy as np
from numpy.typing import NDArray

from scoring.jit import inlined
from state.layout import NO_VALUE

MAXIMUM_BYTES = 10

Bytes = NDArray[np.uint8]


@inlined
def put(buffer: Bytes, place: int, number: int) -> int:
    """Write a number at a place and return the place after it."""
    if number == NO_VALUE:
        folded = np.uint64(0)
    else:
        folded = (np.uint64(number) << np.uint64(1)) ^ np.uint64(number >> 63)
        folded += np.uint64(1)
    while folded >= np.uint64(128):
        buffer[place] = np.uint8(folded & np.uint64(127)) | np.uint8(128)
        folded >>= np.uint64(7)
        place += 1
    buffer[place] = np.uint8(folded)
    return place + 1


@inlined
def take(buffer: Bytes, place: int) -> tuple[int, int]:
    """Read a number at a place; return it and the place after it."""
    folded = np.uint64(0)
    shift = np.uint64(0)
    while True:
        byte = buffer[place]
        place += 1
        folded |= np.uint64(byte & np.uint8(127)) << shift
        if byte < 128:
            break
        shift += np.uint64(7)
    if folded == 0:
        return NO_VALUE, place
    folded -= np.uint64(1)
    return np.int64(folded >> np.uint64(1)) ^ -np.int64(folded & np.uint64(1)), place


@inlined
def put_hash(buffer: Bytes, place: int, number: int) -> int:
    """Write a 64-bit hash as 8 bytes, low byte first, and return the place after it."""
    for k in range(8):
        buffer[place + k] = np.uint8((np.uint64(number) >> np.uint64(8 * k)) & np.uint64(255))
    return place + 8


@inlined
def take_hash(buffer: Bytes, place: int) -> tuple[int, int]:
    """Read 8 bytes as a 64-bit hash; return it and the place after it."""
    number = np.uint64(0)
    for k in range(8):
        number |= np.uint64(buffer[place + k]) << np.uint64(8 * k)
    return number, place + 8
