"""The contract of the input topics and of `alerts` as an AsyncAPI 3 document, generated from types.

`python -m streams.contracts` prints the document; `deploy/asyncapi.json` is its output, and a test keeps it current.

References
----------
AsyncAPI 3.0.0 specification; AsyncAPI Kafka bindings 0.5.0; CloudEvents 1.0.2 Kafka protocol binding.
"""

import inspect
import sys
from typing import Any, Final

import msgspec

from state.cloudevents import FIELD_OF_HEADER
from state.decode import DEPTH_LIMIT, SIZE_LIMIT
from state.events import EVENT_TYPES, KNOWN_EVENTS, Moment, Money
from state.rejections import RejectionCode
from streams.alert_contract import HEADERS as ALERT_HEADERS
from streams.alert_contract import Alert

CONTRACT_VERSION: Final = "1.1.0"
"""Rises with the contract, not with the program: minor = a field was added, major = a producer must change."""

_SCHEMAS: Final = "#/components/schemas/"
_OWN_TOPICS: Final = ("ticks",)
"""Input topics that Bellwether writes itself: not for producers."""

_WRITTEN: Final = {"alerts": "Alert", "dead-letters": "DeadLetter"}
"""Topics for others to read, and what stands in them."""

_DESCRIPTION: Final = f"""Events that Bellwether scores accounts by. The key of every record is the account id, \
partitioned by murmur2 as Kafka's clients do by default. A value is one JSON object in UTF-8, at most \
{SIZE_LIMIT // 1024} KiB, nested at most {DEPTH_LIMIT} deep; fields that are not named here are ignored. In CloudEvents \
binary mode the headers ce_id, ce_time, ce_source and ce_type stand for the body's id, occurred_at, source and event, \
which may then be left out although they are required here. Quantities are rounded to thousandths and amounts to \
ten-thousandths, half to even. What breaks the contract goes to the topic dead-letters with its reason."""


def json_schemas() -> dict[str, Any]:
    """Return type name → JSON Schema (2020-12) of every input event, of alerts, and what they are made of."""
    topics = [topic for topic in EVENT_TYPES if topic not in _OWN_TOPICS]
    _, schemas = msgspec.json.schema_components(
        [*(EVENT_TYPES[topic] for topic in topics), Alert], schema_hook=_schema_of, ref_template=_SCHEMAS + "{name}"
    )
    for schema in schemas.values():
        schema["description"] = inspect.cleandoc(schema["description"])
    for topic, names in KNOWN_EVENTS.items():
        schemas[EVENT_TYPES[topic].__name__]["properties"]["event"]["examples"] = list(names)
    return schemas


def asyncapi_document() -> dict[str, Any]:
    """Return the AsyncAPI document: a channel, an operation and a message per input topic, alerts and dead letters."""
    topics = {topic: kind.__name__ for topic, kind in EVENT_TYPES.items() if topic not in _OWN_TOPICS}
    messages = {name: _message(topic, name) for topic, name in topics.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Bellwether: events and alerts", "version": CONTRACT_VERSION, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, name) for topic, name in (topics | _WRITTEN).items()},
        "operations": {
            **{f"read-{topic}": _operation("receive", topic, name) for topic, name in topics.items()},
            **{f"write-{topic}": _operation("send", topic, name) for topic, name in _WRITTEN.items()},
        },
        "components": {
            "messages": messages | {"Alert": _alert(), "DeadLetter": _dead_letter()},
            "schemas": json_schemas(),
        },
    }


def main() -> None:
    """Print the document as JSON, two blanks an indentation level."""
    sys.stdout.write(document_text())


def document_text() -> str:
    """Return the document as the text of `deploy/asyncapi.json`."""
    return msgspec.json.format(msgspec.json.encode(asyncapi_document()), indent=2).decode() + "\n"


def _schema_of(kind: type) -> dict[str, Any]:
    """Return the wire form of the types that are converted while they are decoded."""
    if kind is Moment:
        return {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}
    assert kind is Money, kind
    return {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$", "maxLength": 64},
        ]
    }


def _message(topic: str, name: str) -> dict[str, Any]:
    fields = {field.encode_name for field in msgspec.structs.fields(EVENT_TYPES[topic])}
    headers = {
        header: {"type": "string", "description": f"Stands for the body's `{field}` where that is absent."}
        for header, field in FIELD_OF_HEADER.items()
        if field in fields
    }
    return {
        "name": name,
        "summary": (EVENT_TYPES[topic].__doc__ or "").split("\n", 1)[0],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"$ref": _SCHEMAS + name},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The account id."}}},
    }


def _alert() -> dict[str, Any]:
    headers = {name: {"type": "string", "description": text} for name, text in ALERT_HEADERS.items()}
    return {
        "name": "Alert",
        "summary": (Alert.__doc__ or "").split("\n", 1)[0],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": headers, "required": list(headers)},
        "payload": {"$ref": _SCHEMAS + "Alert"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "The account id."}}},
    }


def _dead_letter() -> dict[str, Any]:
    meanings = "\n".join(f"- {code}: {code.meaning}" for code in RejectionCode)
    headers: dict[str, Any] = {
        "bw_topic": {"type": "string", "description": "The topic the record was read from."},
        "bw_partition": {"type": "string", "pattern": "^[0-9]+$"},
        "bw_offset": {"type": "string", "pattern": "^[0-9]+$"},
        "bw_reason": {"enum": list(RejectionCode), "description": meanings},
        "bw_path": {"type": "string", "description": "Where the fault lies, such as $.amount."},
        "bw_given": {"type": "string", "description": "The offending value, shortened."},
    }
    return {
        "name": "DeadLetter",
        "summary": "A record that broke the contract: its key and value as they came, and why it was refused.",
        "headers": {"type": "object", "properties": headers, "required": list(headers)},
        "payload": {"description": "The original bytes, whatever they are."},
    }


def _channel(topic: str, name: str) -> dict[str, Any]:
    return {"address": topic, "messages": {name: {"$ref": f"#/components/messages/{name}"}}}


def _operation(action: str, topic: str, name: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"}],
    }


if __name__ == "__main__":
    main()
