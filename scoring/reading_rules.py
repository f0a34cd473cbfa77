"""Bands, overrides, rules and playbooks of a model file: when somebody is told, and what they should do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scoring import caps
from scoring.conduct import ACCOUNT_OWNER, AccountCap, Conduct, Flapping, Playbook, Suppression
from scoring.expressions import Expression, Opcode, compile_expression
from scoring.model import ALERT_SEVERITIES, GREEN, Band, Override, Rule
from scoring.plan import SUPPRESSIONS
from scoring.reading import CODE, DASHED, IDENTIFIER, Table, shown
from scoring.variables import Variables, nearest

MAX_BANDS = 6
MAX_OVERRIDES = 16
MAX_RULES = 48
MAX_PLAYBOOKS = 48
MAX_ROLES = 20
MAX_CONTACTS = 20
"""As many deeds as are kept of an account."""
MAX_HOLDOUT_PERCENT = 50
"""Withholding help from more than half of the accounts measures nothing better."""

_NEVER = Expression("", ((int(Opcode.PUSH), 0.0),), 1)
"""Stands in for a condition with faults; no Model is built from it."""


def playbook_tables(root: Table) -> dict[str, Table]:
    """Return the playbooks' tables by name, sorted: bands name playbooks, and playbooks read what knows the bands."""
    return root.tables("playbooks", MAX_PLAYBOOKS, DASHED)


def read_playbooks(tables: Mapping[str, Table], variables: Variables) -> dict[str, Playbook]:
    """Return the playbooks by name."""
    found = {}
    for name, table in tables.items():
        found[name] = Playbook(
            name=name,
            goal=table.text("goal", ""),
            owner=table.text("owner", ACCOUNT_OWNER),
            steps=table.texts("steps", required=True),
            due_ms=table.duration_ms("due", "7d"),
            channels=table.texts("channels"),
            holdout_percent=table.whole("holdout_percent", 0, 0, MAX_HOLDOUT_PERCENT),
            escalate_to=table.text("escalate_to", ""),
            suppress=_suppressions(table, variables),
            contact_cap=table.whole("contact_cap", 0, 0, MAX_CONTACTS),
            contact_within_ms=table.duration_ms("contact_within", "14d"),
            recover_within_ms=table.duration_ms("recover_within", "30d"),
        )
        _check_outreach(table)
        table.finish()
    return found


def _suppressions(table: Table, variables: Variables) -> tuple[Suppression, ...]:
    given = table.table("suppress")
    if len(given.keys()) > SUPPRESSIONS:
        table.note("suppress")(f"at most {SUPPRESSIONS} of them", str(len(given.keys())), "join conditions by or")
    found = []
    for name in given.keys():  # noqa: SIM118 - a Table is not a mapping
        if not DASHED.fullmatch(name):
            given.note(name)("a reason such as 'objected'", f"'{name}'", "use lower case, digits and dashes")
        when = _condition(given, variables, name)
        _refuse_circular(given, name, when, variables, "a suppression is judged wherever an alert is announced")
        found.append(Suppression(name, when))
    return tuple(found)


def _check_outreach(table: Table) -> None:
    for key in ("suppress", "contact_cap"):
        if key in table and "channels" not in table:
            table.note("channels")("how people get in touch", "nothing", f"{key} speaks of them: name them")
    if "contact_within" in table and "contact_cap" not in table:
        table.note("contact_cap")("how often within that time", "nothing", "give both, or neither")


def read_bands(root: Table, playbooks: Sequence[str]) -> list[Band]:
    """Return the bands from the worst up: at least one, thresholds rising, each left above where it is entered."""
    bands: list[Band] = []
    tables = root.rows("bands", MAX_BANDS)
    if not tables:
        root.note("bands")("at least one band", "none", "add [[bands]] with name, enter_below and leave_above")
    for index, table in enumerate(tables):
        name = table.text("name", pattern=IDENTIFIER)
        enter_below = table.number("enter_below", None, 0.0, 100.0)
        leave_above = table.number("leave_above", None, 0.0, 100.0)
        band = Band(
            name=name,
            enter_below=enter_below,
            leave_above=leave_above,
            dwell_ms=table.duration_ms("dwell", "24h"),
            severity=table.choice("severity", ALERT_SEVERITIES, "critical" if index == 0 else "warning"),
            alert=table.truth("alert", default=True),
            playbook=_playbook(table, playbooks),
            conduct=_conduct(table, "critical" if index == 0 else "warning"),
        )
        table.finish()
        _check_band(table, band, bands)
        bands.append(band)
    return bands


def _check_band(table: Table, band: Band, worse: list[Band]) -> None:
    if band.name in (GREEN, "insufficient_data"):
        table.note("name")("another name", f"'{band.name}'", "green and insufficient_data are implicit")
    if band.name in [other.name for other in worse]:
        table.note("name")("a name of its own", f"'{band.name}' again", "rename it")
    if band.leave_above <= band.enter_below and {"enter_below", "leave_above"} <= set(table.keys()):
        expected = f"more than {band.enter_below:g} (enter_below)"
        table.note("leave_above")(expected, f"{band.leave_above:g}", "without a gap noise makes the band flap")
    if not worse:
        return
    for key, own, other in (
        ("enter_below", band.enter_below, worse[-1].enter_below),
        ("leave_above", band.leave_above, worse[-1].leave_above),
    ):
        if own <= other and key in table:
            table.note(key)(
                f"more than {other:g} (bands[{len(worse) - 1}])", f"{own:g}", "bands must rise, worst first"
            )


def read_overrides(root: Table, variables: Variables) -> list[Override]:
    """Return the caps and floors; their conditions read nothing that depends on health."""
    found: list[Override] = []
    for table in root.rows("overrides", MAX_OVERRIDES):
        name = _own_name(table, [item.name for item in found])
        when = _condition(table, variables)
        _refuse_circular(table, "when", when, variables, "an override changes health itself")
        cap = table.optional_number("cap", 0.0, 100.0)
        floor = table.optional_number("floor", 0.0, 100.0)
        if ("cap" in table) == ("floor" in table):
            table.note("cap")("either cap or floor", "both" if "cap" in table else "neither", "give one of them")
        found.append(
            Override(
                name=name,
                when=when,
                cap=cap,
                floor=floor,
                code=table.text("code", _code(name), pattern=CODE),
                title=table.text("title", name.replace("-", " ")),
                for_ms=table.optional_duration_ms("for"),
            ),
        )
        table.finish()
    return found


def read_rules(root: Table, variables: Variables, playbooks: Sequence[str], bands: Sequence[str]) -> list[Rule]:
    """Return the rules; names differ from each other and from those of the bands' own alerts."""
    found: list[Rule] = []
    for table in root.rows("rules", MAX_RULES):
        name = _own_name(table, [item.name for item in found])
        if name in [band_rule_name(band) for band in bands]:
            table.note("name")("a name that no band's own alert has", f"'{name}'", "rename it")
        every_ms = _every(table)
        severity = "info" if every_ms else "warning"
        conduct = _conduct(table, severity)
        found.append(
            Rule(
                name=name,
                when=_condition(table, variables),
                for_ms=every_ms or table.duration_ms("for", "0h"),
                keep_firing_for_ms=table.duration_ms("keep_firing_for", "0h" if every_ms else "24h"),
                severity=table.choice("severity", ALERT_SEVERITIES, severity),
                playbook=_playbook(table, playbooks),
                code=table.text("code", _code(name), pattern=CODE),
                title=table.text("title", name.replace("-", " ")),
                conduct=replace(conduct, repeat_ms=every_ms, every_ms=every_ms) if every_ms else conduct,
            ),
        )
        table.finish()
    return found


def _every(table: Table) -> int:
    """Return how often a review asks, 0 for an alert; what that already says is not said a second time."""
    every_ms = table.optional_duration_ms("every") or 0
    for key in ("for", "repeat", "refractory") if every_ms else ():
        if key in table:
            table.raw(key)
            table.note(key)(
                "nothing beside every", shown(table.raw(key)), "leave it out: every says when it asks again"
            )
    return every_ms


def read_account_cap(root: Table) -> AccountCap | None:
    """Return how many alerts of an account may begin within some days, None where the file does not say."""
    if "account_cap" not in root:
        root.raw("account_cap")
        return None
    table = root.table("account_cap")
    cap = AccountCap(table.whole("count", None, 1, caps.MOST), table.whole("days", caps.SLOTS, 1, caps.SLOTS))
    table.finish()
    return cap


def read_roles(root: Table) -> tuple[tuple[str, str], ...]:
    """Return who has which role, by role."""
    table = root.table("roles")
    if len(table.keys()) > MAX_ROLES:
        root.note("roles")(f"at most {MAX_ROLES} of them", str(len(table.keys())), "leave some out")
    for name in table.keys():  # noqa: SIM118 - a Table is not a mapping
        if name == ACCOUNT_OWNER or not IDENTIFIER.fullmatch(name):
            table.note(name)(
                "a role such as 'support_lead'", f"'{name}'", "rename it; account_owner is the account's own"
            )
    return tuple(sorted((name, table.text(name)) for name in table.keys()))  # noqa: SIM118


def read_flapping(root: Table) -> Flapping | None:
    """Return when rules count as flapping, None where the file does not say."""
    if "flapping" not in root:
        root.raw("flapping")
        return None
    table = root.table("flapping")
    flapping = Flapping(table.whole("enter_percent", 30, 1, 100), table.whole("leave_percent", 15, 0, 99))
    if flapping.leave_percent >= flapping.enter_percent:
        expected = f"less than {flapping.enter_percent} (enter_percent)"
        table.note("leave_percent")(expected, str(flapping.leave_percent), "without a gap flapping itself would flap")
    table.finish()
    return flapping


def check_mutes(root: Table, bands: Sequence[Band], rules: Sequence[Rule]) -> None:
    """Note what an alert cannot mute: only later ones, so that one pass over the rules decides; bands come first."""
    order = [band_rule_name(band.name) for band in bands if band.alert] + [rule.name for rule in rules]
    conducts = [(f"bands[{k}]", band_rule_name(band.name), band.conduct) for k, band in enumerate(bands)]
    conducts += [(f"rules[{k}]", rule.name, rule.conduct) for k, rule in enumerate(rules)]
    for place, own, conduct in conducts:
        later = order[order.index(own) + 1 :] if own in order else []
        for name in conduct.mutes:
            if name not in later:
                advice = nearest(name, later) or "declare it below this one; bands come before rules"
                root.note(f"{place}.mutes")("rules that stand later", f"'{name}'", advice)


def _conduct(table: Table, severity: str) -> Conduct:
    severe = ALERT_SEVERITIES.index
    given = table.raw("severity")
    own = given if isinstance(given, str) and given in ALERT_SEVERITIES else severity
    after_ms = table.optional_duration_ms("escalate_after") or 0
    table.raw("escalate_to")
    to = table.choice("escalate_to", ALERT_SEVERITIES, "critical") if after_ms or "escalate_to" in table else ""
    if to and not after_ms:
        table.note("escalate_after")("a duration such as '3d'", "nothing", "say how long it may go unanswered")
    if to and severe(to) <= severe(own):
        table.note("escalate_to")(f"more than {own} (severity)", to, "leave escalation out, or begin milder")
    return Conduct(
        refractory_ms=table.optional_duration_ms("refractory") or 0,
        repeat_ms=table.optional_duration_ms("repeat") or 0,
        escalate_after_ms=after_ms,
        escalate_to=to,
        mutes=table.texts("mutes"),
    )


def band_rule_name(band: str) -> str:
    """Return the name of the rule that a band's own alert goes by."""
    return f"band-{band}"


def _own_name(table: Table, taken: Sequence[str]) -> str:
    name = table.text("name", pattern=DASHED)
    if name in taken:
        table.note("name")("a name of its own", f"'{name}' again", "rename it")
    return name


def _condition(table: Table, variables: Variables, key: str = "when") -> Expression:
    text = table.text(key)
    return (compile_expression(text, variables, table.note(key)) if text else None) or _NEVER


def _refuse_circular(table: Table, key: str, when: Expression, variables: Variables, why: str) -> None:
    circular = variables.circular([int(arg) for op, arg in when.program if op == Opcode.LOAD])
    if circular:
        expected, given = "variables that do not depend on health", ", ".join(f"'{c}'" for c in circular)
        table.note(key)(expected, given, f"use sub-scores, values and attributes: {why}")


def _playbook(table: Table, playbooks: Sequence[str]) -> str | None:
    if "playbook" not in table:
        table.raw("playbook")
        return None
    name = table.text("playbook")
    if name not in playbooks:
        advice = nearest(name, playbooks) or f"declare it under [playbooks.{name}]"
        table.note("playbook")("a declared playbook", f"'{name}'", advice)
    return name


def _code(name: str) -> str:
    return name.upper().replace("-", "_")
