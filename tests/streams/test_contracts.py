"""The published contract says what the decoder does."""

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.decode import decode_event
from state.events import EVENT_TYPES
from state.rejections import Rejection
from streams.contracts import asyncapi_document, document_text

DOCUMENT = asyncapi_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
TOPICS = [topic for topic in DOCUMENT["channels"] if topic not in ("alerts", "dead-letters")]
TYPES = {"string": str, "integer": int, "number": int | float, "object": dict, "array": list, "null": type(None)}


def is_type(name: str, value: object) -> bool:
    return isinstance(value, TYPES[name]) and not isinstance(value, bool)


def fits_text(schema: dict, text: str) -> bool:
    is_sized = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", math.inf)
    return is_sized and re.search(schema.get("pattern", ""), text) is not None


def fits_object(schema: dict, value: dict) -> bool:
    known = schema.get("properties", {})
    has_required = all(name in value for name in schema.get("required", ()))
    return has_required and all(fits(known[name], one) for name, one in value.items() if name in known)


def fits(schema: dict, value: object) -> bool:
    """Return whether a value fits a schema: the keywords that our document uses, formats aside."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rsplit("/", 1)[1]]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        ("enum" not in schema or value in schema["enum"])
        and ("type" not in schema or is_type(schema["type"], value))
        and ("anyOf" not in schema or any(fits(option, value) for option in schema["anyOf"]))
        and (not isinstance(value, str) or fits_text(schema, value))
        and (not is_number or schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf))
        and (not isinstance(value, list) or len(value) <= schema.get("maxItems", math.inf))
        and (not isinstance(value, list) or all(fits(schema.get("items", {}), one) for one in value))
        and (not isinstance(value, dict) or fits_object(schema, value))
    )


def references(node: object) -> list[str]:
    """Return every `$ref` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for child in node.values() for found in references(child)]
    return [found for child in node for found in references(child)] if isinstance(node, list) else []


def test_the_file_is_current():
    """`python -m streams.contracts > deploy/asyncapi.json` changes nothing."""
    path = Path(__file__).parents[2] / "deploy" / "asyncapi.json"
    assert path.read_text(encoding="utf-8") == document_text()


def test_every_reference_leads_somewhere():
    """The document is whole."""
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        node = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_topic_that_producers_write_has_a_channel():
    """Nothing that is decoded is undocumented, except Bellwether's own ticks."""
    assert set(TOPICS) == set(EVENT_TYPES) - {"ticks"}


AT = "2026-03-01T12:00:00Z"
COMMON = {"id": "1", "account_id": "acme", "occurred_at": AT, "event": "login", "outcome": "renewed", "command": "note"}
values = st.sampled_from(
    [
        None,
        True,
        0,
        1,
        -1,
        0.5,
        -0.5,
        101,
        "",
        "x",
        "1",
        "1.5",
        "-1",
        AT,
        "low",
        "active",
        "x" * 257,
        "1" * 65,
        [],
        ["a"],
        [""],
        {},
    ]
) | st.fixed_dictionaries(
    {}, optional={"champion": st.sampled_from(["active", "odd", None]), "at": st.sampled_from([AT, None, 3])}
)


@pytest.mark.parametrize("topic", TOPICS)
@settings(deadline=None)
@given(data=st.data())
def test_schema_and_decoder_agree(topic, data):
    """A value that fits the schema is accepted, and one that does not is refused, formats of times and ranges aside."""
    schema = SCHEMAS[EVENT_TYPES[topic].__name__]
    event = {name: value for name, value in COMMON.items() if name in schema["properties"]}
    event |= data.draw(st.dictionaries(st.sampled_from([*schema["properties"], "unknown"]), values, max_size=2))
    for name in data.draw(st.sets(st.sampled_from(list(event)), max_size=1)):
        del event[name]
    decoded = decode_event(topic, json.dumps(event).encode())
    if isinstance(decoded, Rejection) and decoded.code in ("INVALID_TIME", "OUT_OF_RANGE") and fits(schema, event):
        return
    assert fits(schema, event) != isinstance(decoded, Rejection), decoded


def test_the_examples_of_the_design_fit():
    """An event of each topic, as a producer would write it, fits its schema and is accepted."""
    examples = {
        "usage": COMMON | {"quantity": 3, "user_id": "ann", "source": "app", "properties": {"page": 1}},
        "billing": COMMON
        | {"event": "invoice_issued", "amount": "129.90", "currency": "EUR", "due_at": AT, "seats": 5},
        "support": COMMON | {"event": "ticket_opened", "ticket_id": "t", "severity": "urgent"},
        "engagement": COMMON | {"event": "meeting_held", "contact_id": "c", "response_hours": 2.5},
        "accounts": {"account_id": "acme", "occurred_at": AT, "renewal_at": "2026-12-31", "relationship": {"by": None}},
        "outcomes": COMMON | {"amount": 12000},
        "commands": COMMON | {"command": "snooze", "until": AT, "by": "ann"},
    }
    assert set(examples) == set(TOPICS)
    for topic, event in examples.items():
        assert fits(SCHEMAS[EVENT_TYPES[topic].__name__], event), topic
        assert not isinstance(decode_event(topic, json.dumps(event).encode()), Rejection), topic
