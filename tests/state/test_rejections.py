"""Rejection codes and the shortened values they carry."""

from hypothesis import given
from hypothesis import strategies as st

from state.rejections import GIVEN_LIMIT, RejectionCode, shorten, shorten_bytes


def test_every_code_is_its_own_name_and_has_a_sentence():
    """Codes are upper-snake words equal to their names, each with a meaning for the documentation."""
    for code in RejectionCode:
        assert code == code.name == code.value
        assert code.meaning.endswith(".")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(), st.lists))
def test_a_shortened_value_fits(value):
    """Any JSON value becomes at most 120 characters."""
    assert 0 < len(shorten(value)) <= GIVEN_LIMIT


@given(st.binary(max_size=400))
def test_shortened_bytes_fit(value):
    """Any bytes become at most 120 characters of valid text."""
    assert len(shorten_bytes(value)) <= GIVEN_LIMIT
    shorten_bytes(value).encode()


def test_a_value_that_was_cut_says_so():
    """An ellipsis marks what was left out."""
    assert shorten("x" * 200).endswith("…")
    assert shorten("x" * (GIVEN_LIMIT - 2)) == '"' + "x" * (GIVEN_LIMIT - 2) + '"'
    assert shorten_bytes(b"x" * 121).endswith("…")
