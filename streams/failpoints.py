"""Named points at which a fault test can kill this very process, as a power cut would.

``BELLWETHER_FAILPOINT=before_commit:3`` kills it at the third time it gets there. Unset, a point costs one comparison.
"""

import os
import signal
from collections.abc import Mapping

NAMES = ("changelog_written", "alerts_written", "offsets_sent", "before_commit", "after_commit", "restore_half")


class Failpoints:
    """Counts down one named point and kills the process when it is reached.

    Parameters
    ----------
    environ
        Environment to read ``BELLWETHER_FAILPOINT`` from: ``name:count``, count >= 1.

    Raises
    ------
    ValueError
        When the name is not one of ``NAMES`` or the count is not a number.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name, _, count = environ.get("BELLWETHER_FAILPOINT", "").partition(":")
        if name and name not in NAMES:
            raise ValueError(f"BELLWETHER_FAILPOINT: expected one of {', '.join(NAMES)}, got {name!r}")
        self._armed = name
        self._left = int(count or 1)

    def reach(self, name: str) -> None:
        """Kill the process by SIGKILL when ``name`` is armed and this is the counted time."""
        if name != self._armed:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
