"""The notifier's process: one courier per target, until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from streams import logs
from streams.exposition import serve
from streams.notify.courier import deliver_forever
from streams.notify.dispatch import ALERTS, DESK, NOTICES, dispatch_forever
from streams.notify.load import Load
from streams.notify.observer import DeliveryMeasuring, DeliveryObserver
from streams.notify.reading import Delivery
from streams.notify.targets import Target
from streams.settings import Settings
from streams.topics import partitions

logger = logging.getLogger(__name__)


async def notify(
    settings: Settings,
    targets: Sequence[Target],
    observer: DeliveryObserver,
    enabled: frozenset[str] = frozenset(),
    load: Load | None = None,
) -> None:
    """Deliver to every target until cancelled.

    Parameters
    ----------
    settings
        Of this process.
    targets
        Where to deliver.
    observer
        Told what happens.
    enabled
        Names of targets that are tried again although they said they are gone.
    load
        What is bearable; None delivers everything at once.

    Raises
    ------
    Refusal
        No broker answers, or the topics do not exist.
    """
    for topic in ("alerts", "dead-letters", *(() if load is None else (NOTICES, DESK))):
        await partitions(settings, settings.topic(topic))
    logger.info("delivering to %s", ", ".join(target.name for target in targets))
    source = ALERTS if load is None else NOTICES
    async with asyncio.TaskGroup() as group:
        if load is not None:
            group.create_task(dispatch_forever(settings, load, observer))
        for target in targets:
            is_enabling = target.name in enabled
            group.create_task(deliver_forever(settings, target, observer, source, is_enabling=is_enabling))


def run(settings: Settings, delivery: Delivery, enabled: frozenset[str]) -> int:
    """Deliver until told to stop; return the exit code."""
    logs.configure(settings)
    if settings.log_level != "DEBUG":
        logging.getLogger("aiokafka").setLevel(logging.ERROR)
    observer = DeliveryObserver()
    if settings.metrics_port:
        registry = CollectorRegistry()
        observer = DeliveryMeasuring(registry, [target.name for target in delivery.targets])
        serve(settings.metrics_port, registry, observer)

    async def until_told() -> None:
        task = asyncio.create_task(notify(settings, delivery.targets, observer, enabled, delivery.load))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_told())
    return 0
