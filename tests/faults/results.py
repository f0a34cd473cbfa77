"""What all rounds so far came to: a file that every run adds to, and the table made of it for `docs/results.md`."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.classes import CLASSES

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"
NONE = "-"
KINDS = {
    "good": "good events",
    "repeated": "repeated ones",
    "bad": "broken or oversized ones",
    "expired": "expired ones",
    "future": "from the future",
    "doubled": "doubled by a broker",
}
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


@dataclass
class Tally:
    """One class of faults over all rounds.

    Parameters
    ----------
    rounds
        Played to their end and checked.
    violations
        One sentence for each round in which an invariant did not hold.
    missed
        Attempts that found no work left when the fault came; they count for nothing.
    sent
        Kind of event (good, repeated, bad, expired, future) → written by producers during the rounds.
    recoveries
        Seconds from the end of each fault until all that was written by then was committed.
    """

    rounds: int = 0
    violations: list[str] = field(default_factory=list)
    missed: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    recoveries: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add further rounds of the same class."""
        self.rounds += other.rounds
        self.violations += other.violations
        self.missed += other.missed
        self.recoveries += other.recoveries
        self.count(other.sent)

    def count(self, sent: Mapping[str, int]) -> None:
        """Add what was written in a round."""
        for kind, number in sent.items():
            self.sent[kind] = self.sent.get(kind, 0) + number


def read(path: Path = RESULTS) -> dict[str, Tally]:
    """Return class → tally of what the file holds."""
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return {name: Tally(**values) for name, values in found.items()}


def write(tallies: dict[str, Tally], path: Path = RESULTS) -> None:
    """Write the file, in the order of the table of classes."""
    ordered = {name: vars(tallies[name]) for name in CLASSES if name in tallies}
    lines = [f" {json.dumps(name)}: {json.dumps(values)}" for name, values in ordered.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def bound(rounds: int) -> str:
    """Return the largest probability of a violation per round that no violation in so many leaves open, at 95 %.

    Examples
    --------
    >>> bound(30), bound(2)
    ('10 %', '100 %')
    """
    return f"{100 * min(1.0, 3 / rounds):.3g} %"


def table(tallies: dict[str, Tally]) -> str:
    """Return the report in Markdown."""
    lines = [
        "| fault | rounds | violations | at 95 % fewer than (3/n) | caught up, median / longest |",
        "|---|---|---|---|---|",
    ]
    known = [(CLASSES[name].title, tallies[name]) for name in CLASSES if name in tallies and tallies[name].rounds]
    for title, tally in known:
        times = f"{median(tally.recoveries):.0f} s / {max(tally.recoveries):.0f} s" if tally.recoveries else NONE
        share = NONE if tally.violations else bound(tally.rounds)
        lines.append(f"| {title} | {tally.rounds} | {len(tally.violations)} | {share} | {times} |")
    rounds = sum(tally.rounds for _, tally in known)
    violations = sum(len(tally.violations) for _, tally in known)
    sent = Counter[str]()
    for _, tally in known:
        sent.update(tally.sent)
    share = NONE if violations or not rounds else bound(rounds)
    lines.append(f"| **all** | **{rounds}** | **{violations}** | **{share}** | |")
    kinds = ", ".join(f"{thousands(sent[kind])} {words}" for kind, words in KINDS.items())
    return "\n".join([*lines, "", f"Sent meanwhile: {kinds}."])


def thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def publish(tallies: dict[str, Tally], document: Path = DOCUMENT) -> None:
    """Put the table into the document, between its marks."""
    text = document.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    document.write_text(f"{before}{BEGIN}\n{table(tallies)}\n{END}{after}")
