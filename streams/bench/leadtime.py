"""How early a fading account is noticed: a slow ramp-down among healthy accounts, through the kernel, at a fixed rate of false alarms.

``python -m streams.bench.leadtime`` prints a table. Thresholds are set on a few books so that 5 % of their healthy accounts
*ever* alarm in 210 days; what is reported comes from other books.

::

    day 0 ............ 120 ............ 180 .......... 210
    |  usual traffic    |  ramp to 5 %   |  stays there  |
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from scoring.compile import compile_model
from scoring.parse import parse
from state.cohorts import LATENESS_MS
from state.history import HistoryPartition
from state.layout import DAY_MS, HOUR_MS
from state.moments import rfc3339
from streams.cli.output import note, result

DAYS: Final = 210
RAMP_START: Final = 120
RAMP_DAYS: Final = 60
FLOOR: Final = 0.05
MEDIAN_RATE: Final = 2.0
RATE_SPREAD: Final = 1.0
WEEKDAY: Final = 1.25
WEEKEND: Final = 0.375
MONDAY_MS: Final = 1_767_571_200_000  # 2026-01-05
FALSE_ALARMS: Final = 0.05
MARKS: Final = (30, 45, 60, 75)
"""Days after the ramp's start by which an account should have been noticed."""
VALUES: Final = (
    "level(visits)",
    "days_since(visits)",
    "momentum(visits)",
    "surprise(visits)",
    "momentum(visits, cohort)",
    "surprise(visits, cohort)",
)


class Detector(NamedTuple):
    """An alarm when any of its values is more alarming than its threshold on so many midnights in a row.

    `shares` says how the false alarms are shared out among the values.
    """

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...] = (1.0,)
    nights: int = 1


CALENDAR: Final = ("surprise(visits)", "momentum(visits)")
COHORT: Final = ("surprise(visits, cohort)", "momentum(visits, cohort)")
DETECTORS: Final = (
    Detector("fixed level, decayed over 7 days", ("level(visits)",)),
    Detector("days since the last visit", ("days_since(visits)",)),
    Detector("momentum", CALENDAR[1:]),
    Detector("surprise", CALENDAR[:1]),
    Detector("surprise or momentum", CALENDAR, (0.5, 0.5)),
    Detector("the same on three nights in a row", CALENDAR, (0.5, 0.5), 3),
    Detector("surprise or momentum in cohort days", COHORT, (0.5, 0.5)),
    Detector("the same, 85 of 100 false alarms to surprise", COHORT, (0.85, 0.15)),
    Detector("the same on two nights in a row", COHORT, (0.85, 0.15), 2),
)


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="books that are reported (20), from 100 on")
    parser.add_argument("--tuning", type=int, default=4, help="books on which thresholds are set (4), from 1 on")
    parser.add_argument("--healthy", type=int, default=900, help="healthy accounts of a book (900)")
    parser.add_argument("--fading", type=int, default=100, help="fading accounts of a book (100)")
    parser.add_argument("--json", action="store_true", help="print the table as JSON, last line")
    return parser


def visits(seed: int, healthy: int, fading: int) -> NDArray[np.int64]:
    """Return visits[day, account] of a book, the healthy accounts first: Poisson, busy on weekdays, rates log-normal."""
    source = np.random.default_rng(seed)
    rate = MEDIAN_RATE * np.exp(RATE_SPREAD * source.standard_normal(healthy + fading))
    day = np.arange(DAYS)
    week = np.where(day % 7 < 5, WEEKDAY, WEEKEND)
    ramp = np.clip(1.0 - (day - RAMP_START) / RAMP_DAYS * (1.0 - FLOOR), FLOOR, 1.0)
    share = np.ones((DAYS, healthy + fading))
    share[:, healthy:] = ramp[:, None]
    return source.poisson(rate[None, :] * week[:, None] * share)


class _Visit(NamedTuple):
    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def lived(counts: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return value[day, account, VALUES] at the end of each day, as the kernel has them; NaN where nothing is known."""
    content = {
        "name": "lead-time",
        "version": 1,
        "signals": {"visits": {"from": "usage", "measure": "sum(quantity)"}},
        "inputs": {
            f"v{k}": {"value": value, "curve": [[0, 0], [1, 100]], "weight": 1} for k, value in enumerate(VALUES)
        },
        "bands": [{"name": "red", "enter_below": 1, "leave_above": 5, "alert": False}],
    }
    state = HistoryPartition(compile_model(parse(content, "lead-time")))
    found = np.full((*counts.shape, len(VALUES)), np.nan)
    offset, chance = 0, Random(seed)
    for day in range(counts.shape[0]):
        start = MONDAY_MS + day * DAY_MS
        state.tick(start + LATENESS_MS)
        records = []
        for account in np.flatnonzero(counts[day]).tolist():
            at = start + LATENESS_MS + chance.randrange(14 * HOUR_MS)
            body = {"id": str(offset), "account_id": str(account), "occurred_at": rfc3339(at), "event": "visit"}
            records.append(_Visit(offset, at, orjson.dumps({**body, "quantity": int(counts[day, account])})))
            offset += 1
        state.apply("usage", records)
        state.tick(start + DAY_MS)
        rows = np.array([int(name) for name in state.store.names])
        found[day, rows] = state.values()
    return found


def alarms(detector: Detector, found: NDArray[np.float64], limits: Sequence[float]) -> NDArray[np.bool_]:
    """Return alarm[day, account]."""
    raised = np.zeros(found.shape[:2], bool)
    for value, limit in zip(detector.values, limits, strict=True):
        raised |= _held(strength(found, value), detector.nights) > limit
    return raised


def strength(found: NDArray[np.float64], value: str) -> NDArray[np.float64]:
    """Return how alarming a value is, whichever its direction; never where nothing is known."""
    column = found[:, :, VALUES.index(value)]
    return np.nan_to_num(column if value.startswith("days_since") else -column, nan=-math.inf)


def limits_for(detector: Detector, healthy: NDArray[np.float64]) -> list[float]:
    """Return thresholds at which 5 % of healthy accounts ever alarm, each value with its share of the false alarms."""
    worst = [_held(strength(healthy, value), detector.nights).max(axis=0) for value in detector.values]

    def limits(scale: float) -> list[float]:
        wanted = [min(FALSE_ALARMS * scale * share, 1.0) for share in detector.shares]
        return [float(np.quantile(numbers, 1.0 - part)) for numbers, part in zip(worst, wanted, strict=True)]

    low, high = 0.0, 1.0 / min(detector.shares)
    for _ in range(30):
        middle = (low + high) / 2
        is_too_many = alarms(detector, healthy, limits(middle)).any(axis=0).mean() > FALSE_ALARMS
        low, high = (low, middle) if is_too_many else (middle, high)
    return limits(low)


def _held(numbers: NDArray[np.float64], nights: int) -> NDArray[np.float64]:
    """Return for each day the least of so many nights up to it."""
    held = numbers.copy()
    for back in range(1, nights):
        held[back:] = np.minimum(held[back:], numbers[:-back])
        held[:back] = -math.inf
    return held


def books(first: int, count: int, healthy: int, fading: int) -> Iterator[NDArray[np.float64]]:
    """Yield the values of some books, telling on standard error how far it is."""
    for seed in range(first, first + count):
        note(f"book {seed}")
        yield lived(visits(seed, healthy, fading), seed)


def measured(options: argparse.Namespace) -> list[Mapping[str, object]]:
    """Return a line a detector: healthy accounts ever alarmed, fading ones noticed by each mark, and the spread."""
    tuning = np.concatenate(
        [found[:, : options.healthy] for found in books(1, options.tuning, options.healthy, options.fading)], axis=1
    )
    limits = {detector.name: limits_for(detector, tuning) for detector in DETECTORS}
    del tuning
    lines: dict[str, list[list[float]]] = {detector.name: [] for detector in DETECTORS}
    for found in books(100, options.seeds, options.healthy, options.fading):
        for detector in DETECTORS:
            raised = alarms(detector, found, limits[detector.name])
            false = raised[:, : options.healthy].any(axis=0).mean()
            fading = raised[RAMP_START:, options.healthy :]
            lines[detector.name].append([false, *(fading[:mark].any(axis=0).mean() for mark in MARKS)])
    table: list[Mapping[str, object]] = []
    for name, numbers in lines.items():
        mean, spread = np.mean(numbers, axis=0), np.std(numbers, axis=0)
        caught = {f"by_{mark}": round(float(share), 3) for mark, share in zip(MARKS, mean[1:], strict=True)}
        false_alarms = {"false_alarms": round(float(mean[0]), 3), "spread_by_45": round(float(spread[2]), 3)}
        table.append({"detector": name, **false_alarms, **caught, "limits": [round(x, 3) for x in limits[name]]})
    return table


def main() -> None:
    """Measure and print."""
    options = arguments().parse_args()
    table = measured(options)
    lines = [
        f"| detector | healthy ever alarmed | {' | '.join(f'by day {mark}' for mark in MARKS)} |",
        "|---|---|" + "---|" * len(MARKS),
    ]
    for line in table:
        shares = " | ".join(f"{line[f'by_{mark}']:.2f}" for mark in MARKS)
        lines.append(f"| {line['detector']} | {line['false_alarms']:.3f} | {shares} |")
    result({"seeds": options.seeds, "lines": table}, as_json=options.json, sentence="\n".join(lines))


if __name__ == "__main__":
    main()
