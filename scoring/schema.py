"""JSON Schema of model files, for editors: completion and first checks while typing.

It describes shapes and names. What needs the whole file (a signal that exists, bands that rise, conditions that
compile) is checked by `scoring.parse` only.
"""

from collections.abc import Mapping, Sequence

from scoring.caps import MOST, SLOTS
from scoring.model import ALERT_SEVERITIES, ITEM_SEVERITIES, TOPICS, Direction
from scoring.plan import SUPPRESSIONS
from scoring.reading import CODE, DASHED, IDENTIFIER
from scoring.reading_inputs import MAX_KNOTS
from scoring.segments import ATTRIBUTES as SEGMENTING
from scoring.values import ATTRIBUTES, MEASURE_FIELDS

Schema = dict[str, object]
Keys = dict[str, Schema]

_TEXT: Schema = {"type": "string"}
_DURATION: Schema = {"type": "string", "pattern": r"^\d{1,6}(ms|s|m|h|d|w)$", "examples": ["24h", "14d"]}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}


def json_schema() -> Schema:
    """Return the schema (draft 2020-12) of a model file."""
    top: Keys = {
        "name": _pattern(DASHED.pattern, "what the model is called"),
        "version": {"type": "integer", "minimum": 1},
        "owner": _said("who answers for the model"),
        "approver": _said("who approved this version; not its author"),
        "note": _said("what changed in this version"),
        "horizon": {**_DURATION, "default": "90d", "description": "the time ahead that risk and expansion speak of"},
        "outcome": {**_TEXT, "default": "churned", "description": "churned, or silence:TOPIC[:EVENT]:DURATION"},
        "minimum_coverage": _number(0, 1, "with less of the weight known: insufficient data"),
        "signals": _named(IDENTIFIER.pattern, _signal()),
        "inputs": _named(IDENTIFIER.pattern, _input()),
        "overrides": {"type": "array", "items": _override()},
        "bands": {"type": "array", "minItems": 1, "items": _band()},
        "rules": {"type": "array", "items": _rule()},
        "playbooks": _named(DASHED.pattern, _playbook()),
        "risk": _propensity("probability of the outcome within the horizon"),
        "expansion": _propensity("probability of an expansion within the horizon"),
        "value": _value(),
        "flapping": _flapping(),
        "roles": {"type": "object", "additionalProperties": _TEXT, "description": "role → who has it"},
        "account_cap": _account_cap(),
        "groups": _named(IDENTIFIER.pattern, _group()),
        "segments": _named(DASHED.pattern, _segment()),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bellwether model",
        **_table(top, required=("name", "version", "inputs", "bands")),
    }


def _signal() -> Schema:
    measures = [
        f"{kind}({field})" if field else str(kind)
        for kind, fields in MEASURE_FIELDS.items()
        for field in fields or ("",)
    ]
    keys: Keys = {
        "from": {"enum": list(TOPICS)},
        "measure": {"enum": measures, "default": "count"},
        "events": {**_TEXTS, "description": "event names that count; all where absent"},
        "open": {**_TEXTS, "description": "open_items: event names that open an item"},
        "close": {**_TEXTS, "description": "open_items: event names that close it"},
        "escalate": {**_TEXTS, "description": "open_items: event names that raise its severity"},
        "severity": {"enum": list(ITEM_SEVERITIES), "description": "open_items: the mildest that counts"},
        "dispersion": _number(1, 1000, "variance over mean of the daily numbers; 1 = events come alone"),
        "title": _said("what people call it"),
        "unit": _TEXT,
    }
    return _table(keys, required=("from",))


def _input() -> Schema:
    knot: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    examples = [
        "momentum(s)",
        "surprise(s)",
        "silence(s)",
        "momentum(s, cohort)",
        "rate(s, 30d)",
        "sum(s, 14d)",
        "age(s)",
        "burn(a, b, 0.02, 1d, 7d)",
        *ATTRIBUTES,
    ]
    keys: Keys = {
        "value": {**_TEXT, "examples": examples},
        "curve": {"type": "array", "items": knot, "minItems": 2, "description": "points [value, sub-score], rising"},
        "steps": {
            "type": "array",
            "items": knot,
            "minItems": 2,
            "maxItems": MAX_KNOTS,
            "description": "instead of a curve: points [value, sub-score], rising; from each value on its sub-score",
        },
        "categories": {"type": "object", "additionalProperties": _number(0, 100, "sub-score")},
        "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
        "reference": _number(0, 100, "sub-score of a healthy account"),
        "valid_for": {**_DURATION, "description": "how long a fact entered by hand is trusted"},
        "direction": {"enum": [str(item) for item in Direction]},
        "title": _TEXT,
        "unit": _TEXT,
        "code": _pattern(CODE.pattern, "reason code"),
        "group": _said("name of the group it belongs to"),
    }
    return _table(keys, required=("value", "weight"))


def _group() -> Schema:
    weight: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1000}
    return _table({"weight": {**weight, "description": "shared out among its inputs"}, "title": _TEXT})


def _segment() -> Schema:
    limits: Keys = {
        "enter_below": _number(0, 100, "health below this enters the band"),
        "leave_above": _number(0, 100, "health above this leaves it; more than enter_below"),
        "dwell": _DURATION,
    }
    weights = {"type": "object", "additionalProperties": _number(0, 1000, "weight in this segment; 0 = does not count")}
    keys: Keys = {
        "where": {
            **_table(dict.fromkeys(SEGMENTING, _TEXTS)),
            "description": "who; the segment of that name if absent",
        },
        "weights": {**weights, "description": "input → weight"},
        "groups": {**weights, "description": "group → weight"},
        "bands": _named(IDENTIFIER.pattern, _table(limits)),
    }
    return {**_table(keys), "description": "accounts with weights or bands of their own"}


def _override() -> Schema:
    keys: Keys = {
        "name": _pattern(DASHED.pattern),
        "when": _said("condition over sub-scores, values and attributes"),
        "cap": _number(0, 100, "health is at most this"),
        "floor": _number(0, 100, "health is at least this"),
        "for": {**_DURATION, "description": "ends this long after the condition became true"},
        "title": _TEXT,
        "code": _pattern(CODE.pattern, "reason code"),
    }
    return _table(keys, required=("name", "when"))


def _band() -> Schema:
    keys: Keys = {
        "name": _pattern(IDENTIFIER.pattern),
        "enter_below": _number(0, 100, "health below this enters the band"),
        "leave_above": _number(0, 100, "health above this leaves it; more than enter_below"),
        "dwell": {**_DURATION, "default": "24h", "description": "how long health must stay beyond the threshold"},
        "severity": {"enum": list(ALERT_SEVERITIES)},
        "alert": {"type": "boolean", "default": True},
        "playbook": _TEXT,
        **_conduct(),
    }
    return _table(keys, required=("name", "enter_below", "leave_above"))


def _rule() -> Schema:
    keys: Keys = {
        "name": _pattern(DASHED.pattern),
        "when": _said("condition, such as slope < -0.5 and days_to_renewal < 90"),
        "for": {**_DURATION, "default": "0h", "description": "how long it must hold before the alert fires"},
        "keep_firing_for": {**_DURATION, "default": "24h", "description": "how long it must be false to resolve"},
        "severity": {"enum": list(ALERT_SEVERITIES), "default": "warning"},
        "every": {**_DURATION, "description": "a review: asked so long after its condition began, or was answered"},
        "playbook": _TEXT,
        "title": _TEXT,
        "code": _pattern(CODE.pattern, "reason code"),
        **_conduct(),
    }
    return _table(keys, required=("name", "when"))


def _conduct() -> Keys:
    return {
        "refractory": {**_DURATION, "description": "how long after it resolved it does not fire again"},
        "repeat": {**_DURATION, "description": "how often it is announced again while nobody answers"},
        "escalate_after": {**_DURATION, "description": "how long it may go unanswered before its severity rises"},
        "escalate_to": {"enum": list(ALERT_SEVERITIES), "default": "critical"},
        "mutes": {**_TEXTS, "description": "later rules that do not fire while this one is open"},
    }


def _flapping() -> Schema:
    keys: Keys = {
        "enter_percent": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30},
        "leave_percent": {"type": "integer", "minimum": 0, "maximum": 99, "default": 15},
    }
    return {**_table(keys), "description": "share of the last 21 days with a change, newer ones weighing more"}


def _account_cap() -> Schema:
    keys: Keys = {
        "count": {"type": "integer", "minimum": 1, "maximum": MOST},
        "days": {"type": "integer", "minimum": 1, "maximum": SLOTS, "default": SLOTS},
    }
    return {**_table(keys, required=("count",)), "description": "how many alerts of an account may begin in some days"}


def _playbook() -> Schema:
    keys: Keys = {
        "goal": _TEXT,
        "owner": {**_TEXT, "default": "account_owner"},
        "steps": _TEXTS,
        "due": {**_DURATION, "default": "7d"},
        "channels": {**_TEXTS, "description": "how, in the order to try, such as call, mail"},
        "holdout_percent": {
            "type": "integer",
            "minimum": 0,
            "maximum": 50,
            "default": 0,
            "description": "share of accounts for which nothing is done, to measure its effect",
        },
        "escalate_to": _said("who has the step once it is overdue: a role, or a name"),
        "suppress": {
            "type": "object",
            "maxProperties": SUPPRESSIONS,
            "patternProperties": {f"^{DASHED.pattern}$": _TEXT},
            "additionalProperties": False,
            "description": "reason → condition under which nobody gets in touch",
        },
        "contact_cap": {"type": "integer", "minimum": 0, "maximum": 20, "description": "outreaches to an account …"},
        "contact_within": {**_DURATION, "default": "14d", "description": "… within this time"},
        "recover_within": {**_DURATION, "default": "30d", "description": "how soon the account should be green again"},
    }
    return _table(keys, required=("steps",))


def _propensity(description: str) -> Schema:
    coefficient: Schema = {
        "anyOf": [{"type": "number"}, {"type": "object", "additionalProperties": {"type": "number"}}]
    }
    keys: Keys = {
        "intercept": _number(-20, 20, "log-odds of a healthy account"),
        "calibration": {
            "type": "array",
            "minItems": 2,
            "maxItems": MAX_KNOTS,
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "description": "points [log-odds, log-odds], rising: what becomes of the sum of the terms",
        },
        "terms": {"type": "object", "additionalProperties": coefficient},
    }
    return {**_table(keys), "description": description}


def _value() -> Schema:
    keys: Keys = {
        "expected_uplift": _number(0, 10, "extra revenue of an expansion, as a share of the yearly revenue"),
        "engagement_cost": _number(0, 1e12, "cost of working one account for one horizon"),
        "margin": _number(0, 1, "share of revenue that is kept"),
        "risky_from": _number(0, 1, "risk from which an account is one to rescue, or to protect"),
        "expanding_from": _number(0, 1, "expansion from which an account is one to grow, or to protect"),
    }
    return _table(keys)


def _table(keys: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    return {"type": "object", "properties": dict(keys), "required": list(required), "additionalProperties": False}


def _named(pattern: str, item: Schema) -> Schema:
    return {"type": "object", "patternProperties": {f"^{pattern}$": item}, "additionalProperties": False}


def _said(description: str) -> Schema:
    return {**_TEXT, "description": description}


def _pattern(pattern: str, description: str = "") -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$", **({"description": description} if description else {})}


def _number(low: float, high: float, description: str) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high, "description": description}
