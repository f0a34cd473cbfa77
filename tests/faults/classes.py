"""The faults: one function each, in one table. A function returns when its fault is over and everything is back."""

import asyncio
import random
import resource
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import redis.asyncio

from deploy.local.processes import Server
from streams.halt import UNSAFE
from streams.supervise import Child
from tests.faults import brokers
from tests.faults.stage import PARTITIONS, START_SECONDS, MissedError, Stage
from tests.faults.worker import SESSION_SECONDS

Fault = Callable[[Stage, random.Random], Awaitable[None]]
Choice = Callable[[Stage, random.Random], Awaitable[list[Server]]]

FREEZE_SECONDS = SESSION_SECONDS + 3.0
"""Others own the partitions when the zombie wakes."""

AWAY_SECONDS = (2.0, 6.0)
"""For how long brokers are away: from, to."""

SILENT_SECONDS = (4.0, 12.0)
"""For how long Redis is away."""

LONG_SILENT_SECONDS = (120.0, 150.0)
"""For how long Redis is away when it is away for minutes."""

OTHER_MODEL = "ecommerce-rfm"
OTHER_LAYOUT = Path(__file__).with_name("next_layout.py")

POINT_SECONDS = 120.0
"""For a worker to come to a named point."""

FULL_BYTES = 64 * 1024
"""No file may grow beyond this: what a full disk does to every append."""

BURST_KILLS = 8
STORM_GUESTS = 3


@dataclass(frozen=True)
class Class:
    """One class of faults.

    Parameters
    ----------
    title
        For the report.
    play
        Causes the fault on a stage under load and returns when it is over; MissedError when no work was left.
    is_shared
        Whether it breaks what all stages of a cluster live on, so that no other may play at the same time.
    """

    title: str
    play: Fault
    is_shared: bool = False


# ---- workers die


async def kill(stage: Stage, chance: random.Random) -> None:
    """SIGKILL one worker at a random time."""
    victim = chance.choice(stage.children)
    owned = stage.owned(victim)
    await stage.busy()
    await asyncio.sleep(chance.uniform(0, 0.3))
    stage.signal(victim, signal.SIGKILL)
    await stage.landed(owned)


async def kill_all(stage: Stage, chance: random.Random) -> None:
    """SIGKILL every worker at the same time."""
    await stage.busy()
    await asyncio.sleep(chance.uniform(0, 0.3))
    for victim in stage.children:
        stage.signal(victim, signal.SIGKILL)
    await stage.landed()


async def kill_at(point: str, stage: Stage, chance: random.Random) -> None:
    """Have one worker kill itself at a named point of a flush or a restore."""
    victim = chance.choice(stage.children)
    former = stage.supervisor.pid(victim.name)
    with stage.armed(victim, f"{point}:{1 if point.startswith('restore') else chance.randint(2, 12)}"):
        stage.signal(victim, signal.SIGTERM)
        armed = await stage.next_life(victim, former)
    await stage.until(
        lambda: stage.supervisor.pid(victim.name) != armed,
        POINT_SECONDS,
        f"{victim.name} did not come to {point}",
        MissedError,
    )
    await stage.landed()


async def burst(stage: Stage, chance: random.Random) -> None:
    """SIGKILL whichever worker runs, again and again, also while they start, rebalance and restore."""
    await stage.busy()
    stage.quiet()  # what nobody reads meanwhile waits
    done = 0
    while done < BURST_KILLS:
        await asyncio.sleep(chance.uniform(0.2, 2.0))
        try:
            stage.signal(chance.choice(stage.children), signal.SIGKILL)
        except MissedError:
            continue
        done += 1
    await stage.landed()


# ---- workers freeze, come and go


async def freeze(stage: Stage, chance: random.Random) -> None:
    """Freeze one worker for longer than its session."""
    victim = chance.choice(stage.children)
    owned = stage.owned(victim)
    await stage.busy()
    await asyncio.sleep(chance.uniform(0, 0.3))
    stage.signal(victim, signal.SIGSTOP)
    try:
        await stage.landed(owned)
        stage.quiet()
        await asyncio.sleep(FREEZE_SECONDS)  # the fault itself
    finally:
        stage.signal(victim, signal.SIGCONT)


async def frozen_in_transaction(stage: Stage, chance: random.Random) -> Child:
    """Freeze one worker between the last write of a transaction and its commit; return it."""
    victim = chance.choice(stage.children)
    former = stage.supervisor.pid(victim.name)
    with stage.armed(victim, f"before_commit:{chance.randint(3, 12)}:SIGSTOP"):
        stage.signal(victim, signal.SIGTERM)
        await stage.next_life(victim, former)
    await stage.until(
        lambda: stage.is_frozen(victim), POINT_SECONDS, f"{victim.name} did not come to before_commit", MissedError
    )
    return victim


async def freeze_in_transaction(stage: Stage, chance: random.Random) -> None:
    """Freeze one worker just before a commit; it wakes when others have taken its partitions over."""
    victim = await frozen_in_transaction(stage, chance)
    try:
        await stage.landed()
        await asyncio.sleep(FREEZE_SECONDS)
    finally:
        stage.signal(victim, signal.SIGCONT)


async def storm(stage: Stage, chance: random.Random) -> None:
    """Let a further worker join and leave, in order or by SIGKILL, whatever the others are just doing."""
    for number in range(STORM_GUESTS):
        await stage.busy()
        stage.quiet()
        async with stage.guest() as guest:
            await stage.until(
                lambda guest=guest: guest.pid("guest") is not None, START_SECONDS, "the guest does not start"
            )
            await asyncio.sleep(chance.uniform(3.0, 7.0))
            await stage.landed()
            pid = guest.pid("guest")
            if number == 1 and pid is not None:
                stage.kill(pid)


async def rolling(stage: Stage, chance: random.Random) -> None:
    """Restart the workers one after the other, each in order, as an upgrade does."""
    del chance
    for victim in stage.children:
        await restart(stage, victim)


async def restart(stage: Stage, victim: Child) -> None:
    """Let a worker end in order under load; return when its next life owns partitions."""
    former = stage.supervisor.pid(victim.name)
    await stage.busy()
    await stage.landed(stage.owned(victim))
    stage.signal(victim, signal.SIGTERM)
    stage.quiet()
    await stage.next_life(victim, former)
    await stage.all_own()


async def other_model(stage: Stage, chance: random.Random) -> None:
    """Let a worker join that names another model: it goes on with the one the rows have."""
    del chance
    await stage.busy()
    await stage.caught_up()  # an empty partition would begin with the model of whoever comes first
    guest = stage.guest(model=OTHER_MODEL)
    log = guest.children[0].log
    begin = log.stat().st_size if log.exists() else 0
    stage.quiet()  # a worker takes long to start; what comes once it owns partitions waits for its restore
    async with guest:
        await stage.until(
            lambda: log.exists() and b"which it had before" in log.read_bytes()[begin:],
            START_SECONDS,
            "the guest takes nothing over",
        )
        await stage.landed()


async def other_layout(stage: Stage, chance: random.Random) -> None:
    """Let a worker join that cannot read the others' rows: it takes partitions over, refuses, and they come back."""
    del chance
    await stage.busy()
    stage.quiet()
    async with stage.guest(program=OTHER_LAYOUT) as guest:
        await stage.until(guest.given_up.done, START_SECONDS, "the guest does not refuse")
        await stage.landed()
        child, code = guest.given_up.result()
        assert code == UNSAFE, f"the guest ended with {code}"
        assert "expected rows of layout" in child.last_words(), child.last_words()


async def upgrade(stage: Stage, chance: random.Random) -> None:
    """Roll a group of two versions forth and back: partitions go from one to the other while both are alive."""
    assert stage.former is not None, "the class upgrade needs --former, a tree of another version with this row layout"
    first, second = chance.sample(stage.children, 2)
    with stage.of_version(first, stage.former):
        await restart(stage, first)
        with stage.of_version(second, stage.former):
            await restart(stage, second)
        await restart(stage, second)  # the first is a former version still, and is killed as one
        await stage.busy()
        stage.signal(first, signal.SIGKILL)
        await asyncio.sleep(0.5)  # what arrives now waits for the group to notice
        await stage.landed()
        stage.quiet()
        await stage.all_own()
    await restart(stage, first)


# ---- brokers


async def bounce(choose: Choice, *, is_hard: bool, stage: Stage, chance: random.Random) -> None:
    """Stop or kill brokers while the load flows, and start them again after some seconds."""
    servers = await choose(stage, chance)
    await stage.busy()
    await stage.landed()
    await (brokers.kill(servers) if is_hard else brokers.stop(servers))
    stage.quiet()
    await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
    await brokers.start(servers)


async def a_leader(stage: Stage, chance: random.Random) -> list[Server]:
    """Choose the leader of some partition of the changelog."""
    node = await brokers.leader(stage.settings, stage.settings.changelog, chance.randrange(PARTITIONS))
    return [stage.stack.broker(node)]


async def the_controller(stage: Stage, chance: random.Random) -> list[Server]:
    """Choose the active controller."""
    del chance
    return [stage.stack.broker(await asyncio.to_thread(brokers.controller, stage.stack))]


async def two(stage: Stage, chance: random.Random) -> list[Server]:
    """Choose two of three: neither writes nor metadata have a majority then."""
    return chance.sample(stage.stack.brokers, 2)


async def every(stage: Stage, chance: random.Random) -> list[Server]:
    """Choose all brokers."""
    del chance
    return list(stage.stack.brokers)


async def coordinator(stage: Stage, chance: random.Random) -> None:
    """Kill the broker that coordinates a worker's transaction, with that transaction open and about to commit."""
    victim = await frozen_in_transaction(stage, chance)
    try:
        owned = sorted(stage.owned(victim))
        node = await brokers.transaction_coordinator(stage.settings, chance.choice(owned))
        await stage.landed(owned)
        await brokers.kill([stage.stack.broker(node)])
    finally:
        stage.signal(victim, signal.SIGCONT)
    await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
    await brokers.start([stage.stack.broker(node)])


async def disk_full(stage: Stage, chance: random.Random) -> None:
    """Let a leader's disk take no more: the broker ends by itself, and comes back when there is room again."""
    (server,) = await a_leader(stage, chance)
    await stage.busy()
    await stage.landed()
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, most))
    await stage.until(lambda: not server.running, POINT_SECONDS, "the broker does not notice", MissedError)
    stage.quiet()
    await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
    await brokers.start([server])


# ---- Redis, compaction


async def redis_away(seconds: tuple[float, float], stage: Stage, chance: random.Random) -> None:
    """Let Redis answer nobody for a time between the two, connections open."""
    server = stage.redis
    await stage.busy()
    server.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.uniform(*seconds))
        await stage.landed()
    finally:
        server.signal(signal.SIGCONT)


async def redis_killed(stage: Stage, chance: random.Random) -> None:
    """Kill Redis, which loses all it had, and start it again after some seconds."""
    await stage.busy()
    await brokers.kill([stage.redis])
    await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
    await stage.landed()
    await brokers.start([stage.redis])


async def redis_flushed(stage: Stage, chance: random.Random) -> None:
    """Empty Redis while alerts arrive."""
    await stage.busy()
    await asyncio.sleep(chance.uniform(0, 0.5))
    async with redis.asyncio.Redis.from_url(stage.settings.redis_url) as database:
        await database.flushall()
    await stage.landed()


async def compaction(stage: Stage, chance: random.Random) -> None:
    """Wait until the changelog is being compacted, then SIGKILL a worker: what is left of it must restore."""
    await stage.busy()
    await stage.changelog_compacted()
    await kill(stage, chance)


def _bounces() -> Iterable[tuple[str, Class]]:
    for key, choose, title in (
        ("leader", a_leader, "a partition leader"),
        ("controller", the_controller, "the controller"),
        ("two", two, "two of three brokers"),
        ("all", every, "all brokers"),
    ):
        for manner, words, is_hard in (("clean", "clean bounce", False), ("hard", "kill -9", True)):

            async def play(stage, chance, choose=choose, is_hard=is_hard):
                await bounce(choose, is_hard=is_hard, stage=stage, chance=chance)

            yield f"{key}_{manner}", Class(f"{words} of {title}", play, is_shared=True)


POINTS: Final = {
    "changelog_written": "after the changelog was written",
    "alerts_written": "after the alerts were written",
    "offsets_sent": "after the offsets were sent",
    "before_commit": "before the commit",
    "after_commit": "after the commit",
    "restore_half": "in the middle of a restore",
}

CLASSES: Final[Mapping[str, Class]] = {
    "kill": Class("kill -9 of a worker at a random time", kill),
    **{f"kill_{point}": Class(f"kill -9 {words}", partial(kill_at, point)) for point, words in POINTS.items()},
    "burst": Class(f"{BURST_KILLS} x kill -9 within seconds, starts and restores included", burst),
    "kill_all": Class("kill -9 of all workers at once", kill_all),
    "freeze": Class("worker frozen beyond its session, then awake (zombie)", freeze),
    "freeze_in_transaction": Class("the same, frozen just before a commit", freeze_in_transaction),
    "storm": Class(f"rebalance storm: {STORM_GUESTS} workers join and leave or die", storm),
    "rolling": Class("rolling restart of the workers", rolling),
    "other_model": Class("a worker that names another model joins, and scores by the group's", other_model),
    "foreign_layout": Class("a worker of a version with another row layout joins, and refuses", other_layout),
    "upgrade": Class("workers of two versions side by side, rolled forth and back, one of the former killed", upgrade),
    **dict(_bounces()),
    "coordinator": Class("kill -9 of the coordinator of an open transaction", coordinator, is_shared=True),
    "disk_full": Class("a broker's disk full", disk_full, is_shared=True),
    "redis_away": Class("Redis away for seconds", partial(redis_away, SILENT_SECONDS), is_shared=True),
    "redis_long_away": Class("Redis away for minutes", partial(redis_away, LONG_SILENT_SECONDS), is_shared=True),
    "redis_killed": Class("kill -9 of Redis, its memory lost", redis_killed, is_shared=True),
    "redis_flushed": Class("FLUSHALL", redis_flushed, is_shared=True),
    "compaction": Class("compaction of the changelog, then kill -9", compaction),
}
"""In the order of the report."""
