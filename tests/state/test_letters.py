"""Dead letters and rerouted records: bytes unchanged, and the truth about where they came from."""

from state.decode import LoneRecord
from state.letters import dead_letter, original_topic, rerouted
from state.rejections import Rejection, RejectionCode

WHY = Rejection(RejectionCode.NEGATIVE, "$.quantity", "-1")
REASON = [("bw_reason", b"NEGATIVE"), ("bw_path", b"$.quantity"), ("bw_given", b"-1")]


def record(*headers: tuple[str, bytes | None]) -> LoneRecord:
    """Return a record at offset 7."""
    return LoneRecord(offset=7, timestamp=1, key=b"acme", value=b"{}", headers=headers)


def test_a_dead_letter_keeps_the_record_and_says_where_and_why():
    """Key, value, time and foreign headers are the record's; a null header becomes an empty one."""
    letter = dead_letter("usage", 3, record(("trace", b"a"), ("note", None)), WHY)
    origin = [("bw_topic", b"usage"), ("bw_partition", b"3"), ("bw_offset", b"7")]
    assert (letter.key, letter.value, letter.timestamp) == (b"acme", b"{}", 1)
    assert letter.headers == [("trace", b"a"), ("note", b""), *origin, *REASON]


def test_a_producer_cannot_say_where_its_record_stood():
    """Headers of our own on an input topic are not believed: a replay would send the record wherever they say."""
    forged = record(("bw_topic", b"commands"), ("bw_partition", b"x"), ("bw_offset", b"x"), ("bw_reason", b"EMPTY"))
    origin = [("bw_topic", b"usage"), ("bw_partition", b"3"), ("bw_offset", b"7")]
    assert dead_letter("usage", 3, forged, WHY).headers == [*origin, *REASON]
    assert rerouted("usage", 3, forged, "acme", 1).headers == origin


def test_a_rerouted_record_keeps_its_first_place():
    """However often a record moves on, and where it is refused, it says where its producer put it."""
    once = rerouted("billing", 0, record(("trace", b"a")), "acme", 5)
    moved = record(*once.headers)
    assert (once.partition, original_topic(once.headers)) == (5, "billing")
    assert rerouted("rerouted", 5, moved, "acme", 2).headers == once.headers
    assert dead_letter("rerouted", 5, moved, WHY).headers == [*once.headers, *REASON]


def test_a_record_on_rerouted_that_tells_nothing_came_from_nowhere():
    """Without the header, or with bytes that are no text, there is no topic to find, and no failure."""
    assert original_topic(record().headers) == ""
    assert original_topic(record(("bw_topic", None)).headers) == ""
    assert original_topic(record(("bw_topic", b"\xff")).headers) == "\ufffd"
