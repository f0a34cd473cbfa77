"""A chunk of records becomes columns and rejections, record by record."""

from dataclasses import fields

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.columns import Columns
from state.decode import DEPTH_LIMIT, SIZE_LIMIT, LoneRecord, decode_chunk, decode_event
from state.events import EVENT_TYPES, SEVERITY_RANK
from state.hashing import hash_identity, hash_text
from state.layout import NO_VALUE
from state.rejections import GIVEN_LIMIT, Rejection

AT = "2026-03-01T12:00:00Z"
AT_MS = 1_772_366_400_000


def event_bytes(**changed: object) -> bytes:
    """Return a valid event of any dense topic, with fields changed; a field of value `...` is left out."""
    body = {"id": "e1", "account_id": "acme", "occurred_at": AT, "event": "login"} | changed
    return msgspec.json.encode({name: value for name, value in body.items() if value is not ...})


def records_of(values, first_offset=40):
    """Return records with these values at rising offsets, written one second apart."""
    return [LoneRecord(value, (), first_offset + place, AT_MS + 1000 * place) for place, value in enumerate(values)]


def decode_all(topic, *values):
    return decode_chunk(topic, records_of(values))


def test_usage_becomes_columns():
    """Offsets, times, texts and hashes stand in log order; an absent quantity is one."""
    chunk = decode_all(
        "usage",
        event_bytes(quantity=3, user_id="ann", source="app"),
        event_bytes(id="e2", account_id="größe", occurred_at="2026-03-01T13:00:00.25+01:00"),
    )
    assert chunk.rejections == []
    assert chunk.offset.tolist() == [40, 41]
    assert chunk.timestamp_ms.tolist() == [AT_MS, AT_MS + 1000]
    assert chunk.occurred_at_ms.tolist() == [AT_MS, AT_MS + 250]
    assert chunk.account == ["acme", "größe"]
    assert chunk.event == ["login", "login"]
    assert chunk.id_hash.tolist() == [hash_identity("app", "e1"), hash_identity(None, "e2")]
    assert chunk.user_hash.tolist() == [hash_text("ann"), 0]
    assert chunk.quantity.tolist() == [3000, 1000]
    assert chunk.amount.tolist() == [NO_VALUE, NO_VALUE]
    assert chunk.currency is None


def test_billing_becomes_columns():
    """Amounts are ten-thousandths whether written as text or number; what is absent says so."""
    chunk = decode_all(
        "billing",
        event_bytes(amount="129.90", currency="EUR", invoice_id="i1", due_at="2026-03-31T00:00:00Z"),
        event_bytes(amount=0.1, seats=12, mrr=99),
        event_bytes(amount=None, currency=None, due_at=None, seats=None),
    )
    assert chunk.amount.tolist() == [1_299_000, 1000, NO_VALUE]
    assert chunk.currency == ["EUR", None, None]
    assert chunk.item_hash.tolist() == [hash_text("i1"), 0, 0]
    assert chunk.due_at_ms.tolist() == [1_774_915_200_000, NO_VALUE, NO_VALUE]
    assert chunk.seats.tolist() == [NO_VALUE, 12, NO_VALUE]
    assert chunk.mrr.tolist() == [NO_VALUE, 990_000, NO_VALUE]


def test_support_becomes_columns():
    """A severity becomes its rank, `urgent` that of `critical`; scores may be negative."""
    severities = list(SEVERITY_RANK)
    chunk = decode_all(
        "support",
        *(event_bytes(severity=severity, ticket_id="t") for severity in severities),
        event_bytes(event="nps", score=-50),
        event_bytes(event="csat", score="4.5"),
    )
    assert chunk.severity.tolist() == [0, 1, 2, 3, 3, -1, -1]
    assert chunk.score.tolist() == [NO_VALUE] * 5 + [-50_000, 4500]
    assert chunk.item_hash.tolist() == [hash_text("t")] * 5 + [0, 0]


def test_engagement_counts_the_contact_where_no_user_is_named():
    """A person is the user id, else the contact id; response hours are the score."""
    chunk = decode_all(
        "engagement", event_bytes(contact_id="c", response_hours=1.5), event_bytes(contact_id="c", user_id="u")
    )
    assert chunk.user_hash.tolist() == [hash_text("c"), hash_text("u")]
    assert chunk.score.tolist() == [1500, NO_VALUE]


def test_accounts_tell_absent_from_null():
    """Absent means unchanged and null means erase; times and amounts arrive converted."""
    value = b"""{"account_id": "acme", "occurred_at": "2026-03-01T12:00:00Z", "arr": "12000.5", "renewal_at": "2026-12-31",
        "owner": null, "aliases": ["acme-eu"], "relationship": {"champion": "at_risk", "at": "2026-02-01T00:00:00Z"}}"""
    chunk = decode_all("accounts", value)
    account = chunk.structs[0]
    assert chunk.account == ["acme"]
    assert chunk.occurred_at_ms.tolist() == [AT_MS]
    assert chunk.id_hash.tolist() == [0]
    assert (account.arr, account.renewal_at_ms, account.owner) == (120_005_000, 1_798_675_200_000, None)
    assert account.segment is msgspec.UNSET
    assert account.aliases == ["acme-eu"]
    assert (account.relationship.champion, account.relationship.at_ms) == ("at_risk", 1_769_904_000_000)
    assert account.relationship.executive is msgspec.UNSET


def test_outcomes_commands_and_ticks_become_structs():
    """The sparse topics are read as structs."""
    common = {"id": "1", "account_id": "acme", "occurred_at": AT}
    outcome = decode_event("outcomes", msgspec.json.encode(common | {"outcome": "expanded", "amount": 10}))
    command = decode_event("commands", msgspec.json.encode(common | {"command": "snooze", "until": AT}))
    tick = decode_all("ticks", b'{"as_of_ms": 5, "ends": {"usage": 7}}')
    assert (outcome.outcome, outcome.amount) == ("expanded", 100_000)
    assert (command.command, command.until_ms) == ("snooze", AT_MS)
    assert (tick.structs[0].ends, tick.occurred_at_ms.tolist()) == ({"usage": 7}, [5])


COMMON = b'"id":"e","account_id":"a","occurred_at":"2026-03-01T12:00:00Z","event":"login"'
REFUSED = [
    ("usage", None, "EMPTY", "$", ""),
    ("usage", b"", "EMPTY", "$", ""),
    ("usage", b"null", "WRONG_TYPE", "$", "null"),
    ("usage", b"[]", "WRONG_TYPE", "$", "[]"),
    ("usage", b"{", "INVALID_JSON", "$", "{"),
    ("usage", b"nonsense", "INVALID_JSON", "$", "nonsense"),
    ("usage", b"{%b}{%b}" % (COMMON, COMMON), "INVALID_JSON", "$", 'Z","event":"login"}{' + COMMON.decode() + "}"),
    ("usage", b'{%b,"quantity":NaN}' % COMMON, "INVALID_JSON", "$", ':"login","quantity":NaN}'),
    ("usage", b'{%b,"x":-Infinity}' % COMMON, "INVALID_JSON", "$", 'event":"login","x":-Infinity}'),
    ("usage", b'{"id":3,', "INVALID_JSON", "$", '{"id":3,'),
    ("usage", b'{"id":"\xff"}', "INVALID_UTF8", "$", '{"id":"\\xff"}'),
    ("usage", b'{%b,"x":"\xff"}' % COMMON, "INVALID_UTF8", "$", 'event":"login","x":"\\xff"}'),
    ("usage", event_bytes(id=...), "MISSING_FIELD", "$.id", ""),
    ("usage", event_bytes(account_id=...), "MISSING_FIELD", "$.account_id", ""),
    ("usage", event_bytes(occurred_at=...), "MISSING_FIELD", "$.occurred_at", ""),
    ("usage", event_bytes(event=...), "MISSING_FIELD", "$.event", ""),
    ("usage", event_bytes(id=""), "WRONG_LENGTH", "$.id", '""'),
    ("usage", event_bytes(account_id=""), "WRONG_LENGTH", "$.account_id", '""'),
    ("usage", event_bytes(account_id="a" * 257), "WRONG_LENGTH", "$.account_id", '"' + "a" * (GIVEN_LIMIT - 2) + "…"),
    ("usage", event_bytes(account_id=17), "WRONG_TYPE", "$.account_id", "17"),
    ("usage", event_bytes(account_id=None), "WRONG_TYPE", "$.account_id", "null"),
    ("usage", event_bytes(quantity=True), "WRONG_TYPE", "$.quantity", "true"),
    ("usage", event_bytes(quantity=[1]), "WRONG_TYPE", "$.quantity", "[1]"),
    ("usage", event_bytes(quantity=-1), "NEGATIVE", "$.quantity", "-1"),
    ("usage", event_bytes(quantity=-0.5), "NEGATIVE", "$.quantity", "-0.5"),
    ("usage", event_bytes(quantity="-1"), "NEGATIVE", "$.quantity", '"-1"'),
    ("usage", event_bytes(quantity="many"), "INVALID_NUMBER", "$.quantity", '"many"'),
    ("usage", event_bytes(quantity=1e300), "OUT_OF_RANGE", "$.quantity", "1e300"),
    ("usage", event_bytes(quantity=2**63 - 1), "OUT_OF_RANGE", "$.quantity", str(2**63 - 1)),
    ("usage", b'{%b,"quantity":%b}' % (COMMON, b"9" * 40), "OUT_OF_RANGE", "$.quantity", None),
    ("usage", b'{%b,"quantity":1e400}' % COMMON, "OUT_OF_RANGE", "$.quantity", "1e400"),
    ("usage", b'{%b,"quantity":%b}' % (COMMON, b"9" * 5000), "OUT_OF_RANGE", "$.quantity", ""),
    ("billing", b'{%b,"amount":"x","y":[1e999,%b]}' % (COMMON, b"9" * 5000), "INVALID_NUMBER", "$.amount", ""),
    ("billing", b'{%b,"amount":"x","y":1e999}' % COMMON, "INVALID_NUMBER", "$.amount", '"x"'),
    ("usage", event_bytes(occurred_at="yesterday"), "INVALID_TIME", "$.occurred_at", '"yesterday"'),
    (
        "usage",
        event_bytes(occurred_at="2026-02-29T00:00:00Z"),
        "INVALID_TIME",
        "$.occurred_at",
        '"2026-02-29T00:00:00Z"',
    ),
    ("billing", event_bytes(amount="-3.50"), "NEGATIVE", "$.amount", '"-3.50"'),
    ("billing", event_bytes(amount=10**12), "OUT_OF_RANGE", "$.amount", "1000000000000"),
    ("billing", event_bytes(mrr="1,5"), "INVALID_NUMBER", "$.mrr", '"1,5"'),
    ("billing", event_bytes(due_at="2026-03-31"), "INVALID_TIME", "$.due_at", '"2026-03-31"'),
    ("billing", event_bytes(seats=1.5), "WRONG_TYPE", "$.seats", "1.5"),
    ("billing", event_bytes(seats=-1), "NEGATIVE", "$.seats", "-1"),
    ("billing", event_bytes(seats=2**60), "OUT_OF_RANGE", "$.seats", str(2**60)),
    ("support", event_bytes(severity="apocalyptic"), "UNKNOWN_VALUE", "$.severity", '"apocalyptic"'),
    ("support", event_bytes(score="good"), "INVALID_NUMBER", "$.score", '"good"'),
    ("engagement", event_bytes(response_hours=-2), "NEGATIVE", "$.response_hours", "-2"),
    ("outcomes", event_bytes(), "MISSING_FIELD", "$.outcome", ""),
    ("outcomes", event_bytes(outcome="won"), "UNKNOWN_VALUE", "$.outcome", '"won"'),
    ("outcomes", event_bytes(outcome="renewed", amount="x"), "INVALID_NUMBER", "$.amount", '"x"'),
    ("outcomes", event_bytes(outcome="renewed", amount=True), "WRONG_TYPE", "$.amount", "true"),
    ("outcomes", event_bytes(outcome="renewed", amount={}), "WRONG_TYPE", "$.amount", "{}"),
    ("commands", event_bytes(command="explode"), "UNKNOWN_VALUE", "$.command", '"explode"'),
    ("commands", event_bytes(command="override", health=101), "OUT_OF_RANGE", "$.health", "101"),
    ("commands", event_bytes(command="snooze", until="later"), "INVALID_TIME", "$.until", '"later"'),
    ("accounts", event_bytes(renewal_at=3), "WRONG_TYPE", "$.renewal_at", "3"),
    ("accounts", event_bytes(strategic_fit=1.5), "OUT_OF_RANGE", "$.strategic_fit", "1.5"),
    ("accounts", event_bytes(arr=-1), "NEGATIVE", "$.arr", "-1"),
    ("accounts", event_bytes(aliases=["a", ""]), "WRONG_LENGTH", "$.aliases[1]", '""'),
    (
        "accounts",
        event_bytes(relationship={"champion": "maybe"}),
        "UNKNOWN_VALUE",
        "$.relationship.champion",
        '"maybe"',
    ),
    ("accounts", event_bytes(relationship={"at": "maybe"}), "INVALID_TIME", "$.relationship.at", '"maybe"'),
    ("ticks", b'{"as_of_ms":1,"ends":{"usage":"7"}}', "WRONG_TYPE", "$.ends[...]", '{"usage":"7"}'),
]


@pytest.mark.parametrize(("topic", "value", "code", "path", "given_text"), REFUSED)
def test_a_bad_record_is_refused_with_code_path_and_value(topic, value, code, path, given_text):
    """Every kind of fault has its code and names the place and the offending value."""
    rejection = decode_event(topic, value)
    assert isinstance(rejection, Rejection)
    assert (rejection.code, rejection.path) == (code, path)
    if given_text is not None:
        assert rejection.given == given_text
    assert len(rejection.given) <= GIVEN_LIMIT


def test_size_has_a_limit():
    """A value of 256 KiB is read; one byte more is refused."""
    padding = SIZE_LIMIT - len(event_bytes(properties=""))
    assert decode_all("usage", event_bytes(properties="x" * padding)).rejections == []
    assert decode_all("usage", event_bytes(properties="x" * (padding + 1))).rejections == [
        (0, Rejection("TOO_LARGE", "$", f"{SIZE_LIMIT + 1} bytes"))
    ]


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_has_a_limit(opening, closing):
    """The limit does not depend on how deep our own calls are; brackets in texts are not nesting."""

    def nested(depth):
        return b'{%b,"x":%b1%b}' % (COMMON, opening * depth, closing * depth)

    assert decode_all("usage", nested(DEPTH_LIMIT - 1)).rejections == []
    assert decode_all("usage", nested(DEPTH_LIMIT)).rejections[0][1].code == "TOO_DEEP"
    assert decode_all("usage", nested(100_000 // len(opening))).rejections[0][1].code == "TOO_DEEP"
    assert decode_all("usage", event_bytes(properties='\\"[{' * 5000)).rejections == []


def test_unknown_fields_and_event_names_are_no_fault():
    """What the contract does not name is skipped; any event name is an event."""
    value = event_bytes(event="never heard of", properties={"deep": [1, {"a": None}]}, ce_id=3, new_field=True)
    assert decode_all("billing", value).event == ["never heard of"]


def test_an_event_later_than_its_record_is_refused_beyond_the_skew():
    """The skew is inclusive, and counted from the record's own timestamp."""
    values = [event_bytes(occurred_at=f"2026-03-01T12:10:0{second}Z") for second in (0, 1, 3)]
    chunk = decode_chunk("usage", records_of(values), skew_ms=600_000)
    assert chunk.offset.tolist() == [40, 41]
    assert chunk.rejections == [(2, Rejection("FUTURE", "$.occurred_at", '"2026-03-01T12:10:03Z"'))]
    sparse = decode_chunk(
        "outcomes", records_of([event_bytes(outcome="churned", occurred_at="2026-03-02T00:00:00Z")]), 0
    )
    assert sparse.rejections == [(0, Rejection("FUTURE", "$.occurred_at", '"2026-03-02T00:00:00Z"'))]
    assert sparse.structs == []


def test_the_first_fault_is_the_reason():
    """An event with several faults is refused once."""
    chunk = decode_all("billing", event_bytes(amount="x", mrr="y", due_at="z", occurred_at="never"))
    assert len(chunk.rejections) == 1


ADVERSARIAL = [
    (b"{%b},{%b}" % (COMMON, COMMON), b"{}"),
    (b'{%b,"x":"}' % COMMON, b'{","y":"z"}'),
    (b'{%b,"x":[{}' % COMMON, b"{}]}"),
    (b'{%b},{%b,"x":[{}' % (COMMON, COMMON), b"{}]}"),
    (b"{%b}\n{%b}" % (COMMON, COMMON), b""),
    (b'{%b,"x":"\xc3' % COMMON, b'\xa4"}'),
    (b"[{%b}" % COMMON, b"{%b}]" % COMMON),
]


@pytest.mark.parametrize(("first", "second"), ADVERSARIAL)
def test_records_cannot_complete_each_other(first, second):
    """Two broken neighbours stay two rejections, and the good ones around them keep their own offsets."""
    chunk = decode_all("usage", event_bytes(id="before"), first, second, event_bytes(id="after"))
    assert [place for place, _ in chunk.rejections] == [1, 2]
    assert chunk.offset.tolist() == [40, 43]
    assert [struct.id for struct in chunk.structs] == ["before", "after"]


good = st.builds(
    lambda fields: event_bytes(**fields),
    st.fixed_dictionaries(
        {"id": st.text(min_size=1, max_size=5), "account_id": st.sampled_from(["a", "b", "ü", "a\0b"])},
        optional={
            "occurred_at": st.sampled_from([AT, "2026-03-01T12:30:00.5+00:15", "2026-02-30T00:00:00Z"]),
            "quantity": st.sampled_from([None, 1, 2.5, "3", "x", -1, 2**70]),
            "amount": st.sampled_from([None, 1, 2.5, "3.10", "x", "-1"]),
            "severity": st.sampled_from([None, "low", "urgent", "odd"]),
            "user_id": st.none() | st.text(max_size=3),
            "source": st.none() | st.text(max_size=3),
            "invoice_id": st.text(max_size=3),
            "due_at": st.sampled_from([None, AT, "soon"]),
            "outcome": st.sampled_from(["renewed", "odd"]),
            "command": st.sampled_from(["note", "odd"]),
            "currency": st.sampled_from([None, "EUR"]),
        },
    ),
)
bad = st.sampled_from([value for pair in ADVERSARIAL for value in pair] + [value for _, value, *_ in REFUSED])
cloud_headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "ce_time", "ce_type", "traceparent"]), st.sampled_from([b"x", AT.encode(), b"\xff"])
    ),
    max_size=2,
)
lone_records = st.lists(
    st.tuples(good | good | bad, st.just(()) | cloud_headers).map(lambda drawn: LoneRecord(*drawn, 5, AT_MS)),
    max_size=8,
)


@given(st.sampled_from([topic for topic in EVENT_TYPES if topic != "ticks"]), lone_records, st.sampled_from([None, 0]))
def test_a_chunk_is_the_sum_of_its_records(topic, records, skew_ms):
    """However good and bad records are mixed, each has the verdict and the columns it has alone."""
    chunk = decode_chunk(topic, records, skew_ms)
    alone = [decode_chunk(topic, [record], skew_ms) for record in records]
    assert chunk.rejections == [(place, one.rejections[0][1]) for place, one in enumerate(alone) if one.rejections]
    for column in fields(Columns):
        if column.name in ("currency", "source"):
            stated = [getattr(one, column.name) for one in alone if one.structs]
            expected = [only[0] or None if only else None for only in stated]
            together = getattr(chunk, column.name) or [None] * len(expected)
            assert [text or None for text in together] == expected
        else:
            expected = [entry for one in alone for entry in getattr(one, column.name)]
            assert list(getattr(chunk, column.name)) == expected
    assert len(chunk.structs) == len(chunk.offset) == len(chunk.timestamp_ms) == len(chunk.account)


@pytest.mark.parametrize("topic", EVENT_TYPES)
def test_the_types_of_columns_do_not_depend_on_what_is_in_them(topic):
    """An empty chunk has the columns, and the dtypes, of a full one."""
    empty = decode_chunk(topic, [])
    full = decode_chunk("billing", records_of([event_bytes(amount="1", seats=3)]))
    for column in fields(Columns):
        entries = getattr(empty, column.name)
        if isinstance(entries, np.ndarray):
            assert entries.dtype == getattr(full, column.name).dtype, column.name
            assert entries.size == 0


def test_cloudevents_headers_fill_what_the_body_leaves_out():
    """Binary mode: id, time, source and type come from the headers; the body wins where it has them too."""
    headers = [
        ("ce_id", b"h1"),
        ("ce_time", AT.encode()),
        ("ce_source", b"app"),
        ("ce_type", b'lo"gin'),
        ("other", b"\xff"),
    ]
    chunk = decode_chunk(
        "usage", [LoneRecord(b' { "account_id": "acme" }', headers), LoneRecord(event_bytes(), headers)]
    )
    assert chunk.rejections == []
    assert [struct.id for struct in chunk.structs] == ["h1", "e1"]
    assert chunk.event == ['lo"gin', "login"]
    assert [struct.source for struct in chunk.structs] == ["app", "app"]
    assert chunk.occurred_at_ms.tolist() == [AT_MS, AT_MS]


@pytest.mark.parametrize(
    ("value", "headers", "code", "path"),
    [
        (b"{}", [("ce_id", b"1")], "MISSING_FIELD", "$.account_id"),
        (b"{", [("ce_id", b"1")], "INVALID_JSON", "$"),
        (b'{,"account_id":"a"}', [("ce_id", b"1")], "INVALID_JSON", "$"),
        (b"[]", [("ce_id", b"1")], "WRONG_TYPE", "$"),
        (b'{"account_id":"a"}', [("ce_id", b"\xff")], "INVALID_UTF8", "headers.ce_id"),
        (b'{"account_id":"a","id":null}', [("ce_id", b"1")], "WRONG_TYPE", "$.id"),
        (event_bytes(occurred_at=...), [("ce_time", b"today")], "INVALID_TIME", "$.occurred_at"),
        (None, [("ce_id", b"1")], "EMPTY", "$"),
    ],
)
def test_cloudevents_headers_do_not_mend_a_bad_body(value, headers, code, path):
    """A fault in the body or in a header is found as without headers."""
    rejection = decode_event("usage", value, headers)
    assert (rejection.code, rejection.path) == (code, path)
