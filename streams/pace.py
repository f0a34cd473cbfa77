"""How much work to do in one go: as much as fits a time slice at the speed last seen."""

SLICE_SECONDS = 0.03
"""Heartbeats, fetches and commits share this interpreter: a commit takes about ten turns of the event loop, and with
four partitions each turn is four slices long."""


class Pace:
    """The size of the next piece of work.

    Parameters
    ----------
    least, most
        Limits of the size, 1 <= least <= most; it begins with the least, as the first pieces are the slow ones.

    Examples
    --------
    >>> pace = Pace(100, 2_000)
    >>> pace.took(100, seconds=0.001)  # 10 µs each: 2 000 would fit, but it grows at most twofold at a time
    >>> pace.size
    200
    >>> pace.took(200, seconds=0.03)
    >>> pace.size
    200
    """

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self.size = least

    def took(self, count: int, seconds: float) -> None:
        """Take note that a piece of `count` >= 0 took `seconds`; the next one is sized by it."""
        fitting = int(count * SLICE_SECONDS / seconds) if seconds > 0 else self._most
        self.size = max(self._least, min(fitting, 2 * self.size, self._most))
