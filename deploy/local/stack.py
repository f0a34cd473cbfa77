"""Kafka and Redis on this machine: for a test session, a demonstration, or until `bellwether down`.

with Stack() as stack:                       # temporary folder, free ports, gone afterwards whatever happens
    stack.kafka                              # "127.0.0.1:23456"
    stack.redis_url                          # "redis://127.0.0.1:23457/0"

with Stack(brokers=3) as stack:              # fault rounds
    stack.broker(2).kill(); stack.broker(2).start()

up(folder); down(folder)                     # detached; `folder/stack.json` says where
"""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import java, kafka, quick_start, redis_server
from deploy.local.processes import Server, StackError, disk_faults, free_ports, lock, require_free, wait_until

REQUIRED_BYTES = 200 * 1024 * 1024  # free disk space below which a broker would soon stop
START_SECONDS = 90


@dataclass(frozen=True)
class Addresses:
    """Where a running stack answers.

    Attributes
    ----------
    kafka
        Bootstrap servers, `host:port` separated by commas.
    redis_url
        None without Redis.
    pids
        Server name → process id.
    """

    kafka: str
    redis_url: str | None
    pids: dict[str, int]


class Stack:
    """Kafka and Redis, running between `start` and `stop` (or inside a `with` block).

    Parameters
    ----------
    directory
        Folder of the data, kept afterwards; None makes a temporary one that is deleted.
    brokers
        Kafka nodes, 1 or more; with 3, internal topics have 3 copies and two must have a write.
    redis
        Whether to run Redis.
    kafka_port, redis_port
        Fixed ports (the first broker's); 0 takes free ones.
    detached
        Let the servers outlive this process; needs `directory`.
    is_restless
        Have brokers start quickly rather than become fast: for those that are killed and started all the time.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        brokers: int = 1,
        *,
        redis: bool = True,
        kafka_port: int = 0,
        redis_port: int = 0,
        detached: bool = False,
        is_restless: bool = False,
    ) -> None:
        assert brokers >= 1
        assert directory is not None or not detached
        self._directory = None if directory is None else Path(directory).expanduser().resolve()
        self._n_brokers, self._with_redis = brokers, redis
        self._kafka_port, self._redis_port = kafka_port, redis_port
        self._detached = detached
        self._is_restless = is_restless
        self._lock = -1
        self.folder = Path()
        self.brokers: list[Server] = []
        self.redis: Server | None = None
        self.kafka = ""
        self.redis_url = ""

    def broker(self, node_id: int) -> Server:
        """Return one node, 1 to `brokers`: `stop`, `kill`, `start`, `restart`, `signal`."""
        return self.brokers[node_id - 1]

    @property
    def addresses(self) -> Addresses:
        """Where it answers, and its process ids."""
        return Addresses(self.kafka, self.redis_url or None, {server.name: server.pid for server in self._servers()})

    def start(self) -> None:
        """Start everything and wait until it answers; raise StackError, with nothing left behind, when it does not."""
        try:
            self._open_folder()
            self._declare()
            for server in self._servers():
                server.launch()
            if self._detached:
                self._release()  # from now on only the servers hold it
            for server in self._servers():
                server.wait_ready(START_SECONDS)
        except BaseException:  # Ctrl-C included
            self.stop()
            raise

    def stop(self) -> None:
        """End everything: cleanly when the data stays, at once when it is deleted anyway."""
        if self._directory is not None:
            for server in self._servers():
                server.signal(signal.SIGTERM)  # all at once, then wait: the last of several controllers has no quorum
        for server in reversed(self._servers()):
            server.stop() if self._directory is not None else server.kill()
        self._release()
        if self._directory is None and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _servers(self) -> list[Server]:
        return [*self.brokers, *([self.redis] if self.redis else [])]

    def _open_folder(self) -> None:
        with disk_faults(self._directory or Path(tempfile.gettempdir())):
            self.folder = self._directory or Path(tempfile.mkdtemp(prefix="bellwether-"))
            self._lock = lock(self.folder)
            free = shutil.disk_usage(self.folder).free
        if free < REQUIRED_BYTES:
            raise StackError(
                f"{self.folder}: only {free // 2**20} MiB free on its disk — free at least {REQUIRED_BYTES // 2**20} MiB"
            )

    def _declare(self) -> None:
        for port, option in ((self._kafka_port, "--kafka-port"), (self._redis_port, "--redis-port")):
            if port:
                require_free(port, option)
        n = self._n_brokers
        ports = free_ports(2 * n + 1)
        client_ports = [self._kafka_port or ports[0], *ports[1:n]]
        nodes = [kafka.Node(i + 1, self.folder / f"kafka-{i + 1}", client_ports[i], ports[n + i]) for i in range(n)]
        program = java.find()
        for node in nodes:
            kafka.prepare(program, node, nodes)
        options = quick_start.options(program) if self._is_restless else []
        self.brokers = [
            self._server(f"kafka-{node.node_id}", kafka.command(program, node, options), node.port, node.node_id)
            for node in nodes
        ]
        self.kafka = ",".join(f"127.0.0.1:{port}" for port in client_ports)
        if self._with_redis:
            port = self._redis_port or ports[-1]
            folder = self.folder / "redis"
            with disk_faults(folder):
                folder.mkdir(exist_ok=True)
            self.redis = self._server(
                "redis", redis_server.command(folder, port, durable=self._directory is not None), port, None
            )
            self.redis_url = f"redis://127.0.0.1:{port}/0"

    def _server(self, name: str, command: list[str | Path], port: int, node_id: int | None) -> Server:
        def is_ready() -> bool:
            return redis_server.answers(port) if node_id is None else node_id in kafka.live_brokers(port)

        return Server(
            name,
            command,
            self.folder / f"{name}.log",
            is_ready,
            lock_descriptor=self._lock,
            folder=self.folder if self._directory is None else None,
            detached=self._detached,
        )


def up(directory: Path | str, *, brokers: int = 1, kafka_port: int = 0, redis_port: int = 0) -> tuple[Addresses, bool]:
    """Start a stack that outlives this process; return its addresses and whether it was started now.

    A stack that already runs in `directory` is left as it is.
    """
    running = status(directory)
    if running is not None:
        return running, False
    stack = Stack(directory, brokers, kafka_port=kafka_port, redis_port=redis_port, detached=True)
    stack.start()
    with disk_faults(stack.folder):
        (stack.folder / "stack.json").write_text(json.dumps(asdict(stack.addresses), indent=1))
    return stack.addresses, True


def status(directory: Path | str) -> Addresses | None:
    """Return the addresses of the stack that runs in `directory`, None when none does.

    Raises
    ------
    StackError
        Something still runs there but is not a whole stack.
    """
    folder = Path(directory).expanduser().resolve()
    if not _is_locked(folder):
        return None
    try:
        addresses = Addresses(**json.loads((folder / "stack.json").read_text()))
    except (OSError, ValueError, TypeError):
        raise StackError(
            f"{folder}: a stack is starting or belongs to a running program — end that program, or choose another folder"
        ) from None
    if not all(_is_alive(pid) for pid in addresses.pids.values()):
        raise StackError(f"{folder}: part of the stack has died — run `bellwether down`, then `bellwether up`")
    return addresses


def down(directory: Path | str, seconds: float = 30) -> bool:
    """Stop the stack that `up` started in `directory`; return False when none runs there."""
    folder = Path(directory).expanduser().resolve()
    if not _is_locked(folder):
        return False
    try:
        pids = Addresses(**json.loads((folder / "stack.json").read_text())).pids.values()
    except (OSError, ValueError, TypeError):
        raise StackError(
            f"{folder}: a stack runs here that `bellwether up` did not start — end the program that did"
        ) from None
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(_is_alive, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_until(lambda: not _is_locked(folder), seconds):
            (folder / "stack.json").unlink(missing_ok=True)
            return True
    raise StackError(f"{folder}: processes {', '.join(map(str, pids))} do not end — end them by hand")


def _is_locked(folder: Path) -> bool:
    if not (folder / "lock").exists():
        return False
    try:
        os.close(lock(folder))
    except StackError:
        return True
    return False


def _is_alive(pid: int) -> bool:
    # Every server leads its own session; a foreign process that was given the number of a dead one hardly does.
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False
