"""The partition of a key against aiokafka's partitioner and Kafka's own test vectors."""

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from state.murmur2 import murmur2, partition_of


@given(st.binary(min_size=0, max_size=70), st.integers(1, 64))
def test_the_partition_is_aiokafkas(key, partition_count):
    """A record we write lands where every other Kafka client would put it."""
    partitions = list(range(partition_count))
    assert partition_of(key, partition_count) == DefaultPartitioner()(key, partitions, partitions)


@given(st.text(max_size=40))
def test_a_text_is_taken_as_utf8(account_id):
    """A text and its UTF-8 bytes have one partition."""
    assert partition_of(account_id, 8) == partition_of(account_id.encode(), 8)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_kafkas_own_vectors(key, expected):
    """The hash is that of Kafka's UtilsTest.testMurmur2."""
    assert int(murmur2(np.frombuffer(key.encode(), np.uint8))) == expected % 2**32
