"""Carries out what people decide: moves alerts, sets scores by hand, and remembers every command with its effect."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.compile import Compiled
from scoring.conduct import capping_playbooks
from scoring.flapping import ANSWERED
from scoring.lifecycle import ACKNOWLEDGED, CLEARING, FIRING, SNOOZED
from state.alerts import alert_id
from state.changes import move_of, set_manual
from state.deeds import DEEDS, Effect, contact_free_at, deed_of, effect_on, is_complete, remember
from state.events import Command
from state.judge import enter_by_command
from state.layout import COLD, RULE_COLUMNS, RULE_EPISODE, RULE_HISTORY, RULE_STATE, SNAPSHOT, Layout
from state.store import AccountStore

LIVE: Final = (FIRING, ACKNOWLEDGED, SNOOZED, CLEARING)
ANSWERS: Final = ("acknowledge", "step_done", "outreach")
"""Commands after which a next step is not overdue: somebody is on it."""
HAS_DEEDS: Final = f'"{DEEDS}"'.encode()
EPISODES_KNOWN: Final = 1000
"""How far back an ended alert is told from one that never was."""


class Commands:
    """Carries out the commands of one partition.

    Parameters
    ----------
    compiled
        The model that decides.
    layout
        Of the rows.
    store
        The accounts.
    plan, work
        Handles of the plan and the scratch room.
    """

    def __init__(self, compiled: Compiled, layout: Layout, store: AccountStore, plan: Any, work: Any) -> None:
        self._rules = compiled.rules
        self._capping = capping_playbooks(compiled.model.playbooks)[: layout.capping]
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
        self._note_contacts(row, profile)

    def place(self, first: int, last: int) -> None:
        """Note of the accounts ``[first, last)``, of which nothing is derived yet, until when they are got in touch with enough."""
        if self._capping:
            for row in range(first, last):
                if HAS_DEEDS in self._store.profiles.get(row, b""):
                    self._note_contacts(row, self._store.profile(row))

    def _note_contacts(self, row: int, profile: Mapping[str, Any]) -> None:
        for column, playbook in enumerate(self._capping, self._layout.contact_block):
            until = contact_free_at(profile, playbook.contact_cap, playbook.contact_within_ms)
            self._store.rows.derived[row, column] = until

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
