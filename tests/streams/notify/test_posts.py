"""What each kind of receiver is sent."""

from datetime import UTC, datetime
from email import message_from_bytes

import orjson
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from streams.notify.mail import mail_of
from streams.notify.posts import alertmanager_alert, pagerduty_event, post_of, slack_text
from streams.notify.targets import Mail, PagerDuty, Slack, Webhook
from streams.notify.wording import headline
from tests.streams.notify.receivers import OLD_SECRET, SECRET, an_alert

MAIL = Mail("h", 25, "bw@example.com", ("ops@example.com",), True, "none", "", "")


def now_ms() -> int:
    """The verifier compares with the machine's clock."""
    return round(datetime.now(UTC).timestamp() * 1000)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_a_webhook_verifies_with_either_key_during_rotation(secret: str) -> None:
    """The library of Standard Webhooks accepts it with the new and the old secret, and refuses a changed body."""
    alert = an_alert()
    post = post_of(Webhook("https://x/", (SECRET, OLD_SECRET), allow_private=False), alert, now_ms())
    event = Verifier(secret).verify(post.body, post.headers)
    assert event == {"type": "io.bellwether.alert.firing", "timestamp": alert["occurred_at"], "data": alert}
    assert post.headers["webhook-id"] == f"{alert['alert_id']}-1"
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(post.body.replace(b"acme", b"acmf"), post.headers)


def test_slack_text_says_what_to_do_and_calls_nobody() -> None:
    """The message has headline, reasons and next step; markup in names and reasons is defused."""
    assert slack_text(an_alert()).splitlines() == [
        ":red_circle: *acme-1: in the red is firing (yellow → red)*",
        "• health 31.2, -1.5 points a day",
        "• logins down 42 % &lt;!channel&gt; (-20.5)",
        ":arrow_right: ann@example.com, by 2026-03-12: call (rescue)",
    ]
    post = post_of(Slack("https://x/", allow_private=False), an_alert(), 0)
    assert orjson.loads(post.body) == {"text": slack_text(an_alert())}


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ({}, "acme-1: in the red is firing (yellow → red)"),
        ({"repeated": True}, "acme-1: in the red is still firing (yellow → red)"),
        ({"flapping": True}, "acme-1: in the red flaps (yellow → red)"),
        ({"escalated_from": "warning"}, "acme-1: in the red grew from warning to critical (yellow → red)"),
        ({"escalated_from": "warning", "state": "resolved"}, "acme-1: in the red is resolved (yellow → red)"),
        ({"kind": "digest", "title": "5 more alerts of today"}, "acme-1: 5 more alerts of today"),
    ],
)
def test_the_headline_says_what_is_special(marks: dict, said: str) -> None:
    """Repeated, flapping and graver alerts are told apart from new ones."""
    assert headline(an_alert(**marks)) == said


@pytest.mark.parametrize(
    ("state", "action"),
    [("firing", "trigger"), ("acknowledged", "acknowledge"), ("snoozed", "acknowledge"), ("resolved", "resolve")],
)
def test_pagerduty_actions_share_one_key(state: str, action: str) -> None:
    """Every state of an alert has its action and the same dedup_key; only a trigger carries a payload."""
    alert = an_alert(state=state)
    event = pagerduty_event("key", alert)
    assert (event["event_action"], event["dedup_key"], event["routing_key"]) == (action, alert["dedup_key"], "key")
    assert ("payload" in event) == (action == "trigger")
    place = PagerDuty("https://events.pagerduty.com/v2/enqueue", "key", allow_private=False)
    assert orjson.loads(post_of(place, alert, 0).body) == event


def test_pagerduty_payload_keeps_its_limits() -> None:
    """A summary is at most 1 024 characters, severity one of PagerDuty's."""
    payload = pagerduty_event("key", an_alert(title="x" * 2000))["payload"]
    assert len(payload["summary"]) == 1024
    assert payload["severity"] == "critical"


def test_alertmanager_times_are_never_ahead() -> None:
    """Under a log clock an alert may be dated ahead of the machine's time: it starts, or ends, now."""
    at = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert alertmanager_alert(an_alert(), at)["startsAt"] == "2026-01-01T00:00:00.000Z"
    assert alertmanager_alert(an_alert(state="resolved"), at)["endsAt"] == "2026-01-01T00:00:00.000Z"
    later = round(datetime(2026, 4, 1, tzinfo=UTC).timestamp() * 1000)
    assert alertmanager_alert(an_alert(), later)["startsAt"] == "2026-03-09T00:00:00.000Z"


def test_mails_of_an_alert_make_one_thread() -> None:
    """The owner gets it beside the fixed addresses; ids differ by state and repeat by try; line breaks end no header."""
    first, again = (mail_of(MAIL, an_alert(title="in\nthe red"), 10**12) for _ in range(2))
    last = mail_of(MAIL, an_alert(state="resolved", sequence=2), 10**12)
    assert first is not None
    assert again is not None
    assert last is not None
    assert first["To"] == "ops@example.com, ann@example.com"
    assert first["Subject"] == "[critical] acme-1: in the red is firing (yellow → red)"
    assert first["Message-ID"] == again["Message-ID"] != last["Message-ID"]
    assert first["References"] == last["References"]
    text = message_from_bytes(first.as_bytes()).get_payload(decode=True)
    assert b"Next step: ann@example.com, by 2026-03-12: call (rescue)" in text


def test_a_mail_to_nobody_is_none() -> None:
    """Where only the owner is to get it and there is none, there is no mail."""
    assert mail_of(Mail("h", 25, "a@b.c", (), True, "none", "", ""), an_alert(state="resolved"), 0) is None
