"""Rounds of faults on real processes; results add up in a file.

``python -m tests.faults --rounds 1`` plays every class once; ``--class kill --rounds 30`` one of them thirty times.
"""

import argparse
import asyncio
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from deploy.local import Stack
from scoring.compile import compile_model
from scoring.presets import load_model
from state.warming import warm
from tests.faults.classes import CLASSES
from tests.faults.results import RESULTS, Tally, publish, read, table, write
from tests.faults.stage import MissedError, Stage
from tests.invariants import ViolationError

logger = logging.getLogger(__name__)

ROUNDS_PER_STAGE = 6
"""The recount reads a stage's whole history after every round: fresh topics keep it short."""

SIDE_BY_SIDE = 2
"""Stages at a time. Most of a round is waiting: for a session to end, for a worker to start."""

ATTEMPTS = 5
SMALL_MODEL = str(Path(__file__).parents[1] / "simulation" / "model.toml")
HABITS = tuple((model, clock) for clock in ("log", "wall") for model in ("saas-renewal", SMALL_MODEL))


class Play:
    """Plays rounds and writes down each as it ends.

    Parameters
    ----------
    folder
        For the workers' logs.
    path
        Results file.
    seed
        Of the first stage.
    total
        How many rounds there are, for telling how far it is.
    former
        Folder of another version's tree, for the class `upgrade`.
    """

    def __init__(self, folder: Path, path: Path, seed: int, total: int, former: Path | None = None) -> None:
        self._folder = folder
        self._former = former
        self._path = path
        self._seeds = count(seed)
        self._total = total
        self._began = time.monotonic()
        self.done = self.violations = self.failures = 0

    async def run(self, stack: Stack, names: Sequence[str]) -> list[str]:
        """Play classes on fresh stages, two side by side as far as a fault leaves another stage alone.

        Returns
        -------
        list
            What is left to be played because the harness itself, not an invariant, has failed.
        """
        apart = deque(name for name in names if not CLASSES[name].is_shared)
        shared = deque(name for name in names if CLASSES[name].is_shared)
        failures = self.failures
        await asyncio.gather(*(self._stages(stack, apart, database) for database in range(SIDE_BY_SIDE)))
        if self.failures == failures:
            await self._stages(stack, shared, 0)
        return [*apart, *shared]

    async def _stages(self, stack: Stack, names: deque[str], database: int) -> None:
        """Play what is left on one stage after the other, until the harness fails."""
        failures = self.failures
        while names and self.failures == failures:
            try:
                await self._on_one_stage(stack, names, database)
            except Exception as error:  # whatever it is, the rounds go on with another cluster
                logger.exception("the harness failed")
                _say(f"the harness failed: {error!r}; going on with another cluster")
                self.failures += 1

    async def _on_one_stage(self, stack: Stack, names: deque[str], database: int) -> None:
        """Play until the stage has a long history or an invariant does not hold."""
        seed, began, cluster = next(self._seeds), time.monotonic(), self.failures
        chance = random.Random(seed)
        model, clock = HABITS[seed % len(HABITS)]

        def tell(sentence: str) -> None:
            _say(f"stage {seed}: {sentence}")

        async with Stage(
            stack, self._folder, seed, database=database, model=model, clock=clock, tell=tell, former=self._former
        ) as stage:
            stage.quiet()
            await stage.all_own()
            tell(f"{Path(model).stem}, {clock} clock, ready in {time.monotonic() - began:.1f} s")
            for _ in range(ROUNDS_PER_STAGE):
                if not names or self.failures > cluster or not await self._round(stage, chance, names.popleft()):
                    return

    async def _round(self, stage: Stage, chance: random.Random, name: str) -> bool:
        """Play one round; return whether all invariants held."""
        before, began = stage.load.sent.copy(), time.monotonic()
        tally, violation, checked = Tally(), None, ""
        stage.seconds.clear()
        try:
            await self._land(stage, chance, name, tally)
            with stage.step("caught up"):
                tally.recoveries.append(round(await stage.caught_up(), 1))
            events, alerts = await stage.check()
            checked = f"{events} events and {alerts} alerts checked"
        except (ViolationError, AssertionError) as error:
            violation = f"{type(error).__name__}: {error}"
            tally.violations.append(violation[:1500])
            tally.recoveries.clear()
            self.violations += 1
            checked = f"VIOLATION: {violation}\n  logs of {stage.settings.app_id} in {self._folder}"
        tally.rounds += 1
        tally.count(stage.load.sent - before)
        self._add(name, tally)
        now = time.monotonic()
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in stage.seconds.items())
        stage.tell(
            f"{name}: {now - began:.1f} s ({steps}), {checked};"
            f" {self.done} of {self._total} rounds in {(now - self._began) / 60:.1f} min"
        )
        return violation is None

    def _add(self, name: str, tally: Tally) -> None:
        """Add a round to the file, to which another stage may have added since this one began."""
        tallies = read(self._path)
        tallies.setdefault(name, Tally()).add(tally)
        write(tallies, self._path)
        self.done += 1

    async def _land(self, stage: Stage, chance: random.Random, name: str, tally: Tally) -> None:
        for _ in range(ATTEMPTS):
            stage.quiet()
            with stage.step("all own"):
                await stage.all_own()
            try:
                with stage.step("fault"):
                    await CLASSES[name].play(stage, chance)
            except MissedError as missed:
                tally.missed += 1
                stage.tell(f"{name}: missed ({missed}), again")
            else:
                stage.quiet()
                return
        raise ViolationError(f"the fault never landed in {ATTEMPTS} attempts")


def _say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


def _warm_former(tree: Path) -> None:
    for model in sorted({model for model, _ in HABITS}):
        environ = {**os.environ, "PYTHONPATH": str(tree), "BELLWETHER_MODEL": model}
        subprocess.run([sys.executable, "-m", "streams.cli", "warm"], env=environ, check=True, cwd=tree)


def main() -> int:
    """Play rounds, or write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each class is played (1); 0 only reports")
    parser.add_argument(
        "--class", dest="classes", action="append", choices=list(CLASSES), help="only this one; repeat it for more"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the load and of what faults draw")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to which results are added")
    parser.add_argument("--folder", type=Path, help="where to keep the workers' logs")
    parser.add_argument(
        "--former", type=Path, help="tree of another version with this row layout, to play upgrades with"
    )
    parser.add_argument("--publish", action="store_true", help="write the report into docs/results.md at the end")
    options = parser.parse_args()
    for model in sorted({model for model, _ in HABITS}):  # workers would all compile it at once else
        for _ in warm(compile_model(load_model(model))):
            pass
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our own clients lose brokers, too, many times a second
    if options.former is not None:
        _warm_former(options.former)
    left = (options.classes or [name for name in CLASSES if name != "upgrade" or options.former]) * options.rounds
    with tempfile.TemporaryDirectory(prefix="bellwether-faults-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        play = Play(folder, options.results, options.seed, len(left), options.former)
        while left:
            began = time.monotonic()
            with Stack(brokers=3, is_restless=True) as stack:
                _say(f"three brokers and Redis, ready in {time.monotonic() - began:.1f} s")
                left = asyncio.run(play.run(stack, left))
    tallies = read(options.results)
    print(table(tallies))
    if options.publish:
        publish(tallies)
    return int(play.violations + play.failures > 0)
