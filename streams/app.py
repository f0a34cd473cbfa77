"""The Faust app: wires transport, table, agents, commits, ticks and watchdog together. Nothing happens at import."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import faust

from state.layout import INPUT_TOPICS
from streams import access, agents
from streams.cohorts import References
from streams.commit import Committer, Outputs
from streams.failpoints import Failpoints
from streams.observer import Observer
from streams.ports import Fold
from streams.recovery import Source, count_members
from streams.settings import Settings
from streams.store import Leases, LeaseTable, halting
from streams.ticker import Ticker
from streams.transport import ChunkTransport
from streams.watchdog import LIMIT_SECONDS, Pulse, Watchdog

SESSION_SECONDS = 10.0
"""How long a killed worker's partitions stay unread."""

HEARTBEAT_SECONDS = 3.0
"""How often a worker tells that it lives, and asks whether the group is to be shared out anew."""

NAMED_SESSION_SECONDS = 28.0
"""The same for a worker with a name: Kafka waits for it, and the others keep what they have. Below the request timeout, as
Faust demands."""

YEAR_SECONDS = 366 * 86_400.0

CHUNK_BYTES = 2 << 20
"""Fetched of a topic's partition at once, at most: about 10 000 events of 200 bytes. With four times as many fetches, of
a quarter of this, a backlog was read a seventh slower."""
FETCHED_BYTES = 64 << 20
"""Fetched of a topic's partitions together, at most: two chunks of each are held."""


class BellwetherApp(faust.App):
    """A Faust app that delivers chunks, restores by partition and commits by transaction.

    ``leases`` and ``input_topics`` (name in Kafka → input topic) are set by :func:`build`.
    """

    leases: Leases
    input_topics: Mapping[str, str]
    ticker: Ticker
    references: References
    watchdog: Watchdog
    pulse: Pulse

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def is_full(self, tp: Any) -> bool:
        """Return whether fetching this topic's partition should pause."""
        topic = self.input_topics.get(tp.topic)
        return topic is not None and self.leases.is_full(topic, tp.partition)

    def begin_serving(self, generation: int) -> dict[tuple[str, int], int]:
        """Serve what is restored; return (name in Kafka, partition) → offset at which reading begins."""
        names = self.leases.source.inputs
        starts = self.leases.begin_serving(generation)
        return {(names[topic], partition): offset for (topic, partition), offset in starts.items()}

    async def log_ends(self) -> dict[tuple[str, int], int]:
        """Return (topic, partition) → end offset of the input logs of owned partitions."""
        tps = [tp for tp in self.consumer.assignment() if tp.topic in self.input_topics] if len(self.leases) else []
        ends = await self.consumer.highwaters(*tps) if tps else {}
        return {(self.input_topics[tp.topic], tp.partition): end for tp, end in ends.items()}

    async def on_start(self) -> None:
        """Start ticks, cohort references and watchdog beside Faust's own services."""
        await super().on_start()
        self.add_future(halting(self.ticker.tick_forever()))
        self.add_future(halting(self.references.write_forever()))
        self.add_future(halting(self.watchdog.watch_forever()))
        self.add_future(halting(self.pulse.beat_forever()))

    async def on_stop(self) -> None:
        """Commit what is applied, then let Faust leave the group."""
        await self.leases.release()
        await super().on_stop()
        await self.leases.close()


def build(
    settings: Settings,
    new_fold: Callable[[int], Fold],
    observer: Observer | None = None,
    *,
    watchdog_seconds: float = LIMIT_SECONDS,
) -> BellwetherApp:
    """Make the app of one worker.

    Parameters
    ----------
    settings
        Of this process.
    new_fold
        Partition number → empty state.
    observer
        Told what happens; nobody when None.
    watchdog_seconds
        How long work may wait without any movement before the process ends itself, > 0.
    """
    observer = observer or Observer()
    failpoints = Failpoints()
    app = BellwetherApp(settings.app_id, **_faust_settings(settings))
    inputs = {topic: settings.topic(topic) for topic in INPUT_TOPICS}
    source = Source(access.kafka(settings), settings.app_id, settings.changelog, inputs)
    committer = Committer(
        _outputs(settings),
        settings.commit_min_ms,
        settings.commit_max_ms,
        settings.poison_limit,
        observer,
        failpoints,
    )
    leases = Leases(source, new_fold, committer, observer, failpoints)
    app.leases = leases
    observer.attached(leases)
    app.input_topics = {name: topic for topic, name in inputs.items()}
    app.ticker = Ticker(
        leases, source.client, inputs["ticks"], settings.clock, settings.tick_seconds, app.log_ends, observer
    )

    app.references = References(leases, source, settings.partitions)

    async def is_owed() -> bool:
        return await count_members(source) <= settings.partitions

    app.watchdog = Watchdog(leases, app.log_ends, is_owed, observer, watchdog_seconds)
    app.pulse = Pulse(watchdog_seconds)
    changelog = app.topic(settings.changelog, partitions=settings.partitions, key_type=bytes, value_type=bytes)
    table = app.Table(
        "accounts", partitions=settings.partitions, key_type=bytes, value_type=bytes, changelog_topic=changelog
    )
    table.leases = leases
    agents.attach(app, settings.partitions)

    async def release(*_args: object, **_kwargs: object) -> None:
        await halting(leases.release())

    app.on_partitions_revoked.connect(release)
    return app


def _outputs(settings: Settings) -> Outputs:
    return Outputs(
        group=settings.app_id,
        inputs={topic: settings.topic(topic) for topic in INPUT_TOPICS},
        changelog=settings.changelog,
        scores=settings.topic("scores"),
        history=settings.topic("score-history"),
        alerts=settings.topic("alerts"),
        dead_letters=settings.topic("dead-letters"),
        rerouted=settings.topic("rerouted"),
        journal=settings.topic("journal"),
        cohorts=settings.topic("cohorts"),
    )


def _faust_settings(settings: Settings) -> dict[str, Any]:
    """Return Faust's settings; each line that differs from its default has its reason in ARCHITECTURE.md."""
    servers = settings.kafka.split(",")
    return {
        "broker": ";".join(f"kafka://{server}" for server in servers),
        "broker_credentials": access.faust_credentials(settings),
        "Table": LeaseTable,
        "store": "memory://",
        "datadir": Path(gettempdir()) / f"bellwether-{settings.app_id}",
        "autodiscover": False,
        "web_enabled": False,
        "topic_partitions": settings.partitions,
        "topic_allow_declare": False,  # topics are made by `bellwether topics create`, with their settings
        "topic_disable_leader": True,
        "table_standby_replicas": 0,  # standbys read changelogs record by record beside the live work
        "stream_wait_empty": False,  # what is not applied is read again; waiting has hung before
        "stream_buffer_maxsize": 64,  # counts chunks; back-pressure is the inbox's, per topic and partition
        "stream_recovery_delay": 0.0,
        # Faust misses its own reading of the changelog, which we do, and would say so every few seconds from the fifth
        # minute on. Whether anything stands still is the watchdog's affair.
        "stream_processing_timeout": YEAR_SECONDS,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": min(CHUNK_BYTES, FETCHED_BYTES // (2 * settings.partitions)),
        # A leader that joins while a restarted broker still loads its topics assigns nothing to anybody, and only sees
        # its mistake at the next refresh: by default after five minutes.
        "consumer_metadata_max_age_ms": 10_000,
        "broker_session_timeout": NAMED_SESSION_SECONDS if settings.instance_id else SESSION_SECONDS,
        "consumer_group_instance_id": settings.instance_id or None,
        "broker_heartbeat_interval": HEARTBEAT_SECONDS,
        "broker_request_timeout": 30.0,
        "broker_rebalance_timeout": 30.0,
        "broker_max_poll_interval": 3600.0,  # a long restore fetches nothing from the inputs meanwhile
        "worker_redirect_stdouts": False,
    }
