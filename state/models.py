"""What the topic `models` says, and what a partition keeps of the model it scores with."""

import json
from typing import Final, Literal

import msgspec

from scoring.compile import Compiled, compile_model
from scoring.faults import ModelError
from scoring.parse import parse
from scoring.presets import parse_text
from state.changelog import StateMismatchError
from state.record import Record
from state.rejections import Rejection, RejectionCode, rejection_of, shorten


class Publication(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of `models`: from here on the partition scores with this model.

    Parameters
    ----------
    kind
        What is said of the model.
    number
        Counts publications from 1.
    name, version, fingerprint
        Of the model, as its text says them.
    text
        The model file.
    by, note
        Who published it, and why.
    published_at
        RFC 3339.
    is_rollback
        It is an earlier model again.
    before
        Text of the model it took the place of.
    """

    kind: Literal["active"]
    number: int
    name: str
    version: int
    fingerprint: str
    text: str
    by: str
    published_at: str
    before: str
    note: str = ""
    is_rollback: bool = False


class Generation(msgspec.Struct, frozen=True):
    """The model that wrote the rows which follow in the changelog.

    Parameters
    ----------
    source
        `Model.source`.
    fingerprint
        Of the model.
    births
        Signal fingerprint → since when it is counted, ms, of those that a change brought.
    """

    source: str
    fingerprint: str
    births: dict[str, int]


DECODER: Final = msgspec.json.Decoder(Publication)


def read_publication(record: Record) -> Compiled | Rejection:
    """Return the model that a record of `models` publishes, compiled, or why it is none."""
    value = record.value or b""
    try:
        model = parse_text(DECODER.decode(value).text, "models")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return rejection_of(error, value)
    except ModelError as error:
        return Rejection(RejectionCode.UNKNOWN_VALUE, "$.text", shorten(str(error.faults[0])))
    return compile_model(model)


def read_generation(value: bytes, own: Compiled) -> tuple[Compiled, dict[str, int]]:
    """Return the model that wrote rows, compiled, and its signals' births; `own` saves compiling where it is the same.

    Raises
    ------
    StateMismatchError
        When the model means something else to this version of Bellwether.
    """
    generation = msgspec.json.decode(value, type=Generation)
    if generation.source == own.model.source:
        return own, generation.births
    advice = "start the worker with the version of Bellwether that wrote it"
    try:
        model = parse(json.loads(generation.source), "changelog")
    except ModelError as error:
        raise StateMismatchError(f"{error} — {advice}") from error
    if model.fingerprint != generation.fingerprint:
        found = f"model {model.name} {model.version} of the changelog"
        raise StateMismatchError(
            f"{found}: expected fingerprint {generation.fingerprint}, got {model.fingerprint} — {advice}"
        )
    return compile_model(model), generation.births
