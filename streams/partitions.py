"""Which partition an account belongs to: the same rule as Java's, aiokafka's and librdkafka's (`murmur2`) producers."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

REMEMBERED = 1 << 17  # keys; the hash is pure Python (2 µs), files repeat their accounts


@lru_cache(REMEMBERED)
def partition_of(key: bytes, n_partitions: int) -> int:
    """Return the partition, from 0 and below `n_partitions`, of records with this key."""
    return (int(murmur2(key)) & 0x7FFFFFFF) % n_partitions
