"""A notifier's metrics: what couriers and the desk tell is what Prometheus reads."""

from prometheus_client import CollectorRegistry

from streams.notify.observer import DeliveryMeasuring
from streams.notify.sending import Verdict


def test_what_is_told_is_counted() -> None:
    """Every series is there from the start at 0, and follows what is told."""
    registry = CollectorRegistry()
    measuring = DeliveryMeasuring(registry, ["crm", "chat"])
    read = registry.get_sample_value
    assert read("bellwether_delivery_tries_total", {"target": "chat", "result": "gone"}) == 0
    assert read("bellwether_notices_total", {"fate": "held"}) == 0
    measuring.read("crm", is_wanted=True)
    measuring.read("crm", is_wanted=False)
    measuring.tried("crm", Verdict.FAILED, 0.3)
    measuring.tried("crm", Verdict.DELIVERED, 0.1)
    measuring.gave_up("crm")
    measuring.decided("digest")
    measuring.stands("crm", 3, 7, is_up=False)
    of_crm = {"target": "crm"}
    assert read("bellwether_deliveries_left_out_total", of_crm) == 1
    assert read("bellwether_delivery_tries_total", of_crm | {"result": "delivered"}) == 1
    assert read("bellwether_delivery_duration_seconds_count") == 2
    assert read("bellwether_undelivered_total", of_crm) == 1
    assert read("bellwether_notices_total", {"fate": "digest"}) == 1
    assert [
        read(f"bellwether_{name}", of_crm) for name in ("deliveries_owed", "delivery_lag_records", "target_up")
    ] == [*(3, 7, 0)]
