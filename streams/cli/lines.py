"""Alerts and accounts as lines for a terminal; without colours where the output is no terminal."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from scoring.propensity import at_horizon
from state.deeds import MEANINGS, Effect
from state.layout import DAY_MS

COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
BAND_COLOURS = {"red": "bold red", "yellow": "yellow", "green": "green"}
STATE_COLOURS = {"firing": "bold", "resolved": "green"}
SHORT_ID = 8
DEEDS_SHOWN = 5
WITHIN_DAYS = (30, 60, 90)


def minute(moment: str) -> str:
    """Return a time of a record without seconds.

    Examples
    --------
    >>> minute("2026-03-01T12:34:56.000Z")
    '2026-03-01 12:34'
    """
    return moment[:16].replace("T", " ")


def points(number: float) -> str:
    """Return points with their sign.

    Examples
    --------
    >>> points(-7.49), points(0.5)
    ('-7.5', '+0.5')
    """
    return f"{number:+.1f}"


def alert_lines(alert: dict[str, Any]) -> Text:
    """Return an alert: what happened on the first line, then one reason each, then what to do."""
    severity, state = alert["severity"], alert["state"]
    health, slope = alert["scores"]["health"], alert["trajectory"]["slope_per_day"]
    bands = dict.fromkeys((alert["from_band"], alert["to_band"]))  # once when it did not change
    text = Text(f"{minute(alert['occurred_at'])}  ")
    text.append(f"{severity:<8}", COLOURS.get(severity, ""))
    text.append(f"  {state:<12}", STATE_COLOURS.get(state, ""))
    text.append(f"  {alert['account_id']}  ", "bold").append(f"{alert['rule']}  ")
    for number, band in enumerate(bands):
        text.append(" → " if number else "").append(band, BAND_COLOURS.get(band, "dim"))
    if health is not None:
        text.append(f"  health {health:.1f}")
    if slope:
        text.append(f" ({points(slope)} a day)")
    text.append(f"  {alert['alert_id'][:SHORT_ID]}", "dim")
    text.append("".join(f"  {said}" for said in marks(alert)), "magenta")
    if state == "resolved":
        text.append(f"  {alert.get('resolution', '')}", "dim")
        return text
    text.append(_reason_lines(alert["reasons"]))
    if alert.get("next_step"):
        text.append(_step_line(alert["next_step"]))
    return text


def marks(alert: dict[str, Any]) -> list[str]:
    """Return what is special about a record, in words.

    Examples
    --------
    >>> marks({"escalated_from": "warning", "repeated": True}), marks({})
    (['was warning', 'still'], [])
    """
    said = [f"was {alert['escalated_from']}"] if alert.get("escalated_from") else []
    words = {
        "flapping": "flapping",
        "repeated": "still",
        "overdue": "overdue",
        "capped": "capped",
        "holdout": "held out",
    }
    return said + [word for name, word in words.items() if alert.get(name)]


def moved_line(alert: dict[str, Any]) -> str:
    """Return a line about why health moved before an alert, in points that sum to the move; "" where that is not known.

    Examples
    --------
    >>> gone = {"code": "SILENCE", "text": "3.2 expected events did not come (-4.5 over 14 days)", "contribution": -4.5}
    >>> rest = {"code": "OTHER", "text": "smaller moves together", "contribution": -0.6}
    >>> moved_line({"why_it_moved": [gone, rest]}).strip()
    'moved -5.1: 3.2 expected events did not come (-4.5 over 14 days); smaller moves together (-0.6)'
    """
    moves = alert.get("why_it_moved", [])
    if not moves:
        return ""
    said = [
        f"{each['text']} ({points(each['contribution'])})" if each["code"] == "OTHER" else each["text"]
        for each in moves
    ]
    return f"\n          moved {points(sum(each['contribution'] for each in moves))}: {'; '.join(said)}"


def account_lines(account: str, snapshot: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> Text:
    """Return an account: its scores, why they are what they are in points that add up, and its open alerts."""
    text = Text(account, "bold")
    for name in ("name", "segment", "owner"):
        if snapshot.get(name):
            text.append(f"  {name} " if name != "name" else "  ", "dim").append(snapshot[name])
    text.append(f"\nas of {minute(snapshot['at'])} UTC, model {_model(snapshot)}\n", "dim")
    if change := snapshot.get("model_change"):
        before, stood = change["from"], "no score" if change["health"] is None else f"health {change['health']:.1f}"
        text.append(f"{change['code']}: under {before['name']} {before['version']} it was {change['band']}, {stood}\n")
    if change := snapshot.get("segment_change"):
        stood = "no score" if change["health"] is None else f"health {change['health']:.1f}"
        text.append(f"{change['code']}: in {change['from'] or 'no segment'} it was {change['band']}, {stood}\n")
    text.append(_score_lines(snapshot))
    rest = remainder(snapshot)
    if rest is None:
        text.append("".join(f"\n  {reason['text']}" for reason in snapshot["reasons"]))
    else:
        text.append(_reason_lines(snapshot["reasons"]))
        text.append(f"\n  {points(rest):>6}  the baseline and everything smaller", "dim")
        text.append(f"\n  {snapshot['health']:>6.1f}  health", "bold")
        if groups := snapshot.get("groups"):
            text.append("\nby group: " + ", ".join(f"{name} {points(given)}" for name, given in groups.items()))
    if known := snapshot.get("relationship"):
        text.append("\n").append(relationship_line(known))
    text.append(_crossing(snapshot, alerts))
    text.append(f"\n{len(alerts) or 'no'} open alert{'s' if len(alerts) != 1 else ''}")
    for alert in alerts:
        text.append("\n").append(alert_lines(alert)).append(moved_line(alert), "dim")
    if deeds := snapshot.get("deeds", [])[-DEEDS_SHOWN:]:
        text.append("\n").append(deed_lines(deeds))
    return text


def _crossing(snapshot: dict[str, Any], alerts: Sequence[dict[str, Any]]) -> str:
    """Return a line about the band that is coming at this pace, as the newest alert expects it; "" where none is."""
    crossings = [alert["trajectory"]["expected_crossing"] for alert in alerts]
    # An alert tells what was expected when it was decided; what should have come by now says nothing any more.
    coming = [crossing for crossing in crossings if crossing and crossing["latest"] > snapshot["at"]]
    if not coming:
        return ""
    earliest, latest = coming[-1]["earliest"][:10], coming[-1]["latest"][:10]
    return f"\nat this pace {coming[-1]['band']} between {earliest} and {latest}"


def relationship_line(known: dict[str, dict[str, str]]) -> str:
    """Return what people know of an account, each fact with who said it when, and who confirmed all of it last.

    Examples
    --------
    >>> said = {"by": "ann", "at": "2026-03-01T09:00:00.000Z"}
    >>> relationship_line({"champion": {"is": "at_risk", **said}, "confirmed": said})
    'champion at_risk (ann 2026-03-01); confirmed by ann 2026-03-01'
    """
    facts = [
        f"{name} {known[name]['is']} ({_by(known[name])})"
        for name in ("champion", "executive", "outcome")
        if name in known
    ]
    return f"{', '.join(facts)}; confirmed by {_by(known['confirmed'])}"


def _by(said: dict[str, str]) -> str:
    return f"{said.get('by', 'somebody')} {said['at'][:10]}"


def deed_lines(deeds: Sequence[dict[str, Any]]) -> Text:
    """Return who did what, one line each; what had no effect is told apart."""
    text = Text()
    for number, deed in enumerate(deeds):
        said = " ".join(str(deed[name]) for name in ("owner", "step", "until", "reason") if deed.get(name))
        text.append("\n" if number else "").append(f"{minute(deed['at'])}  ", "dim")
        text.append(f"{deed.get('by') or 'somebody'}: {deed['command'].replace('_', ' ')}").append(
            f"  {said}" if said else ""
        )
        if deed["effect"] != Effect.DONE:
            text.append(f"  ({MEANINGS[Effect(deed['effect'])]})", "yellow")
    return text


def remainder(snapshot: dict[str, Any]) -> float | None:
    """Return the points that the reasons leave of the health: baseline and smaller contributions; None without health."""
    if snapshot["health"] is None:
        return None
    return float(round(snapshot["health"] - sum(reason["contribution"] for reason in snapshot["reasons"]), 6))


def _score_lines(snapshot: dict[str, Any]) -> Text:
    health, slope, band = snapshot["health"], snapshot["slope_per_day"], snapshot["band"]
    text = Text("health ").append("unknown" if health is None else f"{health:.1f}", "bold")
    text.append("  ").append(band, BAND_COLOURS.get(band, "dim"))
    if slope is not None:
        pace = (
            "steady" if abs(slope) < 0.05 else f"{'rising' if slope > 0 else 'falling'} {abs(slope):.1f} points a day"
        )
        text.append(f"  {pace}")
    within = risk_within(snapshot)
    facts = [f"churn risk {', '.join(f'{share:.1%} in {days} d' for days, share in within.items())}"] if within else []
    shares = {"expansion": snapshot["expansion"], "coverage": snapshot["coverage"]}
    facts += [f"{name} {share:.1%}" for name, share in shares.items() if share is not None]
    if snapshot.get("value") is not None:
        about = (("value_at_risk", "at risk"), ("potential_value", "if it expanded"))
        aside = ", ".join(f"{snapshot[key]:,.0f} {words}" for key, words in about if snapshot.get(key) is not None)
        facts.append(f"value {snapshot['value']:,.0f}" + (f" ({aside})" if aside else ""))
    if snapshot.get("renewal_at"):
        facts.append(f"renewal {snapshot['renewal_at'][:10]}")
    return text.append("\n" + "  ".join(facts))


def risk_within(snapshot: dict[str, Any]) -> dict[int, float]:
    """Return days → the probability to leave within them; nothing without a score.

    Examples
    --------
    >>> within = risk_within({"risk": 0.271, "horizon_days": 90.0})
    >>> {days: round(risk, 3) for days, risk in within.items()}
    {30: 0.1, 60: 0.19, 90: 0.271}
    """
    risk, horizon = snapshot["risk"], snapshot.get("horizon_days")
    if risk is None or horizon is None:
        return {}
    return {days: at_horizon(risk, round(horizon * DAY_MS), days * DAY_MS) for days in WITHIN_DAYS}


def _reason_lines(reasons: Sequence[dict[str, Any]]) -> Text:
    text = Text()
    for reason in reasons:
        given = reason["contribution"]
        text.append(f"\n  {points(given):>6}", "red" if given < 0 else "green")
        text.append(f"  {reason['text']}").append(f"  {reason['code']}", "dim")
    return text


def _step_line(step: dict[str, Any]) -> Text:
    done = {deed["step"] for deed in step.get("done", [])}
    steps = ", ".join(f"{each} (done)" if each in done else each for each in step["steps"])
    told = Text(f"\n          do: {steps} ({step['playbook']}, {step['owner']}, by {step['due_at'][:10]})", "cyan")
    if step.get("suppressed"):
        told.append(f"  do not get in touch: {', '.join(step['suppressed'])}", "yellow")
    return told


def _model(snapshot: dict[str, Any]) -> str:
    return f"{snapshot['model']['name']} {snapshot['model']['version']}"
