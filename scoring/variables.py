"""The variables of rules and overrides: their names, their order, and which of them an override may read.

The order is fixed by the model: the names of `FIXED`, then for every input its sub-score, then every input's value,
then the expected days to each declared band, then 1 or 0 for being in each band (green last), then the hidden values.
`Layout` gives the first number of each part; the kernel fills an array in this order. Unknown is NaN everywhere.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.economics import GROW, MAINTAIN, PROTECT, QUADRANTS, RESCUE, Economics
from scoring.expressions import Note
from scoring.model import GREEN, Signal, Value, ValueKind
from scoring.values import parse_value

FIXED = (
    "health",  # 0..100, after overrides
    "risk",  # 0..1 at the model's horizon
    "expansion",  # 0..1 at the model's horizon
    "coverage",  # 0..1, share of the weight that has data
    "slope",  # health points per day
    "acceleration",  # health points per day per day
    "days_to_renewal",  # negative once past; unknown without a date
    "days_in_band",  # since the last band change
    "days_since_start",  # since the contract's start, or the first event where none is known
    "change_7",  # health now - health at the day close 7 days ago; likewise the next ones
    "change_14",
    "change_30",
    "change_60",
    "change_90",
    "relationship.champion",  # number of the category in CATEGORIES
    "relationship.executive",
    "relationship.outcome",
    "contacts",  # number of known contacts
    "strategic_fit",  # 0..1
    "seat_use",  # distinct users in 30 days / seats
    "value_at_risk",  # money, account currency
    "expected_value",  # money, account currency: what working the account for one horizon may bring
    "divergence",  # a person's own score - the computed one, points; unknown while nobody has stated one
    "days_since_confirmed",  # since somebody last stated or confirmed the relationship; unknown while nobody has
    "days_unconfirmed",  # the same, but since the account's first event while nobody has
)

CHANGE_DAYS = (7, 14, 30, 60, 90)
"""Days that `change(…)` may look back."""

CATEGORIES = {
    "relationship.champion": ("active", "at_risk", "missing"),
    "relationship.executive": ("active", "lapsed", "none"),
    "relationship.outcome": ("defensible", "developing", "missing"),
}
"""Attributes with categories; a category's number is its index."""

_SHORT = {name.removeprefix("relationship."): name for name in CATEGORIES}
_DERIVED_FROM_HEALTH = frozenset(
    (
        "health",
        "risk",
        "expansion",
        "slope",
        "acceleration",
        "days_in_band",
        "value_at_risk",
        "expected_value",
        "divergence",
    ),
) | {f"change_{days}" for days in CHANGE_DAYS}
_ADVICE = "see the table of variables in scoring/variables.py or `bellwether model show --variables`"


@dataclass(frozen=True, slots=True)
class Layout:
    """First variable number of each part, for a model of that many inputs and declared bands."""

    inputs: int
    bands: int

    @property
    def scores(self) -> int:
        """Number of the first input's sub-score."""
        return len(FIXED)

    @property
    def values(self) -> int:
        """Number of the first input's value."""
        return self.scores + self.inputs

    @property
    def etas(self) -> int:
        """Number of the expected days to the first (worst) band."""
        return self.values + self.inputs

    @property
    def in_bands(self) -> int:
        """Number of "is in the first (worst) band"; green's is the last of `bands` + 1."""
        return self.etas + self.bands

    @property
    def hidden(self) -> int:
        """Number of the first hidden value."""
        return self.in_bands + self.bands + 1


class Variables:
    """The names a model's expressions may use (`scoring.expressions.Names`), collecting hidden values as they are met.

    Parameters
    ----------
    inputs
        Input name → its value, in the model's order.
    bands
        Declared band names, the worst first.
    signals
        Signal name → signal.
    economics
        Where the lines between the quadrants are.
    """

    def __init__(
        self, inputs: dict[str, Value], bands: Sequence[str], signals: dict[str, Signal], economics: Economics
    ) -> None:
        self.layout = Layout(len(inputs), len(bands))
        self.hidden: list[Value] = []
        self._inputs = inputs
        self._bands = tuple(bands)
        self._signals = signals
        self._economics = economics
        self._names = [
            *FIXED,
            *(f"score_{name}" for name in inputs),
            *(f"value_{name}" for name in inputs),
            *(f"eta_{name}" for name in bands),
            *(f"in_{name}" for name in (*bands, GREEN)),
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable's name in order; a hidden value's name is its text."""
        return (*self._names, *(value.text for value in self.hidden))

    def number(self, name: str, note: Note) -> int | None:
        """Return the number of a numeric variable."""
        if self.is_categorical(name):
            note("a number", f"the category '{name}'", f"compare it by == or != with a category of {name}")
            return None
        if name in self._names:
            number = self._names.index(name)
            if not self._is_condition(number):
                return number
            note("a number", f"the condition '{name}'", "join conditions by and/or")
            return None
        known = [known for index, known in enumerate(self._names) if not self._is_condition(index)]
        note("a known variable", f"'{name}'", nearest(name, known) or _ADVICE)
        return None

    def condition(self, name: str, note: Note) -> int | None:
        """Return the number of a variable that is 0 or 1."""
        known = self._names[self.layout.in_bands :]
        if name in known:
            return self._names.index(name)
        note("a condition", f"'{name}'", nearest(name, known) or "compare it with something, such as 'health < 60'")
        return None

    def is_categorical(self, name: str) -> bool:
        """Tell whether a name, short or dotted, is an attribute with categories."""
        return _SHORT.get(name, name) in CATEGORIES

    def category(self, attribute: str, category: str | None, note: Note) -> tuple[int, int] | None:
        """Return an attribute's variable number and the number of one of its categories."""
        attribute = _SHORT.get(attribute, attribute)
        categories = CATEGORIES[attribute]
        if category in categories:
            return FIXED.index(attribute), categories.index(category)
        given = "something else" if category is None else f"'{category}'"
        advice = nearest(category or "", categories) or ("choose one of them" if category else "quote the category")
        note(f"one of {', '.join(categories)} for {attribute}", given, advice)
        return None

    def short_for(self, function: str, arguments: Sequence[str], note: Note) -> str | None:
        """Return the condition that ``in_quadrant(…)`` is short for; None for other calls, and for what is no quadrant."""
        if function != "in_quadrant":
            return None
        name = arguments[0] if len(arguments) == 1 else ""
        if name not in QUADRANTS:
            given, advice = f"'{function}({', '.join(arguments)})'", nearest(name, QUADRANTS) or "name one of them"
            note(f"{function}(…) of one of {', '.join(QUADRANTS)}", given, advice)
            name = QUADRANTS[MAINTAIN]
        number = QUADRANTS.index(name)
        risk = f"risk {'>=' if number in (RESCUE, PROTECT) else '<'} {self._economics.risky_from!r}"
        return f"{risk} and expansion {'>=' if number in (GROW, PROTECT) else '<'} {self._economics.expanding_from!r}"

    def call(self, function: str, arguments: Sequence[str], note: Note) -> tuple[int, bool] | None:
        """Return the number of the variable a call stands for, and whether it is a condition."""
        tables: dict[str, tuple[str, Sequence[str]]] = {
            "eta": ("eta_", self._bands),
            "in_band": ("in_", (*self._bands, GREEN)),
            "band": ("in_", (*self._bands, GREEN)),
            "value": ("value_", tuple(self._inputs)),
            "score": ("score_", tuple(self._inputs)),
            "change": ("change_", tuple(str(days) for days in CHANGE_DAYS)),
        }
        if function not in tables:
            return self._value(function, arguments, note)
        prefix, known = tables[function]
        if function == "change":
            arguments = [argument.removesuffix(".0") for argument in arguments]
        if len(arguments) == 1 and arguments[0] in known:
            return self._names.index(prefix + arguments[0]), prefix == "in_"
        given = f"'{function}({', '.join(arguments)})'"
        advice = nearest(arguments[0], known) if len(arguments) == 1 else ""
        note(f"{function}(…) of one of {', '.join(known)}", given, advice or "name one of them")
        return None

    def _value(self, function: str, arguments: Sequence[str], note: Note) -> tuple[int, bool] | None:
        functions = [str(kind) for kind in ValueKind if kind is not ValueKind.ATTRIBUTE]
        if function not in functions:
            known = [*functions, "eta", "in_band", "in_quadrant", "value", "score", "change"]
            note("a known function", f"'{function}(…)'", nearest(function, known) or _ADVICE)
            return None
        value = parse_value(f"{function}({', '.join(arguments)})", self._signals, note)
        if value is None:
            return None
        for index, own in enumerate(self._inputs.values()):
            if own == value:
                return self.layout.values + index, False
        if value not in self.hidden:
            self.hidden.append(value)
        return self.layout.hidden + self.hidden.index(value), False

    def _is_condition(self, number: int) -> bool:
        return self.layout.in_bands <= number < self.layout.hidden

    def circular(self, numbers: Sequence[int]) -> list[str]:
        """Return the names among these variables that depend on health, which an override must not read."""
        etas_and_bands = range(self.layout.etas, self.layout.hidden)
        names = self.names
        return [names[n] for n in numbers if names[n] in _DERIVED_FROM_HEALTH or n in etas_and_bands]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return "did you mean '…'?" for the closest known name, or "" when none is close.

    Examples
    --------
    >>> nearest("helth", ("health", "risk"))
    "did you mean 'health'?"
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""
