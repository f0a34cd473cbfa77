"""What arms a failpoint, and what is refused."""

import pytest

from streams.failpoints import Failpoints


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("before_lunch", "expected one of changelog_written, .*, got 'before_lunch'"),
        ("before_commit:soon", "invalid literal"),
        ("before_commit:3:SIGHUP", "expected SIGKILL or SIGSTOP, got 'SIGHUP'"),
    ],
)
def test_a_misspelt_failpoint_is_refused(value: str, fault: str) -> None:
    """A fault test that would never fire its fault must not look as if it had passed."""
    with pytest.raises(ValueError, match=fault):
        Failpoints({"BELLWETHER_FAILPOINT": value})


def test_a_point_that_is_not_armed_does_nothing() -> None:
    """Neither without a setting nor with that of another point, however often it is reached."""
    for points in (Failpoints({}), Failpoints({"BELLWETHER_FAILPOINT": "after_commit:1:SIGSTOP"})):
        for _ in range(3):
            points.reach("before_commit")
