"""Named points at which a fault test can kill this very process, as a power cut would.

``BELLWETHER_FAILPOINT=before_commit:3`` kills it at the third time it gets there, ``before_commit:3:SIGSTOP`` freezes
it. Unset, a point costs one comparison.
"""

import os
import signal
from collections.abc import Mapping

NAMES = ("changelog_written", "alerts_written", "offsets_sent", "before_commit", "after_commit", "restore_half")


class Failpoints:
    """Counts down one named point and kills or freezes the process when it is reached.

    Parameters
    ----------
    environ
        Environment to read ``BELLWETHER_FAILPOINT`` from: ``name``, ``name:count`` or ``name:count:signal``,
        count >= 1, signal SIGKILL or SIGSTOP.

    Raises
    ------
    ValueError
        When the name is not one of ``NAMES``, the count not a number or the signal not one of the two.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name, _, rest = environ.get("BELLWETHER_FAILPOINT", "").partition(":")
        count, _, number = rest.partition(":")
        if name and name not in NAMES:
            raise ValueError(f"BELLWETHER_FAILPOINT: expected one of {', '.join(NAMES)}, got {name!r}")
        if number not in ("", "SIGKILL", "SIGSTOP"):
            raise ValueError(f"BELLWETHER_FAILPOINT: expected SIGKILL or SIGSTOP, got {number!r}")
        self._armed = name
        self._signal = signal.Signals[number or "SIGKILL"]
        self._left = int(count or 1)

    def reach(self, name: str) -> None:
        """Kill or freeze the process when ``name`` is armed and this is the counted time."""
        if name != self._armed:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)
