"""For every alert: series under which it fires, and close ones under which it does not.

A series is `name{labels}` → values in promtool's notation, one a minute: `0+60x10` is 0, 60, … 600; `5x10` is eleven
fives; `_x3` is three gaps.
"""

from typing import NamedTuple


class Case(NamedTuple):
    """One look at one alert.

    Attributes
    ----------
    alert
        Its name.
    series
        Series → values, one a minute.
    at
        When to look, such as ``10m``.
    firing
        How many alerts of the name fire then.
    """

    alert: str
    series: dict[str, str]
    at: str
    firing: int


UP = 'up{job="bellwether",instance="%s"}'
STARTED = 'process_start_time_seconds{job="bellwether",instance="a"}'
SERVING = 'bellwether_partitions{job="bellwether",instance="%s",state="serving"}'
RESTORING = 'bellwether_partitions{job="bellwether",instance="a",state="restoring"}'
UNRESTORED = 'bellwether_unrestored_records{job="bellwether",instance="a"}'
TICKS = 'bellwether_ticks_total{job="bellwether",instance="a"}'
MODEL = 'bellwether_model_info{instance="%s",name="m",version="1",fingerprint="%s"}'
IN_TIME = 'bellwether_event_to_alert_seconds_bucket{le="1.0"}'
ALERTED = "bellwether_event_to_alert_seconds_count"
LAG = 'bellwether_lag_seconds{topic="usage"}'
RESULTS = 'bellwether_events_total{topic="usage",result="%s"}'
APPLIED = 'bellwether_applied_records_total{topic="%s"}'
SENT = 'bellwether_source_records_total{topic="usage",source="%s"}'
WAITING = 'bellwether_projection_lag_records{topic="%s"}'
REFRESH = 'bellwether_model_needs_refresh{reason="%s"}'
OWED, DELIVERY_LAG = 'bellwether_deliveries_owed{target="crm"}', 'bellwether_delivery_lag_records{target="crm"}'

CASES = (
    Case("BellwetherNoWorker", {UP % "a": "0x10", UP % "b": "0x10"}, "5m", 1),
    Case("BellwetherNoWorker", {}, "5m", 1),
    Case("BellwetherNoWorker", {UP % "a": "0x10", UP % "b": "1x10"}, "5m", 0),
    Case("BellwetherWorkerDown", {UP % "a": "1x2 0x10", UP % "b": "1x12"}, "9m", 1),
    Case("BellwetherWorkerDown", {UP % "a": "1x2 0x2 1x10"}, "9m", 0),
    Case("BellwetherWorkerRestarting", {STARTED: "1x5 2x5 3x5 4x5"}, "20m", 1),
    Case("BellwetherWorkerRestarting", {STARTED: "1x10 2x10"}, "20m", 0),
    Case("BellwetherPartitionsUnserved", {"bellwether_topic_partitions": "8x20", SERVING % "a": "4x20"}, "6m", 1),
    Case(
        "BellwetherPartitionsUnserved",
        {"bellwether_topic_partitions": "8x20", SERVING % "a": "4x20", SERVING % "b": "2 4x20"},
        "6m",
        0,
    ),
    Case("BellwetherRestoreStuck", {RESTORING: "2x20", UNRESTORED: "5000x20"}, "12m", 1),
    Case("BellwetherRestoreStuck", {RESTORING: "2x20", UNRESTORED: "5000-100x20"}, "12m", 0),
    Case("BellwetherRestoreStuck", {RESTORING: "0x20", UNRESTORED: "0x20"}, "12m", 0),
    Case("BellwetherStandstill", {'bellwether_standstill_seconds{instance="a"}': "0 20 40 60"}, "3m", 1),
    Case("BellwetherStandstill", {'bellwether_commit_age_seconds{instance="a"}': "0 20 40 60"}, "3m", 1),
    Case("BellwetherStandstill", {'bellwether_standstill_seconds{instance="a"}': "0 20 40 0 40 0"}, "5m", 0),
    Case("BellwetherClockStopped", {SERVING % "a": "4x40", TICKS: "0+12x5 60x40"}, "35m", 1),
    Case("BellwetherClockStopped", {SERVING % "a": "4x40", TICKS: "0+12x40"}, "35m", 0),
    Case("BellwetherClockStopped", {SERVING % "a": "0x40", TICKS: "0x40"}, "35m", 0),
    Case("BellwetherModelsDiffer", {MODEL % ("a", "x"): "1x20", MODEL % ("b", "y"): "1x20"}, "18m", 1),
    Case("BellwetherModelsDiffer", {MODEL % ("a", "x"): "1x20", MODEL % ("b", "x"): "1x20"}, "18m", 0),
    # A fifth late: burns at 20 times the budget of 1 %.
    Case("BellwetherAlertsLateFast", {IN_TIME: "0+80x90", ALERTED: "0+100x90"}, "80m", 1),
    Case("BellwetherAlertsLateFast", {IN_TIME: "0+80x60 4800+100x30", ALERTED: "0+100x90"}, "80m", 0),
    Case("BellwetherAlertsLateFast", {IN_TIME: "0+90x90", ALERTED: "0+100x90"}, "80m", 0),
    Case("BellwetherAlertsLateFast", {IN_TIME: "0x90", ALERTED: "0x90"}, "80m", 0),
    # A tenth late: 10 times, too slow for the fast alert.
    Case("BellwetherAlertsLateSlow", {IN_TIME: "0+90x400", ALERTED: "0+100x400"}, "390m", 1),
    Case("BellwetherAlertsLateSlow", {IN_TIME: "0+97x400", ALERTED: "0+100x400"}, "390m", 0),
    Case("BellwetherBehindFast", {LAG: "0x50 60x20"}, "65m", 1),
    Case("BellwetherBehindFast", {LAG: "0x50 60x10 0x20"}, "75m", 0),
    Case("BellwetherBehindFast", {LAG: "20x90"}, "80m", 0),
    Case("BellwetherBehindSlow", {LAG: "0x360 60x30"}, "380m", 1),
    Case("BellwetherBehindSlow", {LAG: "0x380 60x2 0x20"}, "400m", 0),
    Case("BellwetherDeadLettersFast", {RESULTS % "dead_letter": "0+10x90", RESULTS % "applied": "0+90x90"}, "80m", 1),
    Case("BellwetherDeadLettersFast", {RESULTS % "dead_letter": "0+5x90", RESULTS % "applied": "0+95x90"}, "80m", 0),
    Case(
        "BellwetherDeadLettersFast",
        {RESULTS % "dead_letter": "0+10x60 600x30", RESULTS % "applied": "0+90x90"},
        "80m",
        0,
    ),
    Case("BellwetherDeadLettersSlow", {RESULTS % "dead_letter": "0+5x400", RESULTS % "applied": "0+95x400"}, "390m", 1),
    Case("BellwetherDeadLettersSlow", {RESULTS % "dead_letter": "0+2x400", RESULTS % "applied": "0+98x400"}, "390m", 0),
    Case("BellwetherTopicSilent", {APPLIED % "support": "0+10x600 6000x100"}, "645m", 1),
    Case("BellwetherTopicSilent", {APPLIED % "support": "0+10x700"}, "645m", 0),
    # Too little to tell: a usual half hour has fewer than 50.
    Case("BellwetherTopicSilent", {APPLIED % "support": "0+1x600 600x100"}, "645m", 0),
    # Every night is silent: this hour was, a day ago.
    Case("BellwetherTopicSilent", {APPLIED % "usage": "0+10x900 9000x540 9000+10x900 18000x540"}, "2390m", 0),
    Case(
        "BellwetherSourceSilent",
        {SENT % "crm": "0+10x600 6000x100", SENT % "app": "0+10x700", APPLIED % "usage": "0+20x700"},
        "645m",
        1,
    ),
    Case("BellwetherSourceSilent", {SENT % "crm": "0+10x700", APPLIED % "usage": "0+10x700"}, "645m", 0),
    # The whole topic is silent: that is another alert.
    Case(
        "BellwetherSourceSilent", {SENT % "crm": "0+10x600 6000x100", APPLIED % "usage": "0+10x600 6000x100"}, "645m", 0
    ),
    # Nobody says who sends: the topic's own alert is all there can be.
    Case("BellwetherSourceSilent", {SENT % "(none)": "0+10x600 6000x100", APPLIED % "usage": "0+20x700"}, "645m", 0),
    Case("BellwetherRedisDown", {'bellwether_redis_up{instance="a"}': "1x3 0x10"}, "8m", 1),
    Case("BellwetherRedisDown", {'bellwether_redis_up{instance="a"}': "1x3 0 1x10"}, "8m", 0),
    Case("BellwetherRedisBehind", {WAITING % "scores": "900x20", WAITING % "alerts": "200x20"}, "15m", 1),
    Case("BellwetherRedisBehind", {WAITING % "scores": "2000-150x20"}, "15m", 0),
    Case("BellwetherRedisLostData", {'bellwether_projection_rewinds_total{topic="scores"}': "0x5 1x10"}, "8m", 1),
    Case("BellwetherRedisLostData", {'bellwether_projection_rewinds_total{topic="scores"}': "1x60"}, "50m", 0),
    Case("BellwetherUnreadable", {'bellwether_projection_unreadable_total{topic="scores"}': "0x5 1x10"}, "8m", 1),
    Case("BellwetherUnreadable", {'bellwether_projection_unreadable_total{topic="scores"}': "3x90"}, "80m", 0),
    Case("BellwetherUndelivered", {'bellwether_undelivered_total{target="crm"}': "0x5 2x10"}, "8m", 1),
    Case("BellwetherUndelivered", {'bellwether_undelivered_total{target="crm"}': "2x60"}, "50m", 0),
    Case("BellwetherDeliveryBehind", {OWED: "1x60", DELIVERY_LAG: "0x60"}, "40m", 1),
    Case("BellwetherDeliveryBehind", {OWED: "1x20 0x40", DELIVERY_LAG: "0x60"}, "40m", 0),
    Case("BellwetherTargetGone", {'bellwether_target_up{target="crm"}': "1x5 0x5"}, "8m", 1),
    Case("BellwetherTargetGone", {'bellwether_target_up{target="crm"}': "1x10"}, "8m", 0),
    Case(
        "BellwetherModelNeedsRefresh", {REFRESH % "calibration": "0x60 1x400", REFRESH % "inputs": "0x460"}, "430m", 1
    ),
    Case(
        "BellwetherModelNeedsRefresh", {REFRESH % "calibration": "0x60 1x400", REFRESH % "inputs": "1x460"}, "430m", 2
    ),
    Case("BellwetherModelNeedsRefresh", {REFRESH % "ranking": "1x300 0x100"}, "390m", 0),
)
