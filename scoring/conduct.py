"""How alerts behave beyond their condition, and what people should do about them: the part of a model for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from scoring.expressions import Expression

ACCOUNT_OWNER = "account_owner"
"""In a playbook: whoever owns the account, or the model's owner where nobody does."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an alert behaves beyond its condition; the default is: fires when true, says so once.

    Parameters
    ----------
    refractory_ms
        ≥ 0, how long after a resolve no new episode begins.
    repeat_ms
        ≥ 0, how often a firing alert that nobody answers is announced again; 0 = never.
    escalate_after_ms
        ≥ 0, how long it may fire unanswered before its severity rises to `escalate_to`; 0 = for ever.
    escalate_to
        The higher severity, "" without escalation.
    mutes
        Names of rules, all later ones, that begin no episode while this one is open.
    every_ms
        ≥ 0, a review: how long after its condition began to hold, and after each time a person ended it, it asks
        (again); 0 = an alert, which waits until its condition was false.
    """

    refractory_ms: int = 0
    repeat_ms: int = 0
    escalate_after_ms: int = 0
    escalate_to: str = ""
    mutes: tuple[str, ...] = ()
    every_ms: int = 0


PLAIN = Conduct()
"""What is meant where a file says nothing of conduct."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """When a rule counts as flapping: its share of 21 days with a change, newer ones weighing more, in percent.

    From `enter_percent` on an alert stays open as the one that says so; below `leave_percent` it may end again.

    References
    ----------
    Nagios Core, "Detection and Handling of State Flapping".
    """

    enter_percent: int
    leave_percent: int


@dataclass(frozen=True, slots=True)
class AccountCap:
    """How many alerts of one account may begin within some days, today being the last; critical ones always may."""

    count: int
    days: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why nobody gets in touch with an account for a while: a name that people read, and when it holds.

    `when` reads only what does not depend on health, so that it can be judged wherever an alert is announced.
    """

    name: str
    when: Expression


@dataclass(frozen=True, slots=True)
class Playbook:
    """What a person should do: who, which steps, and within which time of the alert.

    Parameters
    ----------
    owner
        ``account_owner``, a role of the model's, or a name.
    channels
        How, in the order to try: such as "call", "mail".
    holdout_percent
        0 to 50, share of accounts for which nothing is done, so that its effect can be measured.
    due_ms
        ≥ 0, from when the alert fired until the step should be done.
    escalate_to
        Who has the step once it is overdue, as `owner` says it; "" = nobody is told of that.
    suppress
        What makes getting in touch unwelcome, at most four.
    contact_cap, contact_within_ms
        How often an account is got in touch with within how long, whatever the reason; 0 = no cap.
    recover_within_ms
        The success measure: so soon after the alert the account should be back in green.
    """

    name: str
    goal: str
    owner: str
    steps: tuple[str, ...]
    due_ms: int
    channels: tuple[str, ...] = ()
    holdout_percent: int = 0
    escalate_to: str = ""
    suppress: tuple[Suppression, ...] = ()
    contact_cap: int = 0
    contact_within_ms: int = 0
    recover_within_ms: int = 0


def capping_playbooks(playbooks: Sequence[Playbook]) -> list[Playbook]:
    """Return the playbooks whose cap on contacts holds back overdue steps, in the order of their numbers in the plan."""
    return [each for each in playbooks if each.contact_cap and each.escalate_to and each.due_ms]
