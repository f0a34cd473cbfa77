"""An application's state and unread records into another set of topics with another number of partitions.

The old topics are only read. In this order, so that whatever stops it, beginning anew ends in the same:

1. Nobody works on the old application: no member in its groups, and former owners are fenced.
2. `scores`, `score-history`, `alerts`, the published models and the notifier's memory are carried over (`streams.carrying`).
3. Every old partition is restored as its worker would, and its rows are written into the new changelogs, in as many
   transactions as it takes. The last one makes them count: it holds what a changelog has beside rows, the old state's
   positions as how far the inputs were carried, and where the notifier's desk goes on.
4. Input records that the state had not read are carried over. This part is done again, and only this, by a second run: for
   what producers wrote to the old topics until they were pointed at the new ones.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from scoring.compile import Compiled
from state.changelog import StateMismatchError
from state.flush import Message
from state.layout import INPUT_TOPICS
from state.partition import Partition
from state.readmodel import TOPICS as PROJECTED_TOPICS
from state.resettling import Resettling
from streams import standing, topics
from streams.access import kafka
from streams.carrying import Carrier, group_of
from streams.failpoints import Failpoints
from streams.halt import UNSAFE, Refusal
from streams.lease import Lease
from streams.observer import Observer
from streams.outbox import Outbox
from streams.projection import Projection, RedisDownError
from streams.reading import committed
from streams.recovery import Source, check_positions, restore
from streams.scorer import new_partition
from streams.settings import Settings

OUTPUTS: Final = ("scores", "score-history", "alerts")
DESK: Final = "desk"
MODELS: Final = "models"
OWN_INPUTS: Final = frozenset(("ticks", "cohorts", MODELS))
"""Input topics whose records speak of the partition they stand in; models stand in every one."""
CARRIED_INPUTS: Final = tuple(topic for topic in INPUT_TOPICS if topic not in OWN_INPUTS)
ROWS_AT_ONCE: Final = 50_000
"""Accounts in one transaction."""


@dataclass
class Outcome:
    """What was done, or would be.

    Attributes
    ----------
    accounts
        By new partition; empty where the state had been moved before.
    carried
        Records by topic.
    is_moved
        Whether the state had been moved by an earlier run.
    """

    accounts: list[int] = field(default_factory=list)
    carried: Counter[str] = field(default_factory=Counter)
    is_moved: bool = False


def new_settings(old: Settings, partitions: int, prefix: str, app_id: str | None) -> Settings:
    """Return the settings of the application that is to be made.

    Raises
    ------
    SettingsError
        They would not be accepted as settings.
    """
    changed = {"PARTITIONS": str(partitions), "TOPIC_PREFIX": prefix, "APP_ID": app_id or old.app_id}
    return Settings.from_environ(old.environ() | {f"BELLWETHER_{name}": value for name, value in changed.items()})


async def preview(old: Settings, new: Settings) -> Outcome:
    """Return what `move` would do, nothing written: offsets counted, and as many changelog records as there are offsets."""
    await _require_still(old)
    is_moved = await _is_moved(old, new)
    outcome = Outcome(is_moved=is_moved)
    done = await committed(old, group_of(new))
    read = await committed(old, old.app_id)
    names = {old.topic(topic): topic for topic in (*CARRIED_INPUTS, *OUTPUTS)} | {old.changelog: topics.CHANGELOG}
    ends = await standing.ends_of(old, names)
    for tp, end in ends.items():
        topic = names[tp.topic]
        begins = done if tp in done else read
        outcome.carried[topic] += end - (begins[tp].offset if tp in begins else 0)
    return outcome


async def move(old: Settings, new: Settings, compiled: Compiled, tell: Callable[[str], None]) -> Outcome:
    """Do it, or what is left of it.

    Parameters
    ----------
    old, new
        The application as it is, and as it is to be; their topics differ.
    compiled
        The model that scored.
    tell
        Called with a line for people now and then.

    Raises
    ------
    Refusal
        Somebody works on either application, the old state cannot be trusted, or Kafka or Redis does not answer.
    """
    await _require_still(old)
    await topics.create(new)
    for name in (new.topic("alerts"), new.changelog):
        if (count := len(await topics.partitions(new, name))) != new.partitions:
            raise Refusal(
                f"{name}: expected {new.partitions} partitions, got {count} — choose another --prefix", UNSAFE
            )
    outcome = Outcome()
    # Opened first: that waits until an earlier run's transaction has ended in full, and fences one that still runs.
    async with Outbox(new, transactional_id=group_of(new)) as outbox:
        carrier = Carrier(old, new, outbox, lambda topic, count: tell(f"{topic}: {count:,} records carried"))
        outcome.is_moved = await _is_moved(old, new)
        if outcome.is_moved:
            await _require_unchanged(old, new)
        else:
            await _require_unused(new)
            await _require_decided(old)
            for topic in OUTPUTS:
                outcome.carried[topic] = await carrier.carry(topic)
            outcome.carried[DESK] = await carrier.carry(DESK, only=0, to=[0])
        # Every partition has all of the models, so one is read and each gets them.
        outcome.carried[MODELS] = await carrier.carry(MODELS, only=0, to=range(new.partitions))
        read = None if outcome.is_moved else await _move_state(old, new, compiled, outbox, outcome, tell)
        for topic in CARRIED_INPUTS:
            outcome.carried[topic] = await carrier.carry(topic, read)
    return outcome


async def _move_state(
    old: Settings, new: Settings, compiled: Compiled, outbox: Outbox, outcome: Outcome, tell: Callable[[str], None]
) -> Mapping[TopicPartition, int]:
    """Write the new changelogs; return up to where the moved state has read the old inputs."""
    resettling = Resettling(new.partitions)
    source = _source(old)
    read: dict[TopicPartition, int] = {}
    since = 0
    for number in range(old.partitions):
        lease = await _restored(old, source, compiled, number)
        before = sum(resettling.accounts)
        for messages in _taken(resettling, lease):
            for key, value, _, _, partition in messages:
                await outbox.add(new.changelog, key, value, None, partition=partition)
            if sum(resettling.accounts) - since >= ROWS_AT_ONCE:
                since = sum(resettling.accounts)
                await outbox.commit({}, group_of(new))
                await outbox.begin()
        for topic in (*CARRIED_INPUTS, MODELS):
            read[TopicPartition(old.topic(topic), number)] = lease.fold.positions.get(topic, lease.starts[topic])
        moved = sum(resettling.accounts)
        tell(f"partition {number}: {moved - before:,} accounts moved, {number + 1} of {old.partitions} partitions done")
    await outbox.flush()
    await _require_last_model(old, {tp: read.pop(tp) for tp in list(read) if tp.topic == old.topic(MODELS)})
    await _fence(new, range(new.partitions))
    await _require_unused(new)
    await _empty_redis(old, new)
    models = await _written(new, MODELS)
    positions = [{MODELS: models[TopicPartition(new.topic(MODELS), number)]} for number in range(new.partitions)]
    for key, value, _, _, partition in resettling.rest(positions):
        await outbox.add(new.changelog, key, value, None, partition=partition)
    places = {tp: OffsetAndMetadata(to, "") for tp, to in read.items()}
    await outbox.commit(places, group_of(new), others={_desk_group(new): await _desk_positions(old, new)})
    await outbox.begin()
    outcome.accounts = resettling.accounts
    return read


def _taken(resettling: Resettling, lease: Lease) -> Iterator[list[Message]]:
    assert isinstance(lease.fold, Partition)
    try:
        yield from resettling.take(lease.fold)
    except StateMismatchError as error:
        raise Refusal(str(error), UNSAFE) from error


async def _restored(old: Settings, source: Source, compiled: Compiled, number: int) -> Lease:
    """Return a partition of the old application, taken over, restored and checked as a worker does it."""
    async with AIOKafkaProducer(**source.client, transactional_id=f"{old.app_id}-{number}") as producer:
        lease = Lease(number, new_partition(number, old, compiled), producer, tuple(source.inputs))
        await restore(lease, source, Observer(), Failpoints({}))
        await check_positions([lease], source)
        return lease


async def _require_last_model(old: Settings, positions: Mapping[TopicPartition, int]) -> None:
    """Refuse where a partition has not come to the newest model: the new ones begin after it."""
    for tp in await standing.unread(old, positions):
        raise Refusal(
            f"{tp.topic}[{tp.partition}]: expected every published model to be in use, one is not yet — start the workers,"
            " wait until all partitions have come to it, stop them",
            UNSAFE,
        )


def _source(settings: Settings) -> Source:
    inputs = {topic: settings.topic(topic) for topic in INPUT_TOPICS}
    return Source(kafka(settings), settings.app_id, settings.changelog, inputs)


async def _fence(settings: Settings, numbers: range) -> None:
    for number in numbers:
        async with AIOKafkaProducer(**kafka(settings), transactional_id=f"{settings.app_id}-{number}"):
            pass


async def _is_moved(old: Settings, new: Settings) -> bool:
    return any(tp.topic == old.topic("usage") for tp in await committed(old, group_of(new)))


async def _require_still(old: Settings) -> None:
    """Refuse while somebody works on the old application."""
    count = len(await topics.partitions(old, old.changelog))
    if count != old.partitions:
        raise Refusal(
            f"{old.changelog}: expected {old.partitions} partitions, got {count} — set BELLWETHER_PARTITIONS to what it has"
        )
    kinds = {old.app_id: "workers", f"{old.app_id}-projector": "projectors", f"{old.app_id}-desk": "notifiers"}
    for group, kind in kinds.items():
        if found := await standing.members(old, group):
            raise Refusal(
                f"group {group}: expected no {kind}, found {found} — stop them all, then try again (one that was killed"
                " leaves after 10 s)",
                UNSAFE,
            )


async def _require_unused(new: Settings) -> None:
    """Refuse where somebody works on the new application, or ever did."""
    found = await standing.members(new, new.app_id)
    names = {new.topic(topic) for topic in INPUT_TOPICS}
    if found or any(tp.topic in names for tp in await committed(new, new.app_id)):
        raise Refusal(
            f"application {new.app_id} with prefix {new.topic_prefix!r}: expected nobody to have worked on it,"
            f" found {f'{found} workers' if found else 'committed offsets'} — choose another --prefix",
            UNSAFE,
        )


async def _require_unchanged(old: Settings, new: Settings) -> None:
    """Refuse where the old application went on after its state was moved: both have lived on, each its own way."""
    done = await committed(old, group_of(new))
    read = await committed(old, old.app_id)
    gone = [tp for tp, kept in done.items() if tp in read and read[tp].offset > kept.offset]
    if gone:
        raise Refusal(
            f"{gone[0].topic}[{gone[0].partition}]: the old workers read on after the state was moved"
            f" (to {read[gone[0]].offset}, moved at {done[gone[0]].offset}) — move it anew with another --prefix",
            UNSAFE,
        )


async def _require_decided(old: Settings) -> None:
    """Refuse where a notifier is used and has not come to the end of `alerts`: nobody would tell of those."""
    kept = await committed(old, _desk_group(old))
    positions = {tp: place.offset for tp, place in kept.items() if tp.topic == old.topic("alerts")}
    if left := await standing.unread(old, positions):
        where = ", ".join(str(tp.partition) for tp in sorted(left, key=lambda tp: tp.partition))
        raise Refusal(
            f"{old.topic('alerts')}: the notifier has not decided on all of partitions {where} — start it, wait until"
            " bellwether_delivery_lag_records is 0, stop it",
            UNSAFE,
        )


async def _desk_positions(old: Settings, new: Settings) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Return where a desk goes on: behind the alerts that were carried, which it has told of; nothing where none ran."""
    if not any(tp.topic == old.topic("alerts") for tp in await committed(old, _desk_group(old))):
        return {}
    ends = await _written(new, "alerts")
    return {tp: OffsetAndMetadata(end, "") for tp, end in ends.items()}


async def _written(new: Settings, topic: str) -> Mapping[TopicPartition, int]:
    """Return where a topic ends, whether or not what this run has committed may be read already."""
    return await standing.ends_of(new, [new.topic(topic)], "read_uncommitted")


def _desk_group(settings: Settings) -> str:
    return f"{settings.app_id}-desk-log"


async def _empty_redis(old: Settings, new: Settings) -> None:
    """Remove the read model of the old topics: by offsets alone, a projector of the new ones would take it for its own."""
    try:
        async with Projection(new) as projection:
            for topic in PROJECTED_TOPICS:
                for number in range(max(old.partitions, new.partitions)):
                    await projection.clear(topic, number)
    except RedisDownError as error:
        raise Refusal(f"redis {new.redis_address}: {error} — start it, then run this again; it goes on") from error
