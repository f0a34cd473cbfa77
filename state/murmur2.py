"""Which partition a key belongs to: Kafka's default partitioner for keyed records.

References
----------
Apache Kafka, `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`.
"""

from typing import Final

import numpy as np
from numba import njit

from state.texts import byte_at

_SEED: Final = 0x9747B28C
_MIX: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF


@njit(cache=True)
def murmur2(key: np.ndarray) -> int:
    """Return the 32-bit murmur2 hash of the bytes `key` (uint8), 0 to 2³² - 1."""
    word = (_SEED ^ key.size) & _WORD
    whole = key.size & ~3
    for at in range(0, whole, 4):
        four = byte_at(key, at) | byte_at(key, at + 1) << 8 | byte_at(key, at + 2) << 16 | byte_at(key, at + 3) << 24
        four = (four * _MIX) & _WORD
        four = ((four ^ (four >> 24)) * _MIX) & _WORD
        word = ((word * _MIX) & _WORD) ^ four
    rest = key.size - whole
    if rest > 0:
        for place in range(rest):
            word ^= byte_at(key, whole + place) << (8 * place)
        word = (word * _MIX) & _WORD
    word = ((word ^ (word >> 13)) * _MIX) & _WORD
    return word ^ (word >> 15)


def partition_of(account_id: str | bytes, partition_count: int) -> int:
    """Return the partition of a record with this key, 0 to `partition_count` - 1.

    Parameters
    ----------
    account_id
        The record's key; a text is taken as UTF-8.
    partition_count
        Partitions of the topic, > 0.

    Examples
    --------
    >>> partition_of("acme", 8)
    4
    """
    key = account_id.encode() if isinstance(account_id, str) else account_id
    # Kafka clears the sign bit instead of taking the absolute value.
    return (int(murmur2(np.frombuffer(key, np.uint8))) & 0x7FFFFFFF) % partition_count
