"""A backtest's report as one self-contained page: figures, plots and tables, without any other file or network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from scoring.backtest.warning import LOOKBACK_DAYS
from streams.backtest.plots import Axes, Line, bars, line_plot, stacked

FIGURES = (
    ("auc", "AUC", "chance that an account it happened to stood above one it did not; 0.5 is chance"),
    ("average_precision", "average precision", "precision over the whole ranking; the base rate is chance"),
    ("lift_at_10", "lift at 10 %", "how many times more outcomes the riskiest tenth holds than a random tenth"),
    ("brier_skill", "Brier skill", "share of the squared error saved against always saying the base rate"),
    ("ece", "calibration error", "mean distance of said and seen probability"),
    ("calibration_slope", "calibration slope", "1 is right; below 1 the probabilities are too extreme"),
)
STYLE = """
:root { --ink:#1b1f24; --soft:#5b6670; --page:#fff; --card:#f6f7f9; --rule:#d9dee3; --main:#1f6feb; --other:#9aa5b1;
  --red:#d1453b; --yellow:#e2a928; --green:#3f9d63; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaed; --soft:#9aa5b1; --page:#14171a; --card:#1d2126; --rule:#343a41;
  --main:#6ea8fe; --other:#6b7682 } }
* { box-sizing:border-box } body { margin:0 auto; max-width:1040px; padding:28px 20px 60px; color:var(--ink);
  background:var(--page); font:15px/1.5 system-ui,sans-serif }
h1 { font-size:25px; margin:0 0 4px } h2 { font-size:18px; margin:34px 0 8px } p { margin:6px 0 } .soft { color:var(--soft) }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(155px,1fr)); gap:10px; margin:18px 0 }
.card { background:var(--card); border-radius:8px; padding:12px 14px } .card b { display:block; font-size:24px }
.card small { color:var(--soft); display:block } .pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(380px,1fr)); gap:22px }
table { border-collapse:collapse; width:100%; margin:8px 0 } th,td { padding:4px 8px; text-align:right; border-bottom:1px solid var(--rule);
  font-variant-numeric:tabular-nums } th { color:var(--soft); font-weight:500 } th:first-child,td:first-child { text-align:left }
svg { width:100%; height:auto; display:block } .bars { max-width:640px } svg text { fill:var(--soft); font-size:11px } svg .name { fill:var(--ink) }
.grid { stroke:var(--rule) } .line { fill:none; stroke-width:2 } .line.main { stroke:var(--main) } .line.other { stroke:var(--other) }
.line.ideal { stroke:var(--soft); stroke-dasharray:4 4; stroke-width:1 } .whisker { stroke:var(--main); opacity:.5; stroke-width:2 }
.dot.main,.bar.main { fill:var(--main) } .dot.other,.bar.other { fill:var(--other) } .area { opacity:.85 }
.band-red { fill:var(--red); background:var(--red) } .band-yellow { fill:var(--yellow); background:var(--yellow) }
.band-green { fill:var(--green); background:var(--green) } .area { fill:var(--other) } .area.band-red { fill:var(--red) }
.area.band-yellow { fill:var(--yellow) } .area.band-green { fill:var(--green) }
.legend span { margin-right:16px; color:var(--soft); font-size:13px } .key { display:inline-block; width:11px; height:11px; border-radius:3px;
  margin-right:6px; vertical-align:-1px } .key.main { background:var(--main) } .key.other { background:var(--other) }
.key.ideal { border:1px dashed var(--soft) } .warning { background:#e2a92822; border-left:4px solid var(--yellow); padding:8px 12px; margin:10px 0 }
"""


def page_of(report: Mapping[str, Any]) -> str:
    """Return the page of a report."""
    model = report["model"]
    title = f"Backtest of {model['name']} version {model['version']}"
    span = f"{report['from'][:10]} to {report['to'][:10]}"
    intro = (
        f"<p>Did <b>{escape(report['outcome'])}</b> come within {escape(report['horizon'])}? Asked {report['as_of_times']} times "
        f"({escape(report['as_of'])}) of {report['accounts']:,} accounts, {span}: {report['rows']:,} predictions, "
        f"{report['positives']:,} came true ({_percent(report['base_rate'])}).</p>"
        f'<p class="soft">model fingerprint {escape(model["fingerprint"])} · {report["events"]:,} events, '
        f"{report['rejected']:,} rejected · {report['unscored']['rows']:,} rows without enough data for a score</p>"
    )
    warnings = "".join(f'<p class="warning">{escape(sentence)}</p>' for sentence in report["warnings"])
    sections = [
        _cards(report),
        _section("Does the ranking find them, does the probability mean what it says?", _ranking(report)),
        _section("What the bands said before the outcome", _bands(report)),
        _section("Against simple rules", _comparison(report)),
        _section("Alerts", _alerts(report)),
        _section("Segments", _segments(report)) if report["segments"] else "",
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{intro}{warnings}{''.join(sections)}</html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<h2>{escape(heading)}</h2>{body}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.{1 if value >= 0.1 else 2}f} %"


def _cards(report: Mapping[str, Any]) -> str:
    cards = []
    for name, title, meaning in FIGURES:
        interval = report["intervals"].get(name)
        between = f"95 %: {_number(interval[0])} to {_number(interval[1])}" if interval else "no interval"
        cards.append(
            f'<div class="card" title="{escape(meaning)}"><small>{title}</small><b>{_number(report[name])}</b>'
            f"<small>{between}</small></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _ranking(report: Mapping[str, Any]) -> str:
    found = [(0.0, 0.0), *((share, captured or 0.0) for share, captured in report["gains"])]
    gains = line_plot(
        Axes("riskiest share of the accounts", "share of the outcomes found"),
        [Line("the score", found), Line("by chance", [(0, 0), (1, 1)], "ideal")],
        "share of outcomes found among the riskiest accounts",
    )
    table = report["reliability"]
    top = max([entry["predicted"] for entry in table] + [entry["high"] for entry in table] + [1e-3])
    said = Line(
        "tenths of the rows, with 95 % intervals",
        [(entry["predicted"], entry["observed"]) for entry in table],
        whiskers=[(entry["low"], entry["high"]) for entry in table],
    )
    reliable = line_plot(
        Axes("probability said", "share that came true", (0, top), (0, top)),
        [said, Line("perfect", [(0, 0), (top, top)], "ideal")],
        "reliability diagram",
    )
    return f'<div class="pair"><div>{gains}</div><div>{reliable}</div></div>'


def _bands(report: Mapping[str, Any]) -> str:
    plots = []
    for kind, layers in report["bands_before"].items():
        step = LOOKBACK_DAYS // (len(next(iter(layers.values()))) - 1)
        xs = [-step * k for k in range(len(next(iter(layers.values()))))]
        axes = Axes(f"days before: {kind}", "share of the accounts", (-LOOKBACK_DAYS, 0), is_share=False)
        plots.append(f"<div>{stacked(axes, layers, xs, f'bands in the days before: {kind}')}</div>")
    lead = report["lead_time"]
    early = ", ".join(f"{days} days: {_percent(share)}" for days, share in lead["warned_ratio_by_days"].items())
    sentence = (
        f"<p>{lead['warned']} of {lead['outcomes']} had left green before the outcome and stayed out of it, "
        f"in the median for {_number(lead['median_days'], 0)} days. Warned at least this long before: {early}.</p>"
    )
    rows = [
        (f"{kind}, {days} days before", *counts.values())
        for days, kinds in report["confusion"].items()
        for kind, counts in kinds.items()
    ]
    head = ("", *next(iter(next(iter(report["confusion"].values())).values()), {}))
    return f'<div class="pair">{"".join(plots)}</div>{sentence}{_table(head, rows)}'


def _comparison(report: Mapping[str, Any]) -> str:
    found = report["comparison"]
    single = {
        "time since the last event": found["recency"],
        "best 30-day sum": found["level"] or {},
        **{f"input {name}": figures for name, figures in found["inputs"].items()},
        **{f"model {name}": figures for name, figures in found.get("models", {}).items()},
    }
    rows = [(name, figures.get("auc"), False) for name, figures in single.items()]
    known = [("this model", report["auc"], True), *rows]
    ordered = sorted((row for row in known if row[1] is not None), key=lambda row: -row[1])
    shown = [(name, float(value or 0.0), is_ours) for name, value, is_ours in ordered]
    low = min([value for _, value, _ in shown] + [0.5])
    return f"<p class='soft'>AUC of each alone, on the same rows.</p>{bars(shown, low, 1.0, 'AUC by signal')}"


def _alerts(report: Mapping[str, Any]) -> str:
    alerts = report["alerts"]
    load = alerts["by_owner_and_week"]
    sentence = (
        f"<p>{_percent(alerts['captured_ratio'])} of the accounts it happened to had a warning or critical alert in the 90 days before; "
        f"{_percent(alerts['false_alarm_ratio'])} of the others ever had one. An owner got {_number(load['mean'], 1)} such alerts a week, "
        f"at most {load['most']}.</p>"
    )
    rows = [
        (rule, found["severity"], f"{found['fired']:,}", _percent(found["followed_ratio"]))
        for rule, found in alerts["by_rule"].items()
    ]
    return sentence + _table(("rule", "severity", "fired", "outcome within 90 days"), rows)


def _segments(report: Mapping[str, Any]) -> str:
    rows = []
    for name, figures in report["segments"].items():
        interval = figures.get("intervals", {}).get("auc")
        between = f"{_number(interval[0])} to {_number(interval[1])}" if interval else ""
        shown = [_number(figures.get(key)) for key in ("auc", "average_precision", "brier_skill", "calibration_slope")]
        rows.append((name, f"{figures['rows']:,}", f"{figures['positives']:,}", shown[0], between, *shown[1:]))
    head = ("segment", "rows", "outcomes", "AUC", "95 %", "average precision", "Brier skill", "slope")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(str(cell)).replace('_', ' ')}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"
