"""The product with one protection taken away each: what the simulation must catch, or it would prove nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from state.flush import Flush
from state.partition import Partition
from streams import commit, projection, store
from streams.commit import Committer
from streams.lease import Lease
from streams.store import Leases
from tests.simulation.simulate import Mutation


async def not_awaited(deliveries: Iterable[Any]) -> None:
    """Commit without asking whether everything was delivered."""
    del deliveries


class NoWatermark(Partition):
    """Applies records again that its positions say are applied."""

    def _unseen(self, topic: str, records: Sequence[Any]) -> Sequence[Any]:
        del topic
        return records


class FromTheStart(Lease):
    """Reads its topics from their beginnings, as if nobody knew where the state stands: the watermark alone bears it."""

    def serve(self, generation: int) -> Mapping[str, int]:  # noqa: D102 - see Lease
        super().serve(generation)
        starts = dict.fromkeys(self.starts, 0)
        self.inbox.restart(starts)
        return starts


class Unfenced(Leases):
    """Takes partitions over without fencing their former owner."""

    async def _producer(self, partition: int) -> Any:
        producer: Any = store.AIOKafkaProducer(transactional_id=f"{self.source.group}-{partition}")
        await producer.start_unfenced()
        return producer


class FencedLate(Leases):
    """Reads the changelog first and fences the former owner at the first flush: recovery in the wrong order."""

    async def _producer(self, partition: int) -> Any:
        producer: Any = store.AIOKafkaProducer(transactional_id=f"{self.source.group}-{partition}")
        begin, is_fenced = producer.begin_transaction, False

        async def fence_and_begin() -> None:
            nonlocal is_fenced
            if not is_fenced:
                await producer.start()
                is_fenced = True
            await begin()

        producer.begin_transaction = fence_and_begin
        return producer


class AlertsApart(Committer):
    """Writes alerts in a transaction of their own, just before the rest."""

    async def _transact(self, lease: Lease, flush: Flush) -> None:
        producer = lease.producer
        await producer.begin_transaction()
        await commit._delivered(await commit._send(lease, "alerts", flush.alerts))
        await producer.commit_transaction()
        await super()._transact(lease, msgspec.structs.replace(flush, alerts=[]))


class OffsetsFirst(Committer):
    """Commits the source offsets before the state they belong to."""

    async def _transact(self, lease: Lease, flush: Flush) -> None:
        producer, group = lease.producer, self._outputs.group
        offsets = {commit.TopicPartition(topic, lease.partition): at for topic, at in flush.offsets.items()}
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction(offsets, group)
        await producer.commit_transaction()
        await super()._transact(lease, flush)


async def load_nothing(_lease: Any, _consumer: Any, _tp: Any, _bounds: Any, _failpoints: Any) -> None:
    """Take an empty first fetch for the end of the changelog, as aiokafka's race at a seek once made us do."""


def go_on(_code: int, _sentence: str) -> None:
    """Do not end the process after a failed flush."""


_apply, _applied = projection.Projection.apply, projection.Projection.applied


async def apply_and_note(self: Any, topic: str, partition: int, _first: int, to: int, entries: Any) -> tuple[int, int]:
    """Write the data, and note the offset in another place than Redis."""
    _, count = await _apply(self, topic, partition, 0, to, entries)
    self._client.elsewhere[topic, partition] = to
    return to, count


async def applied_by_note(self: Any, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], projection.Applied]:
    """Say how far Redis is by what was noted in the other place."""
    places = list(places)
    await _applied(self, places)
    return {place: projection.Applied(self._client.elsewhere.get(place, 0), 0) for place in places}


MUTATIONS = {
    "deliveries are not awaited": Mutation(names={"streams.commit._delivered": not_awaited}),
    "no watermark": Mutation(fold=NoWatermark, lease=FromTheStart),
    "no fencing": Mutation(leases=Unfenced),
    "fencing after the restore": Mutation(leases=FencedLate),
    "alerts outside the transaction": Mutation(committer=AlertsApart),
    "offsets before the state": Mutation(committer=OffsetsFirst),
    "a restore that reads nothing": Mutation(names={"streams.recovery._load": load_nothing}),
    "a failed flush is passed over": Mutation(names={"streams.commit.halt": go_on}),
    "the projector's offset apart from its data": Mutation(
        names={
            "streams.projection.Projection.apply": apply_and_note,
            "streams.projection.Projection.applied": applied_by_note,
        }
    ),
}
