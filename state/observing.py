"""What a backtest sees of a partition at one instant: the kernel's own scores, and what they were made of. Changes no row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring import plan as p
from scoring.jit import entry, part
from scoring.plan import Plan
from state.layout import (
    AS_OF,
    CLOSED,
    CONTRACT_START,
    DAY_MS,
    DERIVED_FIXED,
    DERIVED_SIGNAL,
    LAST_AT,
    NO_VALUE,
    SIGNAL_COLUMNS,
    SUMS,
    TOPICS_SEEN,
)
from state.measure import MONTH_WINDOW
from state.partition import Partition
from state.rows import Rows
from state.score import score_at, term_amount
from state.work import PICTURE_FIXED, PICTURE_HEALTH, Work


@dataclass(frozen=True, slots=True)
class Observed:
    """Accounts as they stood at one instant.

    Axes: every array has the account first. NaN stands for "no data".

    Parameters
    ----------
    rows
        int64, row numbers.
    scores
        float64 ``[account, PICTURE_*]``.
    subscores
        float32 ``[account, input]``, 0-100.
    terms
        float32 ``[account, term]``: what each coefficient of the model's risk, then expansion, multiplies.
    quiet_days
        float32 ``[account, signal]``, days since the signal last spoke.
    month
        float32 ``[account, signal]``, its sum over 30 days, in stored units; 0 for signals that keep no tiles.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    subscores: NDArray[np.float32]
    terms: NDArray[np.float32]
    quiet_days: NDArray[np.float32]
    month: NDArray[np.float32]


def predictable(partition: Partition, at_ms: int) -> NDArray[np.int64]:
    """Return the rows of accounts that are open and have sent an event, or whose contract has started, by an instant."""
    ints = partition.store.rows.ints[: len(partition.store)]
    started = (ints[:, CONTRACT_START] != NO_VALUE) & (ints[:, CONTRACT_START] <= at_ms)
    is_known = (ints[:, TOPICS_SEEN] != 0) | started
    return np.flatnonzero((ints[:, CLOSED] == 0) & (ints[:, AS_OF] != NO_VALUE) & is_known)


def observe(partition: Partition, chosen: NDArray[np.int64], at_ms: int) -> Observed:
    """Return how some rows stand at an instant, milliseconds UTC, that the partition's clock has just reached."""
    plan = partition.compiled.plan
    seen = Observed(
        rows=chosen,
        scores=np.empty((chosen.size, PICTURE_FIXED)),
        subscores=np.empty((chosen.size, plan.inputs.shape[0]), np.float32),
        terms=np.empty((chosen.size, plan.terms.shape[0]), np.float32),
        quiet_days=np.empty((chosen.size, plan.signals.shape[0]), np.float32),
        month=np.empty((chosen.size, plan.signals.shape[0]), np.float32),
    )
    rows, work = partition.store.handle, partition.work
    observe_rows(
        partition.plan, rows, work, chosen, at_ms, seen.scores, seen.subscores, seen.terms, seen.quiet_days, seen.month
    )
    return seen


@part
def signal_at(plan: Plan, rows: Rows, row: int, signal: int, at_ms: int) -> tuple[float, float]:
    """Return the days since a signal last spoke, NaN if it never did, and its sum over 30 days."""
    last_at = rows.ints[row, plan.offsets[p.OFFSET_SIGNALS] + signal * SIGNAL_COLUMNS + LAST_AT]
    quiet = np.nan if last_at == NO_VALUE else (at_ms - last_at) / DAY_MS
    return quiet, float(rows.derived[row, DERIVED_FIXED + signal * DERIVED_SIGNAL + SUMS + MONTH_WINDOW])


@entry
def observe_rows(
    plan: Plan,
    rows: Rows,
    work: Work,
    chosen: NDArray[np.int64],
    at_ms: int,
    scores: NDArray[np.float64],
    subscores: NDArray[np.float32],
    terms: NDArray[np.float32],
    quiet_days: NDArray[np.float32],
    month: NDArray[np.float32],
) -> None:
    """Score rows at an instant and write what `Observed` holds; changes no row."""
    for k in range(chosen.size):
        row = chosen[k]
        score_at(plan, rows, work, row, max(at_ms, rows.ints[row, AS_OF]))
        health = work.score[PICTURE_HEALTH]
        for j in range(PICTURE_FIXED):
            scores[k, j] = work.score[j]
        for j in range(plan.inputs.shape[0]):
            subscores[k, j] = work.subscores[j]
        for j in range(plan.terms.shape[0]):
            terms[k, j] = term_amount(plan, rows, work, row, j, at_ms, health)
        for j in range(plan.signals.shape[0]):
            quiet_days[k, j], month[k, j] = signal_at(plan, rows, row, j, at_ms)
