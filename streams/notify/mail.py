"""An alert as a mail: later mails about the same alert join the first one's thread, and a repeated try has the same id."""

from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from streams.notify.posts import message_id
from streams.notify.targets import Mail
from streams.notify.wording import details, headline, to_do


def recipients(place: Mail, alert: dict[str, Any]) -> list[str]:
    """Return who gets a mail about an alert; the owner of its next step where that is an address."""
    owner = (alert.get("next_step") or {}).get("owner", "")
    return list(dict.fromkeys([*place.to, *([owner] if place.to_owner and "@" in owner else [])]))


def mail_of(place: Mail, alert: dict[str, Any], now_ms: int) -> EmailMessage | None:
    """Return the mail that tells of an alert at a time, milliseconds UTC; None where nobody is to get it."""
    to = recipients(place, alert)
    if not to:
        return None
    domain = place.sender.rpartition("@")[2]
    mail = EmailMessage()
    mail["From"], mail["To"] = place.sender, ", ".join(to)
    # A line break in a name would end the header; the library refuses it, so it must not get there.
    mail["Subject"] = " ".join(f"[{alert['severity']}] {headline(alert)}".split())
    mail["Date"] = formatdate(now_ms / 1000)
    mail["Message-ID"] = f"<{message_id(alert)}@{domain}>"
    mail["References"] = f"<{alert['alert_id']}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [headline(alert), "", *details(alert)]
    if step := to_do(alert):
        lines += ["", f"Next step: {step}"]
    mail.set_content("\n".join([*lines, "", f"Alert {alert['alert_id']}, {alert['occurred_at']}"]))
    return mail
