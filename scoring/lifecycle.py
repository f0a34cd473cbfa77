"""The life cycle of one (account, rule), as data: states and the moves between them.

::

    inactive --true--> pending --for--> firing --false--> clearing --keep_firing_for--> resolved (= inactive)
                          |                ^                  |
                        false              +------true--------+
                          v
                      inactive          firing <-> acknowledged | snoozed (by command; a snooze ends by itself)

`MOVES` is the specification: the first line whose guards all hold. `next_state` is the same, compiled, and the diagram in
`docs/alerts.md` is drawn from it (`diagram`). What a rule's conduct adds: after a resolve it rests for
`refractory`; while a rule that mutes it is open it begins nothing; while it flaps it does not end.

Times are event time in milliseconds. Nothing here knows an account, an alert record or a command's author.
"""

from collections.abc import Iterator
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

MOVES: Final = (
    (INACTIVE, ("true", "rested", "for"), PENDING),
    (INACTIVE, ("true", "rested", "no for", "not muted"), FIRING),
    (PENDING, ("false",), INACTIVE),
    (PENDING, ("true for so long", "not muted"), FIRING),
    (FIRING, ("false", "keep_firing_for or flapping"), CLEARING),
    (FIRING, ("false", "neither"), RESOLVED),
    (ACKNOWLEDGED, ("false", "keep_firing_for or flapping"), CLEARING),
    (ACKNOWLEDGED, ("false", "neither"), RESOLVED),
    (SNOOZED, ("false", "keep_firing_for or flapping"), CLEARING),
    (SNOOZED, ("false", "neither"), RESOLVED),
    (SNOOZED, ("true", "snooze over"), FIRING),
    (CLEARING, ("true",), FIRING),
    (CLEARING, ("false for so long", "not flapping"), RESOLVED),
)
"""From, guards, to. From clearing back means to what it was before."""


@njit(cache=True)
def next_state(
    state: int,
    is_true: bool,
    now_ms: int,
    since_ms: int,
    until_ms: int,
    for_ms: int,
    keep_ms: int,
    is_muted: bool,
    is_flapping: bool,
) -> int:
    """Return the state a rule moves to at one evaluation, or NO_MOVE.

    Parameters
    ----------
    state : int, INACTIVE to CLEARING
    is_true : bool, whether the rule's condition holds now
    now_ms : int, as-of time of the evaluation
    since_ms : int, when ``state`` was entered
    until_ms : int, end of a snooze, or of the rest after a resolve
    for_ms, keep_ms : int, how long true before firing, how long false before resolving
    is_muted : bool, whether a rule that mutes this one is open
    is_flapping : bool, whether it must not end yet

    Returns
    -------
    int
        A state, RESOLVED, or NO_MOVE. From CLEARING back is FIRING: the caller restores what was held.
    """
    if state == INACTIVE:
        if not is_true or now_ms < until_ms:
            return NO_MOVE
        if for_ms > 0:
            return PENDING
        return NO_MOVE if is_muted else FIRING
    if state == PENDING:
        if not is_true:
            return INACTIVE
        return FIRING if now_ms >= since_ms + for_ms and not is_muted else NO_MOVE
    if state == CLEARING:
        if is_true:
            return FIRING
        return RESOLVED if now_ms >= since_ms + keep_ms and not is_flapping else NO_MOVE
    if not is_true:
        return CLEARING if keep_ms > 0 or is_flapping else RESOLVED
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
    if state == SNOOZED or (state == INACTIVE and until_ms > 0):
        return until_ms
    return never


def diagram() -> Iterator[str]:
    """Yield the lines of a state diagram (Mermaid) of `MOVES` and of what commands do."""
    yield "stateDiagram-v2"
    yield "    [*] --> inactive"
    for start, guards, end in MOVES:
        yield f"    {STATE_NAMES[start]} --> {STATE_NAMES[end]}: {', '.join(guards)}"
    live = (FIRING, ACKNOWLEDGED, SNOOZED, CLEARING)
    for command, end in (("acknowledge", ACKNOWLEDGED), ("snooze", SNOOZED), ("resolve", RESOLVED)):
        for start in live:
            if start != end or end == SNOOZED:
                yield f"    {STATE_NAMES[start]} --> {STATE_NAMES[end]}: {command}"
    yield "    resolved --> inactive"
