"""Each protection is needed: without it, the simulation finds a violation within the seeds stated here."""

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulate import simulate

WITHIN_SEEDS = 100
"""The rarest mutation is caught by about one seed in ten."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_protection_is_caught(name: str) -> None:
    """Some seed among the first hundred ends in a violation."""
    assert any(simulate(seed, MUTATIONS[name]).violation for seed in range(WITHIN_SEEDS)), name
