"""Keeping a worker's two busy threads on one CPU.

One thread fetches, the other applies, and they take turns at the interpreter's lock. On two CPUs every chunk moves from
one CPU's cache to the other's; on one it does not. A restore does run on many CPUs, so its threads stay free.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from streams.halt import FAILED, Refusal


def allowed_cpus() -> list[int]:
    """Return the numbers of the CPUs this process may use; none where the operating system does not say."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


def stay_on(cpu: int, loop: asyncio.AbstractEventLoop) -> None:
    """Keep this thread, and threads it starts from now on, on one CPU; those of the loop's executor stay free.

    Raises
    ------
    Refusal
        The process may not use that CPU.
    """
    cpus = allowed_cpus()
    if cpu not in cpus:
        raise Refusal(f"--cpu: expected one of {cpus}, got {cpu} — leave it out to use any", FAILED)
    assert sys.platform == "linux"
    os.sched_setaffinity(0, {cpu})
    loop.set_default_executor(ThreadPoolExecutor(initializer=os.sched_setaffinity, initargs=(0, cpus)))
