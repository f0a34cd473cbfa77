"""RFC 3339 times against the standard library's datetime."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.layout import NO_VALUE
from state.timestamps import parse_moment, parse_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30), timezones=offsets)  # noqa: DTZ001


def text_of(time: datetime, precision: str, zulu: str) -> str:
    """Return the RFC 3339 form; `zulu` replaces an offset of zero."""
    text = time.isoformat(timespec=precision)
    return text[:-6] + zulu if text.endswith("+00:00") else text


@given(st.lists(st.tuples(times, st.sampled_from(["seconds", "milliseconds", "microseconds"]), st.sampled_from("Zz"))))
def test_a_column_of_times_equals_datetime(drawn):
    """Every date, offset and precision gives the milliseconds that datetime gives, finer digits cut off."""
    expected, texts = [], []
    for time, precision, zulu in drawn:
        text = text_of(time, precision, zulu)
        texts.append(text)
        expected.append((datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(milliseconds=1))
    assert parse_times(texts).tolist() == expected


@given(st.text(alphabet="0123456789-:TtZz +.é", max_size=40))
def test_arbitrary_text_is_a_time_only_if_it_has_the_form_and_datetime_agrees(text):
    """No text outside the form is taken for a time, and reading it never leaves the buffer."""
    parsed = int(parse_times(["", text, "x"])[1])
    if parsed != NO_VALUE:
        assert (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(milliseconds=1) == parsed


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_day_is_accepted_exactly_if_datetime_accepts_it(year, month, day):
    """Months, month lengths and leap years follow the Gregorian calendar; year 0000 does not exist."""
    try:
        expected = (datetime(year, month, day, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        expected = None
    assert parse_moment(f"{year:04}-{month:02}-{day:02}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01z", 1000),
        ("1970-01-01t00:00:00.0019Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-00:30", 1_800_000),
        ("2024-02-29T00:00:00.123456789012345Z", 1_709_164_800_123),
    ],
)
def test_accepted_forms(text, expected):
    """The forms RFC 3339 section 5.6 allows are read."""
    assert parse_moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-03-01",
        "2026-03-01T00:00:00",
        "2026-03-01T00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T00:60:00Z",
        "2026-03-01T23:59:60Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-03-01T00:00:00.Z",
        "2026-03-01T00:00:00.5",
        "2026-03-01T00:00:00+0100",
        "2026-03-01T00:00:00+24:00",
        "2026-03-01T00:00:00+01:60",
        "2026-03-01T00:00:00+01:00 ",
        "2026-03-01T00:00:00ZZ",
        "2026/03/01T00:00:00Z",
        "+026-03-01T00:00:00Z",
        "2026-03-0\uff11T00:00:00Z",
    ],
)
def test_refused_forms(text):
    """A column never guesses: no offset, no seconds, leap seconds and other digits are no time."""
    assert parse_times([text]).tolist() == [NO_VALUE]


def test_a_plain_date_is_a_moment_but_not_a_time():
    """Contract dates may be plain dates; an event's time may not."""
    assert parse_moment("1970-01-03") == 2 * 86_400_000
    assert parse_moment("1970-13-03") is None
