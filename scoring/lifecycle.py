"""The life cycle of one (account, rule), as data: states and the moves between them.

::

    inactive --true--> pending --for--> firing --false--> clearing --keep_firing_for--> resolved (= inactive)
                          |                ^                  |
                        false              +------true--------+
                          v
                      inactive          firing <-> acknowledged | snoozed (by command; a snooze ends by itself)

Times are event time in milliseconds. Nothing here knows an account, an alert record or a command's author.
"""

from typing import Final

from numba import njit

INACTIVE: Final = 0
PENDING: Final = 1
FIRING: Final = 2
ACKNOWLEDGED: Final = 3
SNOOZED: Final = 4
CLEARING: Final = 5
RESOLVED: Final = 6
"""Only ever the name of a move: what is resolved is inactive again."""

STATE_NAMES: Final = ("inactive", "pending", "firing", "acknowledged", "snoozed", "clearing", "resolved")
ANNOUNCED: Final = (FIRING, ACKNOWLEDGED, SNOOZED, RESOLVED)
"""Entering one of these is one record on the alerts topic."""

NO_MOVE: Final = -1


@njit(cache=True)
def next_state(state: int, is_true: bool, now_ms: int, since_ms: int, until_ms: int, for_ms: int, keep_ms: int) -> int:
    """Return the state a rule moves to at one evaluation, or NO_MOVE.

    Parameters
    ----------
    state : int, INACTIVE to CLEARING
    is_true : bool, whether the rule's condition holds now
    now_ms : int, as-of time of the evaluation
    since_ms : int, when ``state`` was entered
    until_ms : int, end of a snooze
    for_ms, keep_ms : int, how long true before firing, how long false before resolving

    Returns
    -------
    int
        A state, RESOLVED, or NO_MOVE. From CLEARING back is FIRING: the caller restores what was held.
    """
    if state == INACTIVE:
        if not is_true:
            return NO_MOVE
        return PENDING if for_ms > 0 else FIRING
    if state == PENDING:
        if not is_true:
            return INACTIVE
        return FIRING if now_ms >= since_ms + for_ms else NO_MOVE
    if state == CLEARING:
        if is_true:
            return FIRING
        return RESOLVED if now_ms >= since_ms + keep_ms else NO_MOVE
    if not is_true:
        return CLEARING if keep_ms > 0 else RESOLVED
    if state == SNOOZED and now_ms >= until_ms:
        return FIRING
    return NO_MOVE


@njit(cache=True)
def due_at(state: int, since_ms: int, until_ms: int, for_ms: int, keep_ms: int, never: int) -> int:
    """Return when a timer of this state ends by itself, milliseconds, or ``never``."""
    if state == PENDING:
        return since_ms + for_ms
    if state == CLEARING:
        return since_ms + keep_ms
    if state == SNOOZED:
        return until_ms
    return never
