"""Run one server and end it when whoever asked for it is gone. Run as a script; standard library only.

`guard.py FOLDER -- COMMAND…` starts the command, writes its process id on standard output, and then waits for
one of two things: the command ends (the guard ends with its exit code), or standard input closes. Standard input is
a pipe whose other end only the asking process holds, so the kernel closes it however that process ends, `kill -9`
included. The guard then kills the command and deletes FOLDER (`-` keeps it).

Why a guard and not PR_SET_PDEATHSIG in the server itself: that signal exists on Linux only, is sent when the
starting *thread* ends (a test runner's worker thread, say), needs code between fork and exec in a process with
threads, and cannot delete a folder. The guard has one thread when it forks, so there it is safe, and it is set there
as the second line of defence: a guard killed by `kill -9` takes its server along.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
GRACE_SECONDS = 10
KEEP = "-"


def _die_with_guard() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _delete(folder: str) -> None:
    # Guards of one folder race, and a server that is still dying may create one more file: try until it is gone.
    deadline = time.monotonic() + GRACE_SECONDS
    while os.path.exists(folder) and time.monotonic() < deadline:  # noqa: PTH110 (pathlib doubles the start time)
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)


def main(arguments: list[str]) -> None:
    """Run the command until it ends or standard input closes."""
    folder, _, *command = arguments
    # Every descriptor handed to the guard (the folder's lock) is handed on; standard output goes to the log as well.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, close_fds=False, preexec_fn=_die_with_guard)  # noqa: PLW1509
    print(server.pid, flush=True)
    abandoned = threading.Event()

    def end_with_server() -> None:
        code = server.wait()
        if not abandoned.is_set():
            os._exit(code & 0xFF)

    waiting = threading.Thread(target=end_with_server, daemon=True)
    waiting.start()
    while os.read(0, 1):  # returns nothing once the other end of the pipe is closed
        pass
    abandoned.set()
    if folder == KEEP:
        server.terminate()
        waiting.join(GRACE_SECONDS)
    server.kill()
    waiting.join()
    if folder != KEEP:
        _delete(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
