"""What couriers tell whoever measures them, and the metrics it becomes."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from streams import metrics as m
from streams.notify.desk import FATES
from streams.notify.sending import Verdict


class DeliveryObserver:
    """Receives what happens to deliveries; each method does nothing until a subclass counts."""

    def read(self, target: str, *, is_wanted: bool) -> None:
        """Take note that a target came to an alert, and whether it is one it wants."""

    def tried(self, target: str, verdict: Verdict, seconds: float) -> None:
        """Take note of one try and how long it took."""

    def gave_up(self, target: str) -> None:
        """Take note that a delivery became a dead letter."""

    def decided(self, fate: str) -> None:
        """Take note of what the desk decided of an alert, and committed."""

    def stands(self, target: str, waiting: int, behind: int, *, is_up: bool) -> None:
        """Take note of how many deliveries are owed, how many records are not read yet, and whether the place is there."""


class DeliveryMeasuring(DeliveryObserver):
    """Counts deliveries.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    targets
        Names of the targets.
    """

    is_ready = True
    """A notifier answers for nobody else's state: it is ready once it runs."""

    def __init__(self, registry: CollectorRegistry, targets: Iterable[str]) -> None:
        self._metrics = m.Metrics(registry, m.NOTIFIER_METRICS)
        names = [{"target": name} for name in targets]
        verdicts = [{"target": each["target"], "result": verdict.value} for each in names for verdict in Verdict]
        self._metrics.prepare(m.TRIES, verdicts)
        self._metrics.prepare(m.NOTICES, ({"fate": fate} for fate in FATES))
        for metric in (m.LEFT_OUT, m.UNDELIVERED, m.OWED, m.DELIVERY_LAG, m.TARGET_UP):
            self._metrics.prepare(metric, names)

    def read(self, target: str, *, is_wanted: bool) -> None:  # noqa: D102 - see DeliveryObserver
        if not is_wanted:
            self._metrics.add(m.LEFT_OUT, target=target)

    def tried(self, target: str, verdict: Verdict, seconds: float) -> None:  # noqa: D102
        self._metrics.add(m.TRIES, target=target, result=verdict.value)
        self._metrics.observe(m.TRY, seconds)

    def gave_up(self, target: str) -> None:  # noqa: D102
        self._metrics.add(m.UNDELIVERED, target=target)

    def decided(self, fate: str) -> None:  # noqa: D102
        self._metrics.add(m.NOTICES, fate=fate)

    def stands(self, target: str, waiting: int, behind: int, *, is_up: bool) -> None:  # noqa: D102
        self._metrics.set(m.OWED, waiting, target=target)
        self._metrics.set(m.DELIVERY_LAG, behind, target=target)
        self._metrics.set(m.TARGET_UP, int(is_up), target=target)
