"""Worker processes with the counting state, and a supervisor that starts each again when it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.settings import Settings

ROOT = Path(__file__).parents[2]
COUNTING_WORKER = (str(ROOT / "tests/streams/counting.py"),)
REAL_WORKER = ("-m", "streams.cli", "worker")


class Workers:
    """Worker processes; leaving the ``with`` block kills what is left.

    Parameters
    ----------
    settings
        Of every worker.
    folder
        Where their logs go.
    count
        Number of workers, >= 1.
    command
        What a worker process runs: the counting state, or the real one.
    """

    def __init__(
        self, settings: Settings, folder: Path, count: int = 1, command: Sequence[str] = COUNTING_WORKER
    ) -> None:
        self._command = [sys.executable, "-u", *command]
        self._settings = settings
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.exits: list[int] = []
        self._count = count

    def __enter__(self) -> Self:
        self.processes = [self.start(index) for index in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def start(self, index: int, **environ: str) -> subprocess.Popen[bytes]:
        """Start worker ``index`` with extra environment."""
        environment = {**os.environ, **self._settings.environ(), "PYTHONPATH": str(ROOT), **environ}
        with self.log(index).open("ab") as log:
            return subprocess.Popen(
                self._command,
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, index: int) -> Path:
        """Return the log of worker ``index``."""
        return self._folder / f"worker-{index}.log"

    def signal(self, index: int, number: signal.Signals) -> None:
        """Send a signal to worker ``index``."""
        self.processes[index].send_signal(number)

    def owns_partitions(self, index: int) -> bool:
        """Return whether worker ``index``, as it runs now, has told that it owns partitions."""
        own = f"[{self.processes[index].pid}]".encode()
        lines = [line for line in self.log(index).read_bytes().splitlines() if own in line]
        return any(b"owning partitions [" in line and b"partitions []" not in line for line in lines)

    def revive(self) -> None:
        """Start each worker again that has ended."""
        for index, process in enumerate(self.processes):
            if process.poll() is not None:
                self.exits.append(process.returncode)
                self.processes[index] = self.start(index)
