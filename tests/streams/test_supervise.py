"""The supervisor, with real processes: it starts them again, gives up where that is pointless, and leaves none behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from streams.supervise import Child, Supervisor, wait_seconds

DEADLINE_SECONDS = 20
LIVES = "import time; time.sleep(600)"
ROOT = Path(__file__).parents[2]


def child(folder: Path, program: str, name: str = "child-1") -> Child:
    """Return a Python process that runs a program."""
    return Child(name, [sys.executable, "-c", program], dict(os.environ), folder / f"{name}.log")


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, with a deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    """After kill -9 another process of the same command runs, and the end was told with the signal's name."""
    told: list[str] = []
    async with Supervisor([child(tmp_path, LIVES)], told.append) as supervisor:
        await until(lambda: supervisor.pid("child-1") is not None)
        first = supervisor.pid("child-1")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pid("child-1") not in {None, first})
        second = supervisor.pid("child-1")
        assert second is not None
        assert is_alive(second)
        assert supervisor.restarts == 1
    assert told == ["child-1: ended with SIGKILL; starting again in 0.5 s"]
    assert not is_alive(second)


async def test_leaving_ends_all_children_cleanly(tmp_path: Path) -> None:
    """Children get SIGTERM and time to end; none is left."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('ended cleanly', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    children = [child(tmp_path, program, f"child-{number}") for number in (1, 2)]
    async with Supervisor(children, print) as supervisor:
        await until(lambda: all(one.log.exists() and "ready" in one.log.read_text() for one in children))
        pids = [supervisor.pid(one.name) for one in children]
    assert all(pid is not None and not is_alive(pid) for pid in pids)
    assert ["ended cleanly" in one.log.read_text() for one in children] == [True, True]


async def test_a_child_stopped_for_safety_stays_ended(tmp_path: Path) -> None:
    """Exit code 3 is final: no new start, the code is reported with the last words of the log."""
    told: list[str] = []
    refusing = child(tmp_path, "import sys; print('offsets ahead of state'); sys.exit(3)")
    async with Supervisor([refusing], told.append) as supervisor:
        async with asyncio.timeout(DEADLINE_SECONDS):
            given_up = await supervisor.given_up
    assert given_up == (refusing, 3)
    assert told == ["child-1: ended with exit code 3 and stays ended\n    offsets ahead of state"]
    assert supervisor.restarts == 0


async def test_one_child_ending_leaves_the_others_alone(tmp_path: Path) -> None:
    """A child that keeps failing is started again and again while the other keeps its process."""
    told: list[str] = []
    children = [child(tmp_path, LIVES, "steady"), child(tmp_path, "raise SystemExit(1)", "failing")]
    async with Supervisor(children, told.append) as supervisor:
        await until(lambda: supervisor.pid("steady") is not None)
        steady = supervisor.pid("steady")
        await until(lambda: supervisor.restarts >= 2)
        assert supervisor.pid("steady") == steady
    assert told[0] == "failing: ended with exit code 1; starting again in 0.5 s"
    assert told[1] == "failing: ended with exit code 1; starting again in 1.0 s"


async def test_children_end_even_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the supervising process, its child ends too."""
    program = f"""
import asyncio, sys
from pathlib import Path
from streams.supervise import Child, Supervisor
async def main():
    one = Child("child-1", [sys.executable, "-c", {LIVES!r}], {{}}, Path({str(tmp_path / "child.log")!r}))
    async with Supervisor([one], print) as supervisor:
        while supervisor.pid("child-1") is None:
            await asyncio.sleep(0.02)
        print(supervisor.pid("child-1"), flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    supervising = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert supervising.stdout is not None
    pid = int(await supervising.stdout.readline())
    supervising.kill()
    await supervising.wait()
    await until(lambda: not is_alive(pid))


def test_waits_double_up_to_half_a_minute() -> None:
    """A child that keeps failing is started ever more slowly, at most every 30 s."""
    assert [wait_seconds(failures) for failures in range(1, 9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
