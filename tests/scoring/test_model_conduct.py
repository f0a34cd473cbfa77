"""Conduct in model files: what is read, what is refused, what is said of it, and that it is part of the meaning."""

import pytest

from scoring.conduct import Conduct, Flapping
from scoring.flapping import ESCALATED, FLAPPING, changed, share
from scoring.parse import parse
from scoring.words import describe
from tests.scoring.model_files import faults_of, small


def with_conduct() -> dict:
    """The small model with every key of conduct once."""
    content = small()
    content["bands"][0] |= {"mutes": ["band-yellow", "overdue"], "repeat": "7d"}
    content["rules"][0] |= {"escalate_after": "3d", "refractory": "2d"}
    return content | {"flapping": {"enter_percent": 40}}


def test_conduct_is_read() -> None:
    """Bands and rules take the same keys; what is not said is the default."""
    model = parse(with_conduct(), "m.toml")
    assert model.bands[0].conduct == Conduct(repeat_ms=604_800_000, mutes=("band-yellow", "overdue"))
    assert model.bands[1].conduct == Conduct()
    assert model.rules[0].conduct == Conduct(
        refractory_ms=172_800_000, escalate_after_ms=259_200_000, escalate_to="critical"
    )
    assert model.flapping == Flapping(40, 15)
    assert parse(small(), "m.toml").flapping is None


def test_conduct_is_told_in_words() -> None:
    """`model show` says it where the band or rule stands."""
    said = describe(parse(with_conduct(), "m.toml"))
    assert "critical alert; again every 7d; mutes band-yellow, overdue" in said
    assert "→ rescue; critical when unanswered for 3d; not again for 2d" in said
    assert "changed on 40% of the last 21 days stays open until that is below 15%" in said


def test_conduct_is_part_of_the_meaning() -> None:
    """Each key changes the fingerprint; a file that says nothing of it keeps the one it had before there was such a thing."""
    prints = {parse(small(), "m.toml").fingerprint, parse(with_conduct(), "m.toml").fingerprint}
    for key, value in (("repeat", "1d"), ("refractory", "1d"), ("escalate_after", "1d"), ("mutes", ["overdue"])):
        content = small()
        content["bands"][1][key] = value
        prints.add(parse(content, "m.toml").fingerprint)
    assert len(prints) == 6
    content = small()
    content["bands"][1]["repeat"] = "0h"
    assert parse(content, "m.toml").fingerprint == parse(small(), "m.toml").fingerprint


@pytest.mark.parametrize(
    ("place", "fields", "fault"),
    [
        (
            "rules",
            {"mutes": ["band-red"]},
            "$.rules[0].mutes: expected rules that stand later, got 'band-red' — declare it below this one; bands come before rules",
        ),
        (
            "bands",
            {"mutes": ["overdu"]},
            "$.bands[0].mutes: expected rules that stand later, got 'overdu' — did you mean 'overdue'?",
        ),
        (
            "bands",
            {"escalate_after": "1d"},
            "$.bands[0].escalate_to: expected more than critical (severity), got critical — leave escalation out, or begin milder",
        ),
        (
            "rules",
            {"escalate_to": "critical"},
            "$.rules[0].escalate_after: expected a duration such as '3d', got nothing — say how long it may go unanswered",
        ),
    ],
)
def test_conduct_that_cannot_be_is_a_fault(place: str, fields: dict, fault: str) -> None:
    """Muting what stands earlier or nowhere, and escalating to no more than it is or after no time."""
    content = small()
    content[place][0] |= fields
    assert faults_of(content) == [f"m.toml {fault}"]


def test_flapping_needs_a_gap() -> None:
    """Thresholds that touch would make flapping flap."""
    assert faults_of(small() | {"flapping": {"enter_percent": 10, "leave_percent": 10}}) == [
        "m.toml $.flapping.leave_percent: expected less than 10 (enter_percent), got 10 — without a gap flapping itself would flap"
    ]


def test_days_weigh_less_the_older_they_are() -> None:
    """Today 1.2, twenty days ago 0.8, then nothing; two changes of one day count once; marks stay."""
    history = changed(changed(0, 20_000) | FLAPPING, 20_000)
    assert [share(history, 20_000 + age) for age in (0, 1, 20, 21, 400)] == [120, 118, 80, 0, 0]
    later = changed(history | ESCALATED, 20_020)
    assert share(later, 20_020) == 200
    assert later & FLAPPING
    assert later & ESCALATED
    every = 0
    for day in range(20_000, 20_021):
        every = changed(every, day)
    assert share(every, 20_020) == 2100


def with_playbook() -> dict:
    """The small model with a playbook that says all it can."""
    content = small()
    content["playbooks"]["rescue"] |= {"owner": "support_lead", "channels": ["call", "mail"], "holdout_percent": 20}
    return content | {"roles": {"support_lead": "eve@example.com"}}


def test_playbooks_name_roles_channels_and_holdout() -> None:
    """They are read, told in words, and part of the meaning; a file that says nothing of them keeps its fingerprint."""
    model = parse(with_playbook(), "m.toml")
    assert (model.playbooks[0].channels, model.playbooks[0].holdout_percent) == (("call", "mail"), 20)
    assert model.roles == (("support_lead", "eve@example.com"),)
    said = describe(model)
    assert "rescue (support_lead, within 7d, by call, mail)" in said
    assert "not for 20% of accounts, to measure its effect" in said
    prints = {parse(small(), "m.toml").fingerprint, model.fingerprint}
    for field in ("channels", "holdout_percent", "owner"):
        content = with_playbook()
        del content["playbooks"]["rescue"][field]
        prints.add(parse(content, "m.toml").fingerprint)
    assert len(prints) == 5


def test_roles_that_cannot_be_are_faults() -> None:
    """A role that would hide the account's owner, and more than half of the accounts without help."""
    content = with_playbook() | {"roles": {"account_owner": "eve@example.com"}}
    content["playbooks"]["rescue"]["holdout_percent"] = 60
    assert faults_of(content) == [
        "m.toml $.playbooks.rescue.holdout_percent: expected a whole number from 0 to 50, got 60 — change it",
        "m.toml $.roles.account_owner: expected a role such as 'support_lead', got 'account_owner' — rename it; account_owner is the account's own",
    ]


def test_steps_of_nobody_draw_a_warning() -> None:
    """Accounts without an owner fall to the model's; a model without one is told so."""
    sentence = "the model has no owner: the next steps of accounts without one are nobody's"
    assert sentence in parse(small(), "m.toml").warnings
    assert sentence not in parse(small() | {"owner": "cs@example.com"}, "m.toml").warnings
