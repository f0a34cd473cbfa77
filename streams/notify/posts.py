"""What is posted to each kind of receiver: an alert as bytes, headers and an address. No network here.

References
----------
Standard Webhooks, "Specification" (webhook-id, webhook-timestamp, webhook-signature; several signatures by spaces).
PagerDuty, "Events API v2: Send an Alert Event". Prometheus Alertmanager, OpenAPI of the v2 API, `postAlerts`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from standardwebhooks import Webhook as Signer

from state.moments import rfc3339
from streams.notify.targets import Alertmanager, PagerDuty, Slack, Webhook
from streams.notify.wording import details, headline, to_do

JSON: Final = {"content-type": "application/json", "user-agent": "bellwether"}
PAGERDUTY_SUMMARY: Final = 1024
LASTING_MS: Final = 4 * 86_400_000
"""How long Alertmanager keeps an alert that it hears nothing more of: a long weekend without a notifier."""
ICONS: Final = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":large_blue_circle:"}
PAGERDUTY_ACTIONS: Final = {
    "firing": "trigger",
    "acknowledged": "acknowledge",
    "snoozed": "acknowledge",
    "resolved": "resolve",
}


class Post(NamedTuple):
    """One HTTP POST."""

    url: str
    headers: dict[str, str]
    body: bytes


def message_id(alert: dict[str, Any]) -> str:
    """Return what names a delivery, the same on every try: the record's CloudEvents id."""
    return f"{alert['alert_id']}-{alert['sequence']}"


def post_of(place: Webhook | Slack | PagerDuty | Alertmanager, alert: dict[str, Any], now_ms: int) -> Post:
    """Return the request that tells a place of an alert at a time, milliseconds UTC."""
    if isinstance(place, Webhook):
        return _webhook(place, alert, now_ms)
    if isinstance(place, Slack):
        return Post(place.url, JSON, orjson.dumps({"text": slack_text(alert)}))
    if isinstance(place, PagerDuty):
        return Post(place.url, JSON, orjson.dumps(pagerduty_event(place.routing_key, alert)))
    return _alertmanager(place, alertmanager_alerts(alert, now_ms))


def _webhook(place: Webhook, alert: dict[str, Any], now_ms: int) -> Post:
    event = {
        "type": f"io.bellwether.{alert.get('kind', 'alert')}.{alert['state']}",
        "timestamp": alert["occurred_at"],
        "data": alert,
    }
    body = orjson.dumps(event)
    identity, at = message_id(alert), datetime.fromtimestamp(now_ms // 1000, UTC)
    signatures = [Signer(secret).sign(identity, at, body.decode()) for secret in place.secrets]
    headers = {
        **JSON,
        "webhook-id": identity,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }
    return Post(place.url, headers, body)


def slack_text(alert: dict[str, Any]) -> str:
    """Return the message in Slack's markup."""
    icon = ":white_check_mark:" if alert["state"] == "resolved" else ICONS.get(alert["severity"], "")
    lines = [f"{icon} *{_slack(headline(alert))}*", *(f"• {_slack(line)}" for line in details(alert))]
    if step := to_do(alert):
        lines.append(f":arrow_right: {_slack(step)}")
    return "\n".join(lines)


def _slack(text: str) -> str:
    """Return text in which nothing is markup: a name such as `<!channel>` must not call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty_event(routing_key: str, alert: dict[str, Any]) -> dict[str, Any]:
    """Return the event of PagerDuty's Events API v2; a snooze is an acknowledgement there."""
    action = PAGERDUTY_ACTIONS[alert["state"]]
    event = {"routing_key": routing_key, "event_action": action, "dedup_key": alert["dedup_key"]}
    if action != "trigger":
        return event
    return {
        **event,
        "client": "Bellwether",
        "payload": {
            "summary": headline(alert)[:PAGERDUTY_SUMMARY],
            "source": alert["account_id"],
            "severity": alert["severity"],
            "timestamp": alert["occurred_at"],
            "component": alert["rule"],
            "class": alert.get("code") or alert["rule"],
            "custom_details": {
                "scores": alert["scores"],
                "reasons": [reason["text"] for reason in alert["reasons"]],
                "next_step": to_do(alert),
                "alert_id": alert["alert_id"],
            },
        },
    }


def resend_of(place: Alertmanager, alerts: Sequence[dict[str, Any]], now_ms: int) -> Post:
    """Return the request that tells an Alertmanager once more what stands."""
    return _alertmanager(place, [alertmanager_alert(alert, now_ms) for alert in alerts])


def _alertmanager(place: Alertmanager, told: list[dict[str, Any]]) -> Post:
    headers = {**JSON, "authorization": f"Bearer {place.token}"} if place.token else JSON
    return Post(f"{place.url}/api/v2/alerts", headers, orjson.dumps(told))


def alertmanager_alerts(alert: dict[str, Any], now_ms: int) -> list[dict[str, Any]]:
    """Return what Alertmanager is told: the alert, and the end of the milder one that it was before it grew graver.

    Labels are an alert's identity there, and `severity` is what its routes go by.
    """
    told = [alertmanager_alert(alert, now_ms)]
    if alert.get("escalated_from"):
        milder = alert | {"severity": alert["escalated_from"], "state": "resolved"}
        told.append(alertmanager_alert(milder, now_ms))
    return told


def alertmanager_alert(alert: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Return the alert of Alertmanager's v2 API: it stands until it is resolved, or nobody sends it again for days.

    Its times are the event's, but never later than now: under a log clock events may lie ahead.
    """
    at = min(alert["occurred_at"], rfc3339(now_ms))
    is_over = alert["state"] == "resolved"
    return {
        "labels": {
            "alertname": alert["rule"],
            "account_id": alert["account_id"],
            "alert_id": alert["alert_id"],
            "severity": alert["severity"],
        },
        "annotations": {
            "summary": headline(alert),
            "description": "\n".join(details(alert)),
            "next_step": to_do(alert),
            "state": alert["state"],
        },
        **({"endsAt": at} if is_over else {"startsAt": at, "endsAt": rfc3339(now_ms + LASTING_MS)}),
    }
