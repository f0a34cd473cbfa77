"""Carries out what people decide: moves alerts, sets scores by hand, and remembers every command with its effect."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.compile import RuleName
from scoring.flapping import ANSWERED
from scoring.lifecycle import ACKNOWLEDGED, CLEARING, FIRING, SNOOZED
from state.alerts import alert_id
from state.changes import move_of, set_manual
from state.deeds import Effect, deed_of, effect_on, is_complete, remember
from state.events import Command
from state.judge import enter_by_command
from state.layout import COLD, RULE_COLUMNS, RULE_EPISODE, RULE_HISTORY, RULE_STATE, SNAPSHOT, Layout
from state.store import AccountStore

LIVE: Final = (FIRING, ACKNOWLEDGED, SNOOZED, CLEARING)
ANSWERS: Final = ("acknowledge", "step_done", "outreach")
"""Commands after which a next step is not overdue: somebody is on it."""
EPISODES_KNOWN: Final = 1000
"""How far back an ended alert is told from one that never was."""


class Commands:
    """Carries out the commands of one partition.

    Parameters
    ----------
    rules
        The model's, those of bands included.
    layout
        Of the rows.
    store
        The accounts.
    plan, work
        Handles of the plan and the scratch room.
    """

    def __init__(self, rules: Sequence[RuleName], layout: Layout, store: AccountStore, plan: Any, work: Any) -> None:
        self._rules = rules
        self._layout = layout
        self._store = store
        self._plan = plan
        self._work = work

    def carry_out(self, row: int, event: Command, at_ms: int) -> None:
        """Let a command change its account, and note who did what with which effect.

        Parameters
        ----------
        row
            The account's row, brought to the instant.
        event
            The command.
        at_ms
            The instant, milliseconds UTC.
        """
        effect = self._effect(row, event, at_ms) if is_complete(event) else Effect.INCOMPLETE
        profile = self._store.profile(row)
        remember(profile, deed_of(event, effect, at_ms))
        self._store.profiles[row] = msgspec.json.encode(profile)
        self._store.rows.dirty[row] |= COLD | SNAPSHOT

    def _effect(self, row: int, event: Command, at_ms: int) -> Effect:
        if event.command == "override":
            set_manual(self._store.rows.ints[row], event)
            return Effect.DONE
        ints, account = self._store.rows.ints[row], self._store.names[row]
        if event.alert_id is None:
            if event.command in ANSWERS:  # whoever got in touch with the account did so for all of its alerts
                for rule in range(len(self._rules)):
                    self._answer(ints, rule)
            return Effect.DONE
        is_ended = False
        for rule, name in enumerate(self._rules):
            column = self._layout.rule_block + rule * RULE_COLUMNS
            state, episode = int(ints[column + RULE_STATE]), int(ints[column + RULE_EPISODE])
            if state in LIVE and event.alert_id == alert_id(account, name.name, episode):
                if event.command in ANSWERS:
                    self._answer(ints, rule)
                move = move_of(event, state)
                if move is not None:
                    until_ms = move.until_ms
                    enter_by_command(self._plan, self._store.handle, self._work, row, rule, move.state, at_ms, until_ms)
                return effect_on(event.command, is_live=True, is_ended=False, has_moved=move is not None)
            known = range(episode, max(episode - EPISODES_KNOWN, 0), -1)
            is_ended = is_ended or any(event.alert_id == alert_id(account, name.name, past) for past in known)
        return effect_on(event.command, is_live=False, is_ended=is_ended, has_moved=False)

    def _answer(self, ints: NDArray[np.int64], rule: int) -> None:
        """Note that somebody is on an open alert's next step."""
        column = self._layout.rule_block + rule * RULE_COLUMNS
        if ints[column + RULE_STATE] in LIVE:
            ints[column + RULE_HISTORY] |= ANSWERED
