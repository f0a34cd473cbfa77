"""What a round takes for granted of its own load."""

from typing import NamedTuple

import pytest

from tests.faults.verify import LoadError, doubled


class Stored(NamedTuple):
    """A record of an input log, as far as it is looked at."""

    value: bytes


def log(*values: bytes) -> dict[tuple[str, int], list[Stored]]:
    """Return the logs of one partition."""
    return {("usage", 0): [Stored(value) for value in values]}


def test_a_batch_that_a_broker_took_twice_is_counted() -> None:
    """Two records stand there again, directly after the first time: two are doubled, and what follows is found."""
    wanted = {("usage", 0): [b"1", b"2", b"3", b"4"]}
    assert doubled(log(b"1", b"2", b"3", b"4"), wanted) == 0  # type: ignore[arg-type]
    assert doubled(log(b"1", b"2", b"3", b"2", b"3", b"4"), wanted) == 2  # type: ignore[arg-type]
    assert doubled(log(b"1", b"2", b"3", b"4", b"4"), wanted) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "found", [(b"1", b"3"), (b"1", b"3", b"2"), (b"1", b"2"), (b"1", b"2", b"3", b"4"), (b"1", b"2", b"1", b"3")]
)
def test_anything_else_makes_a_round_worthless(found: tuple[bytes, ...]) -> None:
    """Missing, swapped, foreign records, and a repeat that is not the batch before."""
    with pytest.raises(LoadError):
        doubled(log(*found), {("usage", 0): [b"1", b"2", b"3"]})  # type: ignore[arg-type]
