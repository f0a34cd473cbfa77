"""How long people wait: for the command line's help, and for a worker that says it is ready."""

import asyncio
import subprocess
import sys
from time import monotonic
from urllib.error import URLError
from urllib.request import urlopen

POLL_SECONDS = 0.1
TRIES = 5


def help_seconds() -> float:
    """Return what `bellwether --help` takes, a process and its imports included: the fastest of some tries."""
    took = []
    for _ in range(TRIES):
        began = monotonic()
        subprocess.run([sys.executable, "-m", "streams.cli", "--help"], capture_output=True, check=True)
        took.append(monotonic() - began)
    return min(took)


async def ready_seconds(port: int, began: float) -> float:
    """Return how long after `began` (steady clock) the process at `port` said that it is ready; wait until then."""
    while not await asyncio.to_thread(_is_ready, port):
        await asyncio.sleep(POLL_SECONDS)
    return monotonic() - began


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=POLL_SECONDS * 10):
            return True
    except (URLError, OSError):  # not yet listening, or not yet ready
        return False
