"""An alert in a sentence and a few lines, for tools that show text."""

from typing import Any

VERBS = {"firing": "is firing", "acknowledged": "is acknowledged", "snoozed": "is snoozed", "resolved": "is resolved"}


def headline(alert: dict[str, Any]) -> str:
    """Return what happened in one line.

    Examples
    --------
    >>> headline({"account_id": "acme", "title": "in the red", "state": "firing", "from_band": "green", "to_band": "red"})
    'acme: in the red is firing (green → red)'
    """
    if alert.get("kind"):  # a summary of many speaks for itself
        return f"{alert['account_id']}: {alert['title']}" + (" — over" if alert["state"] == "resolved" else "")
    verb = VERBS.get(alert["state"], alert["state"])
    if alert["state"] == "firing":
        verb = "is still firing" if alert.get("repeated") else "flaps" if alert.get("flapping") else verb
        verb = "is overdue" if alert.get("overdue") and not alert.get("repeated") else verb
        verb = f"grew from {alert['escalated_from']} to {alert['severity']}" if alert.get("escalated_from") else verb
    moved = alert["from_band"] != alert["to_band"]
    bands = f"{alert['from_band']} → {alert['to_band']}" if moved else alert["to_band"]
    return f"{alert['account_id']}: {alert.get('title') or alert['rule']} {verb} ({bands})"


def details(alert: dict[str, Any]) -> list[str]:
    """Return the lines below the headline: score, reasons, and what to do."""
    lines = []
    health, slope = alert["scores"]["health"], alert["trajectory"]["slope_per_day"]
    if health is not None:
        lines.append(f"health {health:.1f}" + (f", {slope:+.1f} points a day" if slope else ""))
    if alert["state"] == "resolved":
        return [*lines, f"resolved: {alert.get('resolution', '')}"]
    if alert.get("kind"):
        return lines + [reason["text"] for reason in alert["reasons"]]
    lines += [f"{reason['text']} ({reason['contribution']:+.1f})" for reason in alert["reasons"]]
    crossing = alert["trajectory"].get("expected_crossing")
    if crossing:
        lines.append(
            f"at this pace {crossing['band']} between {crossing['earliest'][:10]} and {crossing['latest'][:10]}"
        )
    return lines


def to_do(alert: dict[str, Any]) -> str:
    """Return the next step in one line; nothing where there is none."""
    step = alert.get("next_step")
    if not step:
        return ""
    passed = f", passed on from {step['passed_from']}" if step.get("passed_from") else ""
    date = f"overdue since {step['due_at'][:10]}{passed}" if step.get("overdue") else f"by {step['due_at'][:10]}"
    unwelcome = f"; do not get in touch: {', '.join(step['suppressed'])}" if step.get("suppressed") else ""
    return f"{step['owner']}, {date}: {', '.join(step['steps'])} ({step['playbook']}){unwelcome}"
