"""Real alerts fit their contract, header by header and field by field."""

import msgspec
import pytest

from state.moments import rfc3339
from streams.alert_contract import HEADERS, Alert
from tests.oracle import alert_id
from tests.state.journals import DAY, HOUR, START
from tests.state.looking import feed, partition_for
from tests.state.test_conduct import flap, low, model_of, scores


class Whole(Alert, forbid_unknown_fields=True):
    """An alert without a field that the contract does not name."""


def every_kind() -> list:
    """Alerts of every state, with every member that is there only sometimes."""
    log = flap(12)
    log.event("accounts", "a", START + 12 * DAY, name="Acme", segment="smb", plan="starter", owner="ann@x")
    scores(log, (12 * 24 + 1, 2))
    log.tick(START + 20 * DAY)
    identity = alert_id("a", "low", 7)
    for hours, fields in ((1, {"command": "step_done", "step": "ring"}), (2, {"command": "acknowledge"}),
                          (3, {"command": "snooze", "until": rfc3339(START + 22 * DAY)})):  # fmt: skip
        log.event("commands", "a", START + 20 * DAY + hours * HOUR, alert_id=identity, by="ann", **fields)
    log.tick(START + 23 * DAY)
    log.event("outcomes", "a", START + 24 * DAY, outcome="churned")
    rules = [low(severity="warning", repeat="1d", escalate_after="3d", playbook="call")]
    playbook = {"steps": ["ring"], "channels": ["call"], "holdout_percent": 50}
    model = model_of(rules, flapping={"enter_percent": 20, "leave_percent": 2}, playbooks={"call": playbook})
    return feed(partition_for(model), log.journal).take_flush().alerts


def test_alerts_fit_their_contract() -> None:
    """Nothing is missing, nothing unknown, no type another; together these alerts show every member there is."""
    seen: set[str] = set()
    states = set()
    for message in every_kind():
        alert = msgspec.json.decode(message.value, type=Whole)
        states.add(alert.state)
        seen |= {name for name in Alert.__struct_fields__ if getattr(alert, name) is not msgspec.UNSET}
        assert [name for name, _ in message.headers] == list(HEADERS)
        assert dict(message.headers)["ce_id"].decode() == f"{alert.alert_id}-{alert.sequence}"
    assert states == {"firing", "acknowledged", "snoozed", "resolved"}
    # These three need a model of their own: tests/state/test_conduct.py and test_next_steps.py have them.
    assert sorted(set(Alert.__struct_fields__) - seen - {"repeated", "overdue", "capped"}) == []


def test_the_contract_refuses_what_is_no_alert() -> None:
    """A severity that does not exist is a fault: the types check."""
    (first, *_) = every_kind()
    with pytest.raises(msgspec.ValidationError, match=r"severity"):
        msgspec.json.decode(first.value.replace(b'"warning"', b'"grave"'), type=Whole)
