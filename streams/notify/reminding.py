"""What of a target's alerts stands: for receivers that keep it in memory only and forget what they do not hear of. Pure."""

from collections.abc import Collection, Iterator
from typing import Any, Final

from aiokafka import TopicPartition

TOGETHER: Final = 200
"""Alerts in one request."""


class Standing:
    """The newest state of every alert that is not resolved.

    Parameters
    ----------
    every_ms
        How often all of them are due, milliseconds.
    """

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._alerts: dict[TopicPartition, dict[str, dict[str, Any]]] = {}
        self._told_ms = 0

    def __len__(self) -> int:
        """Return how many stand."""
        return sum(len(alerts) for alerts in self._alerts.values())

    def note(self, tp: TopicPartition, alert: dict[str, Any]) -> None:
        """Take a state of an alert that the target is to hear of."""
        alerts = self._alerts.setdefault(tp, {})
        if alert["state"] == "resolved":
            alerts.pop(alert["alert_id"], None)
        else:
            alerts[alert["alert_id"]] = alert

    def forget(self) -> None:
        """Forget everything: another process may have it now. What is found to stand then is due at once."""
        self._alerts.clear()
        self._told_ms = 0

    def due(self, now_ms: int, owed: Collection[str]) -> Iterator[list[dict[str, Any]]]:
        """Yield what is to be told again now, in requests; what is still `owed` to the target is left to its delivery."""
        if now_ms < self._told_ms + self._every_ms:
            return
        self._told_ms = now_ms
        found = [a for alerts in self._alerts.values() for identity, a in alerts.items() if identity not in owed]
        for start in range(0, len(found), TOGETHER):
            yield found[start : start + TOGETHER]
