"""What a model file says, as frozen values.

A `Model` is only ever made by `scoring.parse.parse`, which has checked it: names resolve, curves rise, bands do not
overlap, expressions are compiled. So whoever reads one (the kernel's compiler, the reasons, `model show`) checks
nothing again. Times are integer milliseconds, scores lie in 0..100, probabilities and coverages in 0..1.

What order means: `signals`, `inputs`, `playbooks` and propensity `terms` are tables in the file, sorted here by name,
so that their order in the file cannot change a sum's last bit. `bands`, `rules` and `overrides` are lists and keep
their order.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from scoring.conduct import PLAIN, AccountCap, Conduct, Flapping, Playbook
from scoring.economics import Economics
from scoring.expressions import Expression
from scoring.segments import Group, Segment

DAY_MS = 86_400_000
"""Milliseconds in a UTC day."""

TOPICS = ("usage", "billing", "support", "engagement")
"""Topics a signal may read."""

GREEN = "green"
"""The band above all declared ones. It is implicit: it has no thresholds of its own."""

WINDOWS_DAYS = (7, 14, 30, 90)
"""The only windows, in days: the kernel keeps one running sum for each."""

COHORT = "cohort"
"""Last argument of a value that counts cohort days instead of calendar days."""

ITEM_SEVERITIES = ("low", "normal", "high", "critical")
"""Severities of an open item, from the mildest; an item's number is its index here."""

ALERT_SEVERITIES = ("info", "warning", "critical")
"""Severities of an alert, from the mildest."""


class MeasureKind(StrEnum):
    """What a signal keeps of the events it reads."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    ACTIVE_DAYS = "active_days"
    LAST = "last"
    OPEN_ITEMS = "open_items"
    DAYS_SINCE = "days_since"


class ValueKind(StrEnum):
    """How a number is read off a signal, or that it is an attribute of the account. See `scoring.values`."""

    LEVEL = "level"
    RATE = "rate"
    SUM = "sum"
    RATIO = "ratio"
    MOMENTUM = "momentum"
    SURPRISE = "surprise"
    SILENCE = "silence"
    AGE = "age"
    OPEN = "open"
    DAYS_SINCE = "days_since"
    LAST = "last"
    SHARE = "share"
    TOTAL = "total"
    BURN = "burn"
    ATTRIBUTE = "attribute"


class Direction(StrEnum):
    """Where the sub-score goes when the value rises."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class TermKind(StrEnum):
    """What a propensity's coefficient multiplies. Every term is 0 for an average account and 0 without data."""

    HEALTH = "health"
    """(health - the model's baseline) / 100."""
    INPUT = "input"
    """(the input's sub-score - its reference) / 100; `target` is the input."""
    MOMENTUM = "momentum"
    """momentum(signal), a log ratio in -2..2; `target` is the signal."""
    SLOPE = "slope"
    """Health points per day."""
    ACCELERATION = "acceleration"
    """Health points per day per day."""
    COVERAGE = "coverage"
    """coverage - 1: how much data is missing, in -1..0."""
    RENEWAL_NEAR = "renewal_near"
    """1 on the renewal day, falling in a line to 0 one horizon before it; 0 without a renewal date."""
    SEAT_USE = "seat_use"
    """seat use - 0.75."""
    STRATEGIC_FIT = "strategic_fit"
    """strategic fit - 0.5."""
    CONTACTS = "contacts"
    """min(contacts, 5) - 2, divided by 3."""
    DORMANT = "dormant"
    """How long a signal is silent beyond what is a pause: 0 up to 60 days since it last spoke, rising in a line to 1 at
    180; `target` is the signal. Whoever went long ago and has not left yet may never bother to."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a signal keeps: a kind and, for `sum`, `distinct` and `last`, the event field it reads ("" otherwise).

    `sum` reads quantity or amount; `distinct` reads user_id or event; `last` reads score, quantity, amount, seats or
    mrr. Text form: ``count``, ``sum(amount)``, ``distinct(user_id)``, ``open_items``.
    """

    kind: MeasureKind
    field: str = ""

    @property
    def text(self) -> str:
        """The form written in a model file."""
        return f"{self.kind}({self.field})" if self.field else str(self.kind)


@dataclass(frozen=True, slots=True)
class Signal:
    """One raw behaviour: which events of which topic, and what is kept of them.

    Parameters
    ----------
    events
        Event names that count; empty means all. Unused by `open_items`.
    open, close, escalate
        For `open_items`: names that open an item, close it, or raise its severity to the event's.
    minimum_severity
        For `open_items`: index into `ITEM_SEVERITIES`; milder items are kept (they may escalate) but not counted.
    dispersion
        ≥ 1, variance over mean of the daily numbers (1 = Poisson). `surprise` and `silence` divide by it, so that
        clicks that come by the dozen do not each count as news.
    fingerprint
        16 hex digits naming what is stored (topic, measure, names, severity); no two signals of a model share one.
    """

    name: str
    topic: str
    measure: Measure
    events: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    close: tuple[str, ...] = ()
    escalate: tuple[str, ...] = ()
    minimum_severity: int = 0
    dispersion: float = 1.0
    title: str = ""
    unit: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A number read off the account: `kind` over `signal` (and `other`), or an `attribute`.

    Unused parts are "" or 0. Windows are whole days of `WINDOWS_DAYS`. `is_relative` counts days by how busy they were
    for the account's cohort (`scoring.cohorts`), so that a day off for everybody is no silence of anybody. `budget` is that
    of `burn`, the share of events that may be bad, > 0.
    """

    kind: ValueKind
    signal: str = ""
    other: str = ""
    window_days: int = 0
    long_window_days: int = 0
    attribute: str = ""
    is_relative: bool = False
    budget: float = 0.0

    @property
    def text(self) -> str:
        """The form written in a model file, one spelling per meaning."""
        if self.kind is ValueKind.ATTRIBUTE:
            return self.attribute
        parts = [self.signal, self.other, f"{self.budget:g}" if self.budget else ""]
        parts += [f"{days}d" if days else "" for days in (self.window_days, self.long_window_days)]
        parts += [COHORT] if self.is_relative else []
        return f"{self.kind}({', '.join(part for part in parts if part)})"


@dataclass(frozen=True, slots=True)
class Input:
    """A value, the curve that makes it a sub-score of 0..100, and its weight.

    Parameters
    ----------
    curve
        Points (x, y), x rising, y in 0..100; a straight line between points, flat outside. Empty with `categories` or `steps`.
    categories
        Pairs (category, sub-score) for a categorical attribute, in the order of `scoring.variables.CATEGORIES`.
    weight
        > 0; only its share of the total matters. Where its group weighs, this is its share of the group's weight.
    reference
        0..100, the sub-score of a healthy account: contributions are measured from it.
    valid_for_ms
        For facts entered by hand: full weight this long, then fading in a line to none after twice as long.
    code
        Reason code, UPPER_SNAKE.
    group
        Name of the group it is told of with, "" = none.
    steps
        Points (x, y) as of `curve`: from x on the sub-score is y, below the first x it is the first y. Empty with `curve`.
    """

    name: str
    value: Value
    curve: tuple[tuple[float, float], ...]
    categories: tuple[tuple[str, float], ...]
    weight: float
    reference: float
    valid_for_ms: int | None
    direction: Direction
    title: str
    unit: str
    code: str
    group: str = ""
    steps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """Holds health at or below `cap`, or at or above `floor`, while `when` is true.

    `when` reads only what does not itself depend on health. All floors apply first, then all caps: where both hold,
    the cap wins, because a false alarm costs less than a missed churn. `for_ms`, where given, ends the override that
    long after its condition became true.
    """

    name: str
    when: Expression
    cap: float | None
    floor: float | None
    code: str
    title: str
    for_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A named range of health, entered below one score and left above a higher one.

    Parameters
    ----------
    enter_below, leave_above
        0..100, `leave_above` > `enter_below`: the gap is what keeps noise from flapping.
    dwell_ms
        ≥ 0, how long health must stay beyond the threshold before the band changes. Overrides pass at once.
    severity
        Of the alert raised on entering.
    alert
        Whether entering raises an alert at all.
    playbook
        Name of the playbook the alert proposes, or None.
    conduct
        How the alert behaves.
    """

    name: str
    enter_below: float
    leave_above: float
    dwell_ms: int
    severity: str
    alert: bool
    playbook: str | None
    conduct: Conduct = PLAIN


@dataclass(frozen=True, slots=True)
class Rule:
    """Raises an alert when `when` has held for `for_ms` and resolves it once false for `keep_firing_for_ms`."""

    name: str
    when: Expression
    for_ms: int
    keep_firing_for_ms: int
    severity: str
    playbook: str | None
    code: str
    title: str
    conduct: Conduct = PLAIN


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a propensity: `coefficient` times what `kind` (and `target`) names. See `TermKind`."""

    kind: TermKind
    target: str
    coefficient: float

    @property
    def text(self) -> str:
        """The form written in a model file."""
        if self.kind is TermKind.INPUT:
            return self.target
        return f"{self.kind}.{self.target}" if self.target else str(self.kind)


@dataclass(frozen=True, slots=True)
class Propensity:
    """A logistic model: probability at the model's horizon = 1 / (1 + exp(-(intercept + Σ coefficient * term))).

    With `calibration`, points (log-odds, log-odds) that never fall, the sum is first read off the line through them, flat
    beyond its ends.
    """

    intercept: float
    terms: tuple[Term, ...]
    calibration: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A checked model.

    Parameters
    ----------
    horizon_ms
        The time ahead that `risk` and `expansion` speak of.
    outcome
        What counts as lost: ``churned``, or ``silence:TOPIC[:EVENT]:DURATION``.
    minimum_coverage
        0..1; with less of the weight known, an account is "insufficient data".
    hidden
        Values that expressions read beyond the inputs' own, in the order of their variables.
    baseline
        0..100, weighted mean of the inputs' references: the health of a healthy account.
    fingerprint
        16 hex digits; changes when the meaning does and only then.
    warnings
        Sentences about what is allowed but doubtful.
    flapping
        When rules count as flapping; None = never.
    roles
        Pairs (role, who has it), by role: whom playbooks mean by it.
    account_cap
        How many alerts of an account may begin within some days; None = any number.
    groups
        Which inputs are told of together, by name.
    segments
        Whose weights or bands are others, by name; `inputs`, `bands` and `baseline` are those of all other accounts.
    source
        The file's content as JSON, of which `scoring.parse.parse` makes this model again.
    """

    name: str
    version: int
    owner: str
    approver: str
    note: str
    horizon_ms: int
    outcome: str
    minimum_coverage: float
    signals: tuple[Signal, ...]
    inputs: tuple[Input, ...]
    overrides: tuple[Override, ...]
    bands: tuple[Band, ...]
    rules: tuple[Rule, ...]
    playbooks: tuple[Playbook, ...]
    risk: Propensity
    expansion: Propensity
    value: Economics
    hidden: tuple[Value, ...]
    variables: tuple[str, ...]
    baseline: float
    fingerprint: str = ""
    warnings: tuple[str, ...] = field(default=())
    flapping: Flapping | None = None
    roles: tuple[tuple[str, str], ...] = ()
    account_cap: AccountCap | None = None
    groups: tuple[Group, ...] = ()
    segments: tuple[Segment, ...] = ()
    source: str = field(default="", compare=False, repr=False)

    @property
    def band_names(self) -> tuple[str, ...]:
        """All bands from the worst to green; a band's rank is its index."""
        return (*(band.name for band in self.bands), GREEN)

    def signal(self, name: str) -> Signal:
        """Return the signal of that name."""
        return next(signal for signal in self.signals if signal.name == name)

    def playbook(self, name: str) -> Playbook:
        """Return the playbook of that name."""
        return next(playbook for playbook in self.playbooks if playbook.name == name)
