"""The newest report as metrics."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry

from streams import metrics as m
from streams.exposition import serve
from streams.settings import Settings


class Exporting:
    """Sets the gauges of `drift --follow`; ready with the first report.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.is_ready = False
        self._metrics = m.Metrics(registry, m.FEEDBACK_METRICS)
        for metric in m.FEEDBACK_METRICS:
            if not metric.labels:
                self._set(metric, None)

    def show(self, report: Mapping[str, Any]) -> None:
        """Set every gauge that the report has a number for, and drop the others."""
        for metric in m.FEEDBACK_METRICS:
            if metric.labels:
                self._metrics.forget(metric)
        self._show_promises(report)
        for group in ("scores", "inputs"):
            for name, moved in report[group].items():
                self._set(m.STABILITY, moved["psi"], group=group, name=name)
        for days, share in report["red_to_green"].items():
            self._set(m.GREENED, _ratio(share), days=days)
        for each in report["playbooks"]:
            self._set(m.RECOVERED, _ratio(each["recovered"]), playbook=each["playbook"])
        for reason, is_needed in report["needs_refresh"].items():
            self._set(m.REFRESH, is_needed, reason=reason)
        silence = report["silence"] or {"silent": None, "heard_from": None}
        self._set(m.SILENT, silence["silent"])
        since = silence["heard_from"]
        self._set(m.HEARD_FROM, datetime.fromisoformat(since).timestamp() if since else None)
        self._set(m.NEWEST_CLOSE, datetime.fromisoformat(report["to"]).timestamp() or None)  # 1970: there is none yet
        self.is_ready = True

    def _show_promises(self, report: Mapping[str, Any]) -> None:
        for band, kept in report["bands"].items():
            self._set(m.SAID, kept["said"], band=band)
            self._set(m.CAME, kept["came"], band=band)
            self._set(m.JUDGED, kept["rows"], band=band)
        recent = report["kept_promises"]["recent"]
        for metric, name in ((m.SLOPE, "calibration_slope"), (m.CALIBRATION_ERROR, "ece"), (m.RANKING, "auc")):
            self._set(metric, recent[name])
        self._set(m.PRECISION, report["alarms"]["precision"])
        for days, share in report["alarms"]["foreseen"].items():
            self._set(m.FORESEEN, share, days=days)

    def _set(self, metric: m.Metric, number: float | None, **labels: str) -> None:
        if number is not None:
            self._metrics.set(metric, number, **labels)
        elif not labels:  # a gauge without labels cannot be absent
            self._metrics.set(metric, float("nan"))


def _ratio(share: Mapping[str, int]) -> float | None:
    return share["count"] / share["of"] if share["of"] else None


def expose(settings: Settings) -> Exporting:
    """Serve the metrics on BELLWETHER_METRICS_PORT, 0 for nowhere, until the process ends; return what sets them.

    Raises
    ------
    Refusal
        The port is taken.
    """
    registry = CollectorRegistry()
    exporting = Exporting(registry)
    if settings.metrics_port:
        serve(settings.metrics_port, registry, exporting)
    return exporting
