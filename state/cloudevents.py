"""CloudEvents in binary mode: attributes that stand in the headers instead of the body.

References
----------
CloudEvents 1.0.2, "Kafka Protocol Binding", section 3.2 (binary content mode, `ce_` headers).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from state.record import Headers
from state.rejections import Rejection, RejectionCode, shorten_bytes

FIELD_OF_HEADER: Final[Mapping[str, str]] = {
    "ce_id": "id",
    "ce_time": "occurred_at",
    "ce_source": "source",
    "ce_type": "event",
}
"""Header → the body field it stands for."""

_BLANKS: Final = b" \t\r\n"


def fill_from_headers(value: bytes, headers: Headers) -> bytes | Rejection:
    """Return `value` with the fields that its `ce_` headers state; a field of the body wins over its header.

    The fields are put before the body's own, in the text: where a name occurs twice the decoder keeps the last, and the
    rest of the body reaches the decoder as it came.
    """
    fields = []
    for name, text in headers:
        field = FIELD_OF_HEADER.get(name)
        if field is None or text is None:
            continue
        try:
            fields.append(b'"%b":%b' % (field.encode(), msgspec.json.encode(text.decode())))
        except UnicodeDecodeError:
            return Rejection(RejectionCode.INVALID_UTF8, f"headers.{name}", shorten_bytes(text))
    body = value.lstrip(_BLANKS)
    if not fields or not body.startswith(b"{"):
        return value
    rest = body[1:].lstrip(_BLANKS)
    return b"{" + b",".join(fields) + (b"" if rest.startswith(b"}") else b",") + rest
