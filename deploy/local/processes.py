"""Server processes: started, watched, stopped; their log kept for the sentence that explains a failure.

StackError is the one exception of this package: `where: what happened — what to do`.
"""

import contextlib
import errno
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deploy.local import guard

# Below the range from which systems take the ports of outgoing connections (Linux 32768+, macOS 49152+). A client that
# keeps retrying the port of a stopped broker could otherwise be given that very port and end up connected to itself.
PORT_RANGE = range(20_000, 32_000)
LOG_LINES_SHOWN = 8
POLL_SECONDS = 0.02


class StackError(Exception):
    """The local stack cannot do what was asked; the message says where, what happened, and what to do."""


def free_ports(n: int) -> list[int]:
    """Return `n` different ports of 127.0.0.1 on which nothing listens."""
    with contextlib.ExitStack() as held:  # hold all of them until the last is found, so that they differ
        ports: list[int] = []
        for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
            if len(ports) == n:
                return ports
            listener = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                ports.append(port)
    raise StackError(
        f"127.0.0.1: no {n} free ports between {PORT_RANGE.start} and {PORT_RANGE.stop} — end other servers"
    )


def require_free(port: int, option: str) -> None:
    """Raise StackError when something listens on `port` of 127.0.0.1."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a recently closed connection is no listener
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"127.0.0.1:{port}: port is taken ({error.strerror}) — stop what listens there, or choose another port with {option} (0 takes any free one)"
            ) from error


@contextlib.contextmanager
def disk_faults(where: Path) -> Iterator[None]:
    """Turn a failure to write below `where` into a StackError."""
    try:
        yield
    except OSError as error:
        advice = "free some space" if error.errno == errno.ENOSPC else "choose a folder you may write to"
        raise StackError(f"{error.filename or where}: {error.strerror} — {advice}") from error


def lock(folder: Path) -> int:
    """Lock `folder` for one stack and return the lock's descriptor.

    Servers inherit the descriptor, so the lock is held until the last of them has ended, and by nobody after a reboot.
    """
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StackError(
            f"{folder}: a stack is already running here — stop it with `bellwether down`, or choose another folder"
        ) from error
    return descriptor


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


class Server:
    """One server process with its log file.

    Parameters
    ----------
    name
        What it is called in messages, such as `kafka-1`.
    command
        Program and arguments.
    log
        File its output is appended to.
    is_ready
        Whether it answers now; must return within about a second.
    lock_descriptor
        See `lock`.
    folder
        Deleted when this process ends without stopping the server; None keeps it.
    detached
        Let the server outlive this process (`bellwether up`).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        is_ready: Callable[[], bool],
        *,
        lock_descriptor: int,
        folder: Path | None = None,
        detached: bool = False,
    ) -> None:
        self.name = name
        self.pid = 0
        self._command = [str(part) for part in command]
        self._log = log
        self._is_ready = is_ready
        self._lock = lock_descriptor
        self._folder = folder
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process without waiting until it answers."""
        command = self._command
        if not self._detached:
            folder = guard.KEEP if self._folder is None else str(self._folder)
            command = [sys.executable, "-I", "-S", guard.__file__, folder, "--", *command]
        with disk_faults(self._log), self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if self._detached else subprocess.PIPE,
                stdout=log if self._detached else subprocess.PIPE,
                stderr=log,
                pass_fds=[self._lock],
                start_new_session=True,  # Ctrl-C in the terminal is for us, we stop the servers in order
            )
        if self._detached:
            self.pid = self._process.pid
        else:
            assert self._process.stdout is not None
            self.pid = int(self._process.stdout.readline() or 0)

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until the server answers; raise StackError with its last log lines when it ends or takes too long."""
        if not wait_until(lambda: not self.running or self._is_ready(), seconds):
            raise StackError(
                f"{self.name}: no answer within {seconds:.0f} s{self._last_lines()} — is the machine overloaded? Try again"
            )
        if not self.running:
            raise StackError(f"{self.name}: ended while starting{self._last_lines()} — see {self._log}")

    def start(self, seconds: float = 60) -> None:
        """Start the server if it does not run, and wait until it answers."""
        if not self.running:
            self.launch()
        self.wait_ready(seconds)

    def stop(self, seconds: float = 20) -> None:
        """Ask the server to shut down cleanly (SIGTERM); kill it after `seconds`."""
        self.signal(signal.SIGTERM)
        if not wait_until(lambda: not self.running, seconds):
            self.kill()
        self._close()

    def kill(self) -> None:
        """End the server at once (SIGKILL)."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._close()

    def restart(self, seconds: float = 60) -> None:
        """Shut down cleanly, start again, wait until it answers."""
        self.stop()
        self.start(seconds)

    def signal(self, number: int) -> None:
        """Send a signal, for instance SIGSTOP and SIGCONT, if the server runs."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process else ():
            if pipe is not None:
                pipe.close()

    def _last_lines(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
            if lines:
                return "; its last words:\n    " + "\n    ".join(lines) + "\n "
        return ""
