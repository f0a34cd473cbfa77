"""What a peer's run took, measured by itself: from its first event until everything is committed."""

import json
import resource
from time import monotonic


class Spent:
    """Wall and CPU seconds of this process, all threads, from `start` to `tell`."""

    def __init__(self) -> None:
        self._began = 0.0
        self._cpu_began = 0.0

    def start(self) -> None:
        """Begin at the first call; later ones change nothing."""
        if not self._began:
            self._began, self._cpu_began = monotonic(), _cpu_seconds()

    def tell(self, events: int) -> None:
        """Print one JSON object."""
        assert self._began, "no event was seen"
        found = {
            "events": events,
            "seconds": monotonic() - self._began,
            "cpu_seconds": _cpu_seconds() - self._cpu_began,
        }
        print(json.dumps(found), flush=True)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
