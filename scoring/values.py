"""What a value is: the text forms of a model file, which signals each accepts, and what each means.

With now = the as-of time, days = UTC days, and r7, r90 = decayed daily rates (time constants 7 and 90 days, bias of
young accounts removed):

=====================  ===============================================================================================
``level(s)``           r7: what a usual day looks like now, per day
``rate(s, w)``         sum over the last w days / (w - 1 + elapsed share of today), per day
``sum(s, w)``          sum over today and the w - 1 days before it; for distinct, how many different ones
``ratio(s, v, w)``     rate(s, v) / rate(s, w), v < w; 1 = as usual
``momentum(s)``        log((r7 + ε) / (r90 + ε)) within -2..2; 0 = as usual, -0.7 = half
``surprise(s)``        (r7 - r90) in standard deviations of a Poisson process of that rate * the signal's dispersion
``silence(s)``         r90 * days since the last event / dispersion: how many events have failed to come; about 1 is usual
``share(a, b, w)``     sum(a, w) / sum(b, w); w is 30d unless given
``open(s)``            number of open items of at least the signal's severity
``age(s)``             days since the oldest such item was due (where it has a due date) or opened; 0 with none, never < 0
``days_since(s)``      days since the last event
``last(s)``            the last value seen
``total(s)``           everything since the account was first seen, however long ago
``burn(a, b, x, v, w)`` min(share(a, b, v), share(a, b, w)) / x, v < w: by how much both outspend the budget x, the share of b
                       that may be a. A window v of 1d is today and what 24 hours leave of yesterday
=====================  ===============================================================================================

`level`, `rate`, `ratio`, `momentum`, `surprise` and `silence` take a last argument `cohort`, as in ``momentum(s, cohort)``:
a day then counts as much as it was busy for the account's cohort (`scoring.cohorts`). A holiday that hits everybody hardly
counts, so nobody falls silent in it. `rate` and `ratio` are unknown while less than one such day lies in a window.

A value is unknown (NaN) until the signal has spoken for the account; `rate`, `sum`, `total` and a `share`'s numerator are 0 from
the start. `open` and `age` are 0 while nothing is open, `share` and `ratio` unknown while their divisor is 0. In an
account's first 7 days `momentum` and `surprise` are 0: there is no habit yet to compare with.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scoring.expressions import Note
from scoring.model import COHORT, WINDOWS_DAYS, Measure, MeasureKind, Signal, TermKind, Value, ValueKind

MEASURE_FIELDS: dict[MeasureKind, tuple[str, ...]] = {
    MeasureKind.COUNT: (),
    MeasureKind.SUM: ("quantity", "amount"),
    MeasureKind.DISTINCT: ("user_id", "event"),
    MeasureKind.ACTIVE_DAYS: (),
    MeasureKind.LAST: ("score", "quantity", "amount", "seats", "mrr"),
    MeasureKind.OPEN_ITEMS: (),
    MeasureKind.DAYS_SINCE: (),
}
"""Event fields each measure may read."""

ATTRIBUTES = (
    "relationship.champion",
    "relationship.executive",
    "relationship.outcome",
    "days_to_renewal",
    "contacts",
    "strategic_fit",
    "seats",
    "seat_use",
)
"""Attributes of an account that a value may be."""

_FLOWS = frozenset((MeasureKind.COUNT, MeasureKind.SUM, MeasureKind.ACTIVE_DAYS))
_SUMMABLE = _FLOWS | {MeasureKind.DISTINCT}
ACCEPTED: dict[ValueKind, frozenset[MeasureKind]] = {
    ValueKind.LEVEL: _FLOWS,
    ValueKind.RATE: _FLOWS,
    ValueKind.SUM: _SUMMABLE,
    ValueKind.RATIO: _FLOWS,
    ValueKind.MOMENTUM: _FLOWS,
    ValueKind.SURPRISE: _FLOWS,
    ValueKind.SILENCE: _FLOWS,
    ValueKind.SHARE: _SUMMABLE,
    ValueKind.AGE: frozenset((MeasureKind.OPEN_ITEMS,)),
    ValueKind.OPEN: frozenset((MeasureKind.OPEN_ITEMS,)),
    ValueKind.DAYS_SINCE: _SUMMABLE | {MeasureKind.DAYS_SINCE, MeasureKind.LAST},
    ValueKind.LAST: frozenset((MeasureKind.LAST,)),
    ValueKind.TOTAL: _FLOWS,
    ValueKind.BURN: frozenset((MeasureKind.COUNT, MeasureKind.SUM)),
}
"""Measures each kind of value can be read off."""

READ_BY_TERMS: dict[TermKind, ValueKind] = {
    TermKind.MOMENTUM: ValueKind.MOMENTUM,
    TermKind.DORMANT: ValueKind.DAYS_SINCE,
}
"""Propensity terms that name a signal, and the value they read off it."""

RELATIVE = frozenset(
    (
        ValueKind.LEVEL,
        ValueKind.RATE,
        ValueKind.RATIO,
        ValueKind.MOMENTUM,
        ValueKind.SURPRISE,
        ValueKind.SILENCE,
    )
)
"""Values that may count cohort days."""

HEALTHY: dict[ValueKind, float] = {
    ValueKind.RATIO: 1.0,
    ValueKind.MOMENTUM: 0.0,
    ValueKind.SURPRISE: 0.0,
    ValueKind.SILENCE: 1.0,
    ValueKind.AGE: 0.0,
    ValueKind.OPEN: 0.0,
    ValueKind.BURN: 0.0,
}
"""The value of a healthy account, where the kind alone tells it."""

UNITS: dict[ValueKind, str] = {
    ValueKind.LEVEL: "per day",
    ValueKind.RATE: "per day",
    ValueKind.SURPRISE: "standard deviations",
    ValueKind.SILENCE: "events missed",
    ValueKind.AGE: "days",
    ValueKind.OPEN: "open",
    ValueKind.DAYS_SINCE: "days",
    ValueKind.BURN: "times its budget",
}
"""Unit of each kind of value where it is not the signal's own; ratios, shares and momentum have none."""

SMALLEST_BUDGET = 1e-6
"""Budgets are kept in millionths."""

_CALL = re.compile(r"([a-z_]+)\(([^()]*)\)")
_WINDOW = re.compile(r"(\d+)(?:\.0)?d?")
_SHAPES: dict[ValueKind, tuple[int, int, int]] = {
    # signals, fewest windows, most windows
    ValueKind.RATE: (1, 1, 1),
    ValueKind.SUM: (1, 1, 1),
    ValueKind.RATIO: (1, 2, 2),
    ValueKind.SHARE: (2, 0, 1),
    ValueKind.BURN: (2, 3, 3),  # the budget, and two windows
}
_EXAMPLES = {
    ValueKind.SHARE: "share(a, b, 30d)",
    ValueKind.BURN: "burn(failures, attempts, 0.02, 1d, 7d)",
    ValueKind.RATE: "rate(s, 14d)",
    ValueKind.SUM: "sum(s, 14d)",
    ValueKind.RATIO: "ratio(s, 7d, 30d)",
}


def parse_measure(text: str) -> Measure | None:
    """Return the measure a text such as ``sum(amount)`` stands for, or None.

    Examples
    --------
    >>> parse_measure("distinct(user_id)").field
    'user_id'
    """
    match = _CALL.fullmatch(text.strip())
    name, field = (match[1], match[2].strip()) if match else (text.strip(), "")
    try:
        kind = MeasureKind(name)
    except ValueError:
        return None
    fields = MEASURE_FIELDS[kind]
    return Measure(kind, field) if (field in fields if fields else match is None) else None


def parse_value(text: str, signals: Mapping[str, Signal], note: Note) -> Value | None:
    """Return the value a text stands for, or None after noting what is wrong with it."""
    text = text.strip()
    if text in ATTRIBUTES:
        return _attribute(text, signals, note)
    match = _CALL.fullmatch(text)
    kinds = [str(kind) for kind in ValueKind if kind is not ValueKind.ATTRIBUTE]
    if match is None or match[1] not in kinds:
        close = difflib.get_close_matches(match[1] if match else text, [*kinds, *ATTRIBUTES], n=1)
        advice = f"did you mean '{close[0]}'?" if close else f"use one of {', '.join([*kinds, *ATTRIBUTES])}"
        note("a value such as 'momentum(activity)'", f"'{text}'", advice)
        return None
    kind = ValueKind(match[1])
    arguments = [part.strip() for part in match[2].split(",") if part.strip()]
    is_relative = kind in RELATIVE and arguments[-1:] == [COHORT]
    if is_relative:
        arguments.pop()
    count, fewest, most = _SHAPES.get(kind, (1, 0, 0))
    if not count + fewest <= len(arguments) <= count + most:
        example = _EXAMPLES.get(kind, f"{kind}(s)")
        note(f"'{example}'", f"'{text}'", "give the arguments in that form")
        return None
    known = [_is_accepted(kind, name, signals, note) for name in arguments[:count]]
    if kind is ValueKind.BURN:
        return _burn(arguments, text, note) if all(known) else None
    windows = [_window(part, note) for part in arguments[count:]]
    if not all(known) or None in windows:
        return None
    value = _assemble(kind, arguments[:count], [days for days in windows if days], text, note)
    return value and replace(value, is_relative=is_relative)


def _assemble(kind: ValueKind, names: list[str], windows: list[int], text: str, note: Note) -> Value | None:
    if kind is ValueKind.RATIO:
        if windows[0] >= windows[1]:
            note("the shorter window first", f"'{text}'", "write ratio(s, 7d, 30d)")
            return None
        return Value(kind, names[0], window_days=windows[0], long_window_days=windows[1])
    if kind is ValueKind.SHARE:
        return Value(kind, names[0], names[1], window_days=windows[0] if windows else 30)
    return Value(kind, names[0], window_days=windows[0] if windows else 0)


def _burn(arguments: list[str], text: str, note: Note) -> Value | None:
    """Return a burn rate: how many times its budget is spent, over a fast and a slow window at once.

    References
    ----------
    Beyer et al., "The Site Reliability Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
    """
    bad, total, budget, *spans = arguments
    fast, slow = (_window(part, note, (1, *WINDOWS_DAYS)) for part in spans)
    try:
        share = float(budget)
    except ValueError:
        share = 0.0
    if not SMALLEST_BUDGET <= share <= 1.0:
        note(f"a budget from {SMALLEST_BUDGET:f} to 1", f"'{budget}'", "write 0.02 where 2 of 100 may be bad")
        return None
    if fast is None or slow is None:
        return None
    if fast >= slow:
        note("the shorter window first", f"'{text}'", f"write {_EXAMPLES[ValueKind.BURN]}")
        return None
    return Value(ValueKind.BURN, bad, total, fast, slow, budget=round(share, 6))


def _window(text: str, note: Note, known: Sequence[int] = WINDOWS_DAYS) -> int | None:
    match = _WINDOW.fullmatch(text)
    if match and int(match[1]) in known:
        return int(match[1])
    note(f"a window of {', '.join(f'{days}d' for days in known)}", f"'{text}'", "choose one of these")
    return None


def _is_accepted(kind: ValueKind, name: str, signals: Mapping[str, Signal], note: Note) -> bool:
    if name not in signals:
        close = difflib.get_close_matches(name, signals, n=1)
        advice = f"did you mean '{close[0]}'?" if close else f"declare it under [signals.{name}]"
        note("a declared signal", f"'{name}'", advice)
        return False
    signal = signals[name]
    if signal.measure.kind in ACCEPTED[kind]:
        amount_surprise = kind is ValueKind.SURPRISE and signal.measure.field == "amount"
        if not amount_surprise:
            return True
    accepted = ", ".join(sorted(ACCEPTED[kind]))
    expected = "count, sum(quantity) or active_days" if kind is ValueKind.SURPRISE else accepted
    note(
        f"{kind}(…) of a signal that measures {expected}",
        f"'{name}' ({signal.measure.text})",
        "use another value or signal",
    )
    return False


def _attribute(text: str, signals: Mapping[str, Signal], note: Note) -> Value | None:
    if text != "seat_use":
        return Value(ValueKind.ATTRIBUTE, attribute=text)
    signal = seat_signal(signals)
    if signal is None:
        note("a usage signal measuring distinct(user_id) for seat_use", "none", "declare one")
        return None
    return Value(ValueKind.ATTRIBUTE, signal, attribute=text)


def seat_signal(signals: Mapping[str, Signal]) -> str | None:
    """Return the name of the signal that counts users for `seat_use`: unfiltered before filtered, then by name."""
    users = [
        (bool(signal.events), name)
        for name, signal in signals.items()
        if signal.topic == "usage" and signal.measure == Measure(MeasureKind.DISTINCT, "user_id")
    ]
    return min(users)[1] if users else None
