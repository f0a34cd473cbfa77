"""What people see while the days go by: a bar on a terminal, a line every few days elsewhere. On standard error."""

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from streams.demo.event import instant
from streams.demo.feed import Feed, History
from streams.demo.truth import DAY_MS
from streams.demo.watch import Watch

RATE_SECONDS = 5.0  # the rate shown is over about this long
LINE_DAYS = 10  # without a terminal


class Display:
    """The progress of one demonstration; use it as a context manager.

    Parameters
    ----------
    console
        Standard error.
    history
        What is fed.

    Attributes
    ----------
    sent
        Records fed when last shown.
    seconds
        From the first look to the last.
    """

    def __init__(self, console: Console, history: History) -> None:
        self._console = console
        self._start_ms = history.start_ms
        self._days = max(1, -(-(history.end_ms - history.start_ms) // DAY_MS))
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("day 0", total=self._days, numbers="")
        self._looks: deque[tuple[float, int]] = deque()
        self._next_line_day = LINE_DAYS
        self._started = 0.0
        self.sent = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the bar as it is; lines can still be printed."""
        self._progress.stop()

    def line(self, text: str) -> None:
        """Print a line above the bar.

        Parameters
        ----------
        text
            Plain text; markup is not interpreted.
        """
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    async def show(self, feed: Feed, watch: Watch) -> None:
        """Look at the feed and at the workers, and show both.

        Parameters
        ----------
        feed
            How far the feed has come.
        watch
            Asked for the lag and the alerts.
        """
        now = time.monotonic()
        self._started = self._started or now
        self.sent, self.seconds = feed.sent, now - self._started
        lag = await watch.lag(await watch.positions())
        day = min(self._days, (feed.reached_ms - self._start_ms) // DAY_MS)
        numbers = f"{self._rate(now):,.0f} events/s  lag {lag:,}  alerts {watch.fired:,}"
        title = f"day {day}/{self._days}  {instant(feed.reached_ms)[:10]}"
        self._progress.update(self._task, completed=day, description=title, numbers=numbers)
        if not self._console.is_terminal and day >= self._next_line_day:
            self._next_line_day = (day // LINE_DAYS + 1) * LINE_DAYS
            self.line(f"{title}  {numbers}")

    def _rate(self, now: float) -> float:
        self._looks.append((now, self.sent))
        while now - self._looks[0][0] > RATE_SECONDS:
            self._looks.popleft()
        elapsed = now - self._looks[0][0]
        return (self.sent - self._looks[0][1]) / elapsed if elapsed else 0.0
