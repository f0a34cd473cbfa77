"""Typed reads from one table of a model file, each noting what is wrong instead of raising.

A read returns a usable value of its type even after a fault, so that reading goes on and finds the next one.
"""

import json
import re
from collections.abc import Mapping, Sequence

from scoring.durations import parse_duration
from scoring.expressions import Note
from scoring.faults import Fault
from scoring.variables import nearest

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,47}")
"""Names that expressions use: signals, inputs, bands."""
DASHED = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""Names that stand alone: models, rules, overrides, playbooks."""
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""Reason codes."""
MAX_TEXT = 500


class Table:
    """One table of the file: its content, where it stands, and the list that collects faults.

    Parameters
    ----------
    content
        The table; anything else is a fault and read as empty.
    path
        JSON path such as ``$.inputs.adoption``.
    faults
        Shared by all tables of a file.
    """

    def __init__(self, content: object, path: str, faults: list[Fault]) -> None:
        self.path = path
        self.faults = faults
        self._content: Mapping[str, object] = {}
        self._asked: set[str] = set()
        if isinstance(content, Mapping):
            self._content = content
        else:
            self._fault("", "a table", content, "write it as [name] with keys below")

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def note(self, key: str) -> Note:
        """Return a `Note` whose faults stand at a key of this table."""

        def note(expected: str, given: str, advice: str) -> None:
            self.faults.append(Fault(self._at(key), expected, given, advice))

        return note

    def text(self, key: str, default: str | None = None, *, pattern: re.Pattern[str] | None = None) -> str:
        """Return a text; required without a default; a pattern must match all of it."""
        given = self._take(key, default, "a text")
        if not isinstance(given, str):
            if given is not None:
                self._fault(key, "a text", given, "put it in quotes")
            return default or ""
        if pattern and not pattern.fullmatch(given) and given != default:
            self._fault(key, f"a name like {_FORMS[pattern]}", given, "use these characters only")
        if len(given) > MAX_TEXT:
            self._fault(key, f"at most {MAX_TEXT} characters", len(given), "shorten it")
        return given

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of the given texts."""
        given = self._take(key, default, f"one of {', '.join(choices)}")
        if given is None:
            return choices[0]
        if not isinstance(given, str) or given not in choices:
            advice = nearest(str(given), choices) or "choose one of them"
            self._fault(key, f"one of {', '.join(choices)}", given, advice)
            return default or choices[0]
        return given

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """Return a number in low..high; required when the default is None."""
        given = self._take(key, default, f"a number from {low:g} to {high:g}")
        if given is None:
            return low
        if not is_number(given) or not low <= float(given) <= high:  # type: ignore[arg-type]
            self._fault(key, f"a number from {low:g} to {high:g}", given, "change it")
            return low if default is None else default
        return float(given)  # type: ignore[arg-type]

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """Return a number in low..high, or None where the key is absent."""
        self._asked.add(key)
        return self.number(key, None, low, high) if key in self else None

    def whole(self, key: str, default: int | None, low: int, high: int) -> int:
        """Return a whole number in low..high."""
        given = self._take(key, default, f"a whole number from {low} to {high}")
        if given is None:
            return low
        if not isinstance(given, int) or isinstance(given, bool) or not low <= given <= high:
            self._fault(key, f"a whole number from {low} to {high}", given, "change it")
            return low if default is None else default
        return given

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        given = self._take(key, default, "true or false")
        if not isinstance(given, bool):
            self._fault(key, "true or false", given, "write it without quotes")
            return default
        return given

    def duration_ms(self, key: str, default: str | None) -> int:
        """Return a duration in milliseconds; required when the default is None."""
        given = self._take(key, default, "a duration such as '24h' or '14d'")
        found = parse_duration(given) if isinstance(given, str) else None
        if found is None and given is not None:
            self._fault(
                key, "a duration such as '24h' or '14d'", given, "write a whole number and one of s, m, h, d, w"
            )
        return found or 0

    def optional_duration_ms(self, key: str) -> int | None:
        """Return a duration in milliseconds, or None where the key is absent."""
        self._asked.add(key)
        return self.duration_ms(key, None) if key in self else None

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Return a list of texts; a single text stands for a list of one."""
        given = self._take(key, None if required else [], "a text or a list of texts")
        if isinstance(given, str):
            given = [given]
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(item, str) and item for item in given):
            self._fault(key, "a text or a list of texts", given, 'write ["a", "b"]')
            return ()
        if required and not given:
            self._fault(key, "at least one text", given, "add one")
        return tuple(given)

    def raw(self, key: str) -> object:
        """Return whatever stands at a key, or None; the caller checks it."""
        self._asked.add(key)
        return self._content.get(key)

    def table(self, key: str) -> "Table":
        """Return a table below this one; an absent one reads as empty."""
        given = self.raw(key)
        return Table({} if given is None else given, self._at(key), self.faults)

    def tables(self, key: str, limit: int, pattern: re.Pattern[str] = IDENTIFIER) -> dict[str, "Table"]:
        """Return the named tables below a key, sorted by name; names must match the pattern."""
        parent = self.table(key)
        names = sorted(parent.keys())
        if len(names) > limit:
            self._fault(key, f"at most {limit} of them", len(names), "leave some out")
        for name in names:
            if not pattern.fullmatch(name):
                parent.note(name)(f"a name like {_FORMS[pattern]}", shown(name), "rename it")
        return {name: parent.table(name) for name in names}

    def rows(self, key: str, limit: int) -> list["Table"]:
        """Return the list of tables at a key (``[[key]]`` in TOML)."""
        given = self.raw(key)
        if given is None:
            return []
        if not isinstance(given, list):
            self._fault(key, "a list of tables", given, f"write [[{key}]] above each")
            return []
        if len(given) > limit:
            self._fault(key, f"at most {limit} of them", len(given), "leave some out")
        return [Table(item, f"{self._at(key)}[{index}]", self.faults) for index, item in enumerate(given)]

    def keys(self) -> tuple[str, ...]:
        """Return the keys present, in file order."""
        return tuple(self._content)

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._content:
            if key not in self._asked:
                advice = nearest(key, sorted(self._asked - set(self._content))) or "remove it"
                self._fault(key, f"one of {', '.join(sorted(self._asked))}", key, advice)

    def _take(self, key: str, default: object, expected: str) -> object:
        self._asked.add(key)
        if key in self._content:
            return self._content[key]
        if default is None:
            self.faults.append(Fault(self._at(key), expected, "nothing", f"add {key}"))
        return default

    def _fault(self, key: str, expected: str, given: object, advice: str) -> None:
        self.faults.append(Fault(self._at(key), expected, shown(given), advice))

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if key else self.path


_FORMS = {
    IDENTIFIER: "'payment_failures' (lower case, digits, underscore)",
    DASHED: "'adoption-rescue' (lower case, digits, dash, underscore)",
    CODE: "'PAYMENT_FAILED' (upper case, digits, underscore)",
}


def is_number(given: object) -> bool:
    """Tell whether something is a finite number (true and false are not numbers)."""
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= 1e15


def shown(given: object) -> str:
    """Return a value as a fault shows it: as JSON, at most 60 characters."""
    if isinstance(given, str):
        return f"'{given}'" if len(given) <= 60 else f"'{given[:57]}…'"
    text = json.dumps(given, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
