"""Runs the app under Faust's own worker: checks first, one sentence when it cannot start, SIGTERM ends it cleanly.

A worker has one or both of two roles: scoring is the Faust app, projecting is a service beside it, or all there is.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable

from aiokafka.errors import TopicAuthorizationFailedError
from faust import Worker
from mode import Service

from state.layout import INPUT_TOPICS
from streams import logs, topics
from streams.access import kafka_refusal
from streams.affinity import stay_on
from streams.app import build
from streams.halt import FAILED, Refusal
from streams.observer import Observer
from streams.ports import Fold
from streams.projector import project_forever
from streams.reading import committed
from streams.settings import Settings
from streams.watchdog import LIMIT_SECONDS

OUTPUT_TOPICS = ("scores", "alerts", "dead-letters", "journal")


async def require_topics(settings: Settings) -> None:
    """Check that the broker answers and every topic is there with the right number of partitions.

    Raises
    ------
    Refusal
        With one sentence that says what to do.
    """
    names = [settings.topic(name) for name in (*INPUT_TOPICS, *OUTPUT_TOPICS)] + [settings.changelog]
    try:
        async with topics.admin(settings) as client:
            described = await client.describe_topics(names)
    except topics.KafkaUnreachableError as error:
        raise Refusal(str(error)) from error
    hidden = [topic["topic"] for topic in described if topic["error_code"] == TopicAuthorizationFailedError.errno]
    if hidden:
        raise Refusal(str(kafka_refusal(TopicAuthorizationFailedError(", ".join(sorted(hidden))))))
    missing = sorted(topic["topic"] for topic in described if topic["error_code"])
    if missing:
        raise Refusal(f"topics {', '.join(missing)}: expected to exist, found none; run `bellwether topics create`")
    for topic in described:
        count = len(topic["partitions"])
        if count != settings.partitions:
            raise Refusal(
                f"topic {topic['topic']}: expected {settings.partitions} partitions, got {count};"
                " set BELLWETHER_PARTITIONS to what the topics have"
            )
    # Without permission for its group Faust's consumer would wait for ever and say nothing.
    await committed(settings, settings.app_id)


class ProjectorService(Service):
    """The projector as a service of Faust's worker.

    Parameters
    ----------
    settings
        Of this process.
    observer
        Told what happens; nobody when None.
    """

    def __init__(self, settings: Settings, observer: Observer | None) -> None:
        super().__init__()
        self._settings = settings
        self._observer = observer

    async def on_start(self) -> None:
        """Project until the service is stopped."""
        self.add_future(project_forever(self._settings, self._observer))


def run(
    settings: Settings,
    new_fold: Callable[[int], Fold] | None,
    observer: Observer | None = None,
    *,
    is_projecting: bool = False,
    watchdog_seconds: float = LIMIT_SECONDS,
    cpu: int | None = None,
) -> int:
    """Work until told to stop; return the exit code.

    Parameters
    ----------
    settings
        Of this process.
    new_fold
        Partition number → empty state; None when this process does not score.
    observer
        Told what happens; nobody when None.
    is_projecting
        Whether to copy scores and alerts into Redis.
    watchdog_seconds
        How long work, or the event loop itself, may stand still before the process ends itself, > 0.
    cpu
        Where the threads that fetch and apply stay (`streams.affinity`); None = anywhere.
    """
    assert new_fold is not None or is_projecting
    try:
        asyncio.run(require_topics(settings))
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    _use_uvloop()
    _collect_seldom()
    if new_fold is None:
        return _project(settings, observer)
    app = build(settings, new_fold, observer, watchdog_seconds=watchdog_seconds)
    beside = [ProjectorService(settings, observer)] if is_projecting else []
    loop = asyncio.new_event_loop()
    if cpu is not None:
        try:
            stay_on(cpu, loop)
        except Refusal as refusal:
            print(refusal, file=sys.stderr)
            return refusal.code
    level, lines = settings.log_level, logs.configuration(settings)
    worker = Worker(app, *beside, loglevel=level, logging_config=lines, quiet=True, redirect_stdouts=False, loop=loop)
    worker.spinner = None  # it draws on a terminal; our lines go to a log
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return 0 if end.code in (0, None) else FAILED
    return 0


def _project(settings: Settings, observer: Observer | None) -> int:
    """Project until SIGTERM or Ctrl-C."""
    logs.configure(settings)

    async def project() -> None:
        task = asyncio.create_task(project_forever(settings, observer))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(project())
    return 0


def _collect_seldom() -> None:
    """Let Python's cycle collector run seldom.

    Records come and go by the hundred thousand and form no cycles; at its default pace the collector looks through
    them again and again, half of the cost of an event here. At 200 000 more objects it still held the loop for 0.1 s, twice
    in the ten seconds of a backlog. Whatever was imported is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 50)


def _use_uvloop() -> None:
    """Make every event loop of this process uvloop's, Faust's consumer thread included."""
    if sys.platform == "win32":
        return
    import uvloop  # noqa: PLC0415 - not available everywhere

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
