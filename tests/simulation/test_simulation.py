"""The guarantee under simulated faults, for a few seeds; ``make sim`` runs many."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.rounds import Tally, report
from tests.simulation.simulate import Outcome, simulate

SEEDS = 60
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_nothing_is_lost_and_nothing_comes_twice(first: int) -> None:
    """Rows, alerts, scores, offsets, counts and Redis equal the fold of the journal, whatever died on the way."""
    violations = {seed: outcome.violation for seed in range(first, first + 10) if (outcome := simulate(seed)).violation}
    assert violations == {}, "repeat one: python -m tests.simulation.rounds --seed N"


def test_the_seeds_are_troubled() -> None:
    """Kills, crashes at calls, fenced zombies and rebalances all happen within a few seeds, beside real work."""
    tally = Tally()
    for seed in range(100, 140):
        tally.add(simulate(seed))
    assert tally.sums["crashes"] > 0
    assert tally.sums["lives"] > 2 * tally.seeds
    assert tally.sums["alerts"] > 5 * tally.seeds
    assert min(tally.faults[kind] for kind in ("kill", "freeze", "silence", "rebalance", "compact", "redis_loss")) > 0
    assert any("another worker owns it now" in reason for reason in tally.exits)


def test_a_seed_repeats_itself_in_another_process() -> None:
    """The logs of a seed are equal to the byte, also under another order of Python's sets."""
    script = (
        "import logging; logging.disable(); from tests.simulation.simulate import simulate; print(simulate(11).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == simulate(11).digest


def test_rounds_add_up_to_a_bound() -> None:
    """Rounds without a violation bound its probability by three over their seeds; one violation, and there is no bound."""
    tally = Tally()
    tally.add(Outcome(0, events=5, faults={"kill": 1}))
    lines = [tally.line(1.0, 0), {"seeds": 2_999, "violations": []}]
    assert "below 0.001 at 95 % (3/n)" in report(lines)
    tally.add(Outcome(1, violation="lost"))
    assert "not bounded" in report([tally.line(1.0, 0)])
