"""A worker's busy threads stay on the CPU they were told, those of a restore run on any."""

import os
import subprocess
import sys

import pytest

from streams.affinity import allowed_cpus

PROGRAM = """
import asyncio, os, threading
from streams.affinity import stay_on
loop = asyncio.new_event_loop()
stay_on({cpu}, loop)
found = [os.sched_getaffinity(0)]
started = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
started.start()
started.join()
found.append(loop.run_until_complete(loop.run_in_executor(None, os.sched_getaffinity, 0)))
print([sorted(cpus) for cpus in found])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a thread choose its CPUs")
def test_threads_that_take_turns_stay_together() -> None:
    """The thread that asks and one it starts are on the CPU, one of the loop's executor may use all."""
    cpus = allowed_cpus()
    program = PROGRAM.format(cpu=cpus[-1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str([[cpus[-1]], [cpus[-1]], cpus])


def test_a_cpu_that_is_not_there_is_refused() -> None:
    """A number beyond the machine ends the command with one sentence that names those to choose from."""
    command = [sys.executable, "-c", PROGRAM.format(cpu=os.cpu_count() or 1 << 10)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"--cpu: expected one of {allowed_cpus()}" in done.stderr
