"""What is allowed in a model file but doubtful, each with its reason."""

from scoring.conduct import ACCOUNT_OWNER
from scoring.expressions import Opcode
from scoring.model import Model, TermKind
from scoring.values import READ_BY_TERMS, seat_signal

MANY_INPUTS = 8
LIGHT_SHARE = 0.03
"""An input of less weight moves no score that anybody reads: it is there for the risk's terms."""
NARROW_GAP = 3.0
"""Points between a band's thresholds that day-to-day noise of a healthy account spans easily."""


def doubts_of(model: Model) -> tuple[str, ...]:
    """Return sentences about a checked model, in the order of the file's parts."""
    found = []
    used = _used_signals(model)
    found += [
        f"signal '{signal.name}' is read by nothing: it costs memory for every account"
        for signal in model.signals
        if signal.name not in used
    ]
    total = sum(entry.weight for entry in model.inputs)
    heavy = [entry for entry in model.inputs if entry.weight >= LIGHT_SHARE * total]
    if len(heavy) > MANY_INPUTS:
        found.append(
            f"{len(heavy)} inputs: beyond {MANY_INPUTS}, weak inputs dilute strong ones and a move can no longer be "
            "read off the score. One published comparison found 14 inputs right in 52 % of cases at 90 days, six with "
            "two human ones in 81 %. Drop what `bellwether backtest` shows to add nothing",
        )
    found += [
        f"band '{band.name}' is left only {band.leave_above - band.enter_below:g} points above where it is entered: "
        "a healthy account's noise may cross both"
        for band in model.bands
        if band.leave_above - band.enter_below < NARROW_GAP
    ]
    proposed = {band.playbook for band in model.bands} | {rule.playbook for rule in model.rules}
    found += [
        f"playbook '{playbook.name}' is proposed by no band or rule"
        for playbook in model.playbooks
        if playbook.name not in proposed
    ]
    if not model.owner and any(playbook.owner == ACCOUNT_OWNER for playbook in model.playbooks):
        found.append("the model has no owner: the next steps of accounts without one are nobody's")
    return tuple(found)


def _used_signals(model: Model) -> set[str]:
    values = [item.value for item in model.inputs] + list(model.hidden)
    terms = (*model.risk.terms, *model.expansion.terms)
    used = {name for value in values for name in (value.signal, value.other)}
    used |= {term.target for term in terms if term.kind in READ_BY_TERMS}
    if any(term.kind is TermKind.SEAT_USE for term in terms) or "seat_use" in _loaded(model):
        used.add(seat_signal({signal.name: signal for signal in model.signals}) or "")
    return used


def _loaded(model: Model) -> set[str]:
    """Return the names of the variables that rules and overrides read."""
    programs = [rule.when.program for rule in model.rules] + [item.when.program for item in model.overrides]
    programs += [each.when.program for playbook in model.playbooks for each in playbook.suppress]
    return {model.variables[int(arg)] for program in programs for op, arg in program if op == Opcode.LOAD}
