"""Why an input record was refused: a value, never an exception.

A rejection goes to the dead letters as the headers `bw_reason`, `bw_path` and `bw_given`. The codes are a contract with
whoever reads those headers: a code may be added, never renamed.
"""

import enum
import re
from typing import Final, NamedTuple, Self

import msgspec

GIVEN_LIMIT: Final = 120
"""Longest `given`, in characters: enough to recognise a value, short enough for a header and a log line."""


class RejectionCode(enum.StrEnum):
    """Every reason for which a record becomes a dead letter; `meaning` is its sentence."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Make a member that is equal to its code and carries its meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    EMPTY = "EMPTY", "The record has no value."
    TOO_LARGE = "TOO_LARGE", "The value is larger than 256 KiB."
    TOO_DEEP = "TOO_DEEP", "Objects and arrays are nested more than 256 deep."
    INVALID_UTF8 = "INVALID_UTF8", "The bytes are not UTF-8."
    INVALID_JSON = "INVALID_JSON", "The value is not one JSON document (NaN and Infinity are not JSON)."
    MISSING_FIELD = "MISSING_FIELD", "A required field is absent."
    WRONG_TYPE = "WRONG_TYPE", "The field holds another type than the contract states."
    WRONG_LENGTH = "WRONG_LENGTH", "The text or list is empty or longer than the contract allows."
    UNKNOWN_VALUE = "UNKNOWN_VALUE", "The field is an enumeration and the value is none of its members."
    INVALID_NUMBER = "INVALID_NUMBER", "The text is not a plain decimal number such as 129.90."
    NEGATIVE = "NEGATIVE", "The number is negative where only zero or more has a meaning."
    OUT_OF_RANGE = "OUT_OF_RANGE", "The number is outside of the range that can be counted exactly."
    INVALID_TIME = (
        "INVALID_TIME",
        "The text is not an RFC 3339 time with an offset, or names a day that does not exist.",
    )
    FUTURE = "FUTURE", "The event says it happened later than its record was written, beyond the allowed skew."
    EXPIRED = "EXPIRED", "The event happened more than 90 UTC days before the account's current day."
    UNKNOWN_CURRENCY = "UNKNOWN_CURRENCY", "The amount is in a currency for which the model states no rate."
    ALIAS_OF_ALIAS = "ALIAS_OF_ALIAS", "The account named as canonical is itself an alias."


class Rejection(NamedTuple):
    """One refused record.

    Parameters
    ----------
    code
        The reason.
    path
        Where the fault lies: a JSON path such as `$.amount`, or `headers.ce_time`.
    given
        The offending value as text, at most 120 characters; empty when nothing was given.
    """

    code: RejectionCode
    path: str
    given: str


class Fault(ValueError):  # noqa: N818  (it is raised only inside msgspec's decode hook, which turns it into a Rejection)
    """A field's fault, on its way through a decoder that adds the path to it."""


_MESSAGE: Final = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_MALFORMED_AT: Final = re.compile(r"\(byte (\d+)\)")
# Fractions stay as they were written: 1e400 is JSON, though no double.
_DOCUMENT: Final = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode()))


def shorten(value: object) -> str:
    """Return `value` as JSON text of at most 120 characters, the rest cut off and marked by an ellipsis."""
    # A prefix is cut first: a 256 KiB text must not be encoded only to be thrown away.
    plain = value[:GIVEN_LIMIT] if isinstance(value, str) else value
    text = msgspec.json.encode(plain).decode()
    is_cut = isinstance(value, str) and len(value) > GIVEN_LIMIT
    return text if len(text) <= GIVEN_LIMIT and not is_cut else text[: GIVEN_LIMIT - 1] + "…"


def shorten_bytes(value: bytes) -> str:
    r"""Return the beginning of `value` as text of at most 120 characters; foreign bytes appear as `\\xff`."""
    text = value[:GIVEN_LIMIT].decode("utf-8", "backslashreplace")
    return text if len(value) <= GIVEN_LIMIT and len(text) <= GIVEN_LIMIT else text[: GIVEN_LIMIT - 1] + "…"


def rejection_of(error: Exception, value: bytes) -> Rejection:
    """Return what a decoder's error on `value` means.

    Parameters
    ----------
    error
        What msgspec raised while it decoded `value`.
    value
        The JSON bytes, to find the offending value in.
    """
    if isinstance(error, UnicodeDecodeError):
        return Rejection(RejectionCode.INVALID_UTF8, "$", shorten_bytes(value))
    try:
        _DOCUMENT.decode(value)
    except msgspec.ValidationError:
        pass  # It is JSON, but with a number of more digits than can be read.
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A wrong type may be met before the broken end is: the whole value is judged as JSON first.
        return Rejection(RejectionCode.INVALID_JSON, "$", _malformed(error, value))
    match = _MESSAGE.fullmatch(str(error))
    assert match is not None
    path = match["path"] or "$"
    missing = _MISSING.fullmatch(match["what"])
    if missing is not None:
        return Rejection(RejectionCode.MISSING_FIELD, f"{path}.{missing['name']}", "")
    return rejection_at(_code_of(match["what"]), path, value)


def rejection_at(code: RejectionCode, path: str, value: bytes) -> Rejection:
    """Return a rejection of what stands at `path` in the JSON bytes `value`."""
    try:
        document = _DOCUMENT.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A field that the typed decoder skips may hold what the full one refuses; the place still has a name.
        return Rejection(code, path, "")
    return Rejection(code, path, _found_at(document, path))


def _malformed(error: Exception, value: bytes) -> str:
    """Return the bytes around the place where the JSON breaks."""
    match = _MALFORMED_AT.search(str(error))
    start = max(int(match[1]) - 20, 0) if match else 0
    return shorten_bytes(value[start:])


def _code_of(message: str) -> RejectionCode:
    """Return the code for the text of a msgspec ValidationError; a test pins the texts of the locked version."""
    if message in RejectionCode.__members__:
        return RejectionCode[message]
    if message.startswith("Invalid enum value"):
        return RejectionCode.UNKNOWN_VALUE
    if "of length" in message:
        return RejectionCode.WRONG_LENGTH
    if re.search(r"`(int|float)` >= 0", message):
        return RejectionCode.NEGATIVE
    if "out of range" in message or re.search(r"`(int|float)` [<>]", message):
        return RejectionCode.OUT_OF_RANGE
    return RejectionCode.WRONG_TYPE


def _found_at(document: object, path: str) -> str:
    """Return the value at `path` as short text; where the path cannot be followed, the value it could reach."""
    found = document
    for name, index in _STEP.findall(path):
        if name and isinstance(found, dict) and name in found:
            found = found[name]
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            break
    return shorten(found)
