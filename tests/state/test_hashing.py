"""The hashes stay what they are for ever: golden vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.hashing import hash_identities, hash_identity, hash_text, hash_texts, xxh64

PUBLISHED = {
    "a": 0xD24EC4F1A98C6E5B,
    "as": 0x1C330FB2D66BE179,
    "asd": 0x631C37CE72A97393,
    "asdf": 0x415872F599CEA71E,
    "abc": 0x44BC2CF5AD770999,
    "Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
    "Call me Ishmael. Some years ago--never mind how long precisely-": 0x02A2E85470D6FD96,
}


# Computed once, on 64-bit little-endian Linux; never to be changed.
GOLDEN = {"evt-1": 0x38D8DF9C775B5DBC, "crm/evt-1": 0x103D4ADCEC6559A6, "größe-日本": 0xF2195FE97E8B05E4}


@pytest.mark.parametrize(("text", "expected"), PUBLISHED.items())
def test_published_vectors(text, expected):
    """The hash is XXH64 with seed 0, as its reference implementations compute it."""
    assert hash_text(text) == expected


def test_the_empty_text_with_the_reference_function():
    """XXH64 of nothing is the published constant, though no text counts as no hash."""
    assert int(xxh64(np.zeros(0, np.uint8), 0, 0, np.uint64(0))) == 0xEF46DB3751D8E999
    assert hash_text("") == 0


def test_frozen_identities():
    """Identities written to a changelog today must be recognised by every later version."""
    assert hash_identity(None, "evt-1") == hash_text("evt-1") == GOLDEN["evt-1"]
    assert hash_identity("crm", "evt-1") == GOLDEN["crm/evt-1"]
    assert hash_text("größe-日本") == GOLDEN["größe-日本"]


@given(st.lists(st.none() | st.text()))
def test_a_column_equals_its_texts_one_by_one(column):
    """Neighbours, their lengths and their alphabets do not touch a text's hash."""
    assert hash_texts(column).tolist() == [hash_text(text or "") for text in column]


@given(st.lists(st.tuples(st.none() | st.sampled_from(["", "crm", "app"]) | st.text(), st.text())))
def test_identities_in_a_column_equal_identities_alone(pairs):
    """An identity depends on its own source and id alone."""
    hashes = hash_identities([source for source, _ in pairs], [event_id for _, event_id in pairs])
    assert hashes.tolist() == [hash_identity(source, event_id) for source, event_id in pairs]


def test_a_boundary_between_source_and_id_cannot_be_forged():
    """Pairs whose joined texts are equal have different identities."""
    assert len({hash_identity("ab", "c"), hash_identity("a", "bc"), hash_identity(None, "abc")}) == 3
