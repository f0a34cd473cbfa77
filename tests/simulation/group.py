"""A consumer group's coordinator: members, generations, and members it takes for dead that are not."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import Network

SESSION_SECONDS = 1.5
"""A member not heard of for so long is dropped; shorter than in production, to need less virtual time."""

HEARTBEAT_SECONDS = 0.3
REBALANCE_SECONDS = 4.0
"""How long a rebalance waits for members to join again."""


class Group:
    """Shares partitions out among its members.

    Parameters
    ----------
    loop, network
        Of the simulation.
    partitions
        How many there are.
    chance
        Decides who gets what.
    """

    def __init__(self, loop: Any, network: Network, partitions: int, chance: random.Random) -> None:
        self._loop = loop
        self.network = network
        self.partitions = partitions
        self._chance = chance
        self.generation = 0
        self.unreachable: set[Process] = set()
        self._heard: dict[Member, float] = {}
        self._joining: dict[Member, asyncio.Future[Any]] = {}
        self._is_rebalancing = False
        self._deadline = 0.0
        loop.later(HEARTBEAT_SECONDS, self._look)

    def member(self) -> "Member":
        """Return a member-to-be of the process that runs."""
        return Member(self)

    def rebalance(self) -> None:
        """Have everybody join again."""
        if not self._is_rebalancing:
            self._is_rebalancing = True
            self._deadline = self._loop.time() + REBALANCE_SECONDS
        self._maybe_assign()

    def join(self, member: "Member", answered: Any) -> None:
        """Take a member in; it is answered when all others have joined too."""
        self._heard[member] = self._loop.time()
        self._joining[member] = answered
        self.rebalance()

    def leave(self, member: "Member") -> None:
        """Let a member go."""
        self._heard.pop(member, None)
        self._joining.pop(member, None)
        self.rebalance()

    def heartbeat(self, member: "Member", generation: int) -> bool:
        """Return whether the member's assignment still stands."""
        if member not in self._heard:
            return False
        self._heard[member] = self._loop.time()
        return generation == self.generation and not self._is_rebalancing

    def _look(self) -> None:
        """Drop whoever was not heard of, end rebalances that take too long."""
        now = self._loop.time()
        silent = [
            member
            for member, heard in self._heard.items()
            if now - heard > SESSION_SECONDS and (member not in self._joining or not member.process.is_alive)
        ]
        for member in silent:
            del self._heard[member]
            self._joining.pop(member, None)
        if silent:
            self.rebalance()
        if self._is_rebalancing and now > self._deadline:
            self._heard = dict.fromkeys(self._joining, now)
        self._maybe_assign()
        self._loop.later(HEARTBEAT_SECONDS, self._look)

    def _maybe_assign(self) -> None:
        if not self._is_rebalancing or not self._joining or set(self._heard) != set(self._joining):
            return
        self._is_rebalancing = False
        self.generation += 1 if self._chance.random() < 0.9 else 2  # an assignment that reached nobody counts too
        members = list(self._joining)
        if self._chance.random() < 0.5:
            self._chance.shuffle(members)
        shares: dict[Member, list[int]] = {member: [] for member in members}
        for partition in range(self.partitions):
            shares[members[partition % len(members)]].append(partition)
        answers, self._joining = self._joining, {}
        for member, answered in answers.items():
            self._heard[member] = self._loop.time()
            if not answered.done():
                answered.set_result((self.generation, frozenset(shares[member])))


class Member:
    """One process's side of it."""

    def __init__(self, group: Group) -> None:
        self._group = group
        process = PROCESS.get()
        assert process is not None
        self.process = process

    async def join(self) -> tuple[int, frozenset[int]]:
        """Join, again or for the first time; return the generation and the partitions."""
        answered = asyncio.get_running_loop().create_future()
        await self._call(lambda: self._group.join(self, answered))
        answer = await answered
        self._group.network.crash_point()
        return answer

    async def leave(self) -> None:
        """Leave in order."""
        await self._call(lambda: self._group.leave(self))

    async def until_rebalance(self, generation: int) -> None:
        """Send heartbeats until one is answered with: join again."""
        while await self._call(lambda: self._group.heartbeat(self, generation)):
            await self._group.network.pause(HEARTBEAT_SECONDS)

    async def _call(self, serve: Callable[[], Any]) -> Any:
        """Reach the coordinator, as soon as it can be reached."""
        while self.process in self._group.unreachable:
            await self._group.network.pause(HEARTBEAT_SECONDS)
        return await self._group.network.call(serve)
