"""Getting into a Redis that demands TLS and a user with few permissions; each refusal one sentence."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from deploy.local import redis_server
from deploy.local.processes import Server, free_ports, lock
from streams.halt import Refusal
from streams.lookup import find_open_alerts
from streams.projection import Entry, Projection
from streams.settings import Settings
from tests.sources import TOP

PERMISSIONS = "~bw:* &bw:notice +@read +@write +@scripting +@connection +time +publish +info"
"""What SECURITY.md tells to grant."""


@dataclass(frozen=True)
class Guarded:
    """A Redis behind a door that speaks TLS only: the packaged server is built without.

    Attributes
    ----------
    folder
        Of certificates.
    port
        The door's.
    """

    folder: Path
    port: int

    def settings(self, user: str = "bellwether:hush", authority: str = "ca.pem") -> Settings:
        """Return settings that reach it."""
        address = f"rediss://{user}@localhost:{self.port}/0"
        return Settings(redis_url=address, tls_ca=str(self.folder / authority), partitions=1)


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """One such server for this file."""
    folder = tmp_path_factory.mktemp("redis")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    (port,) = free_ports(1)
    (folder / "users.acl").write_text(
        f"user default on nopass ~* +ping\nuser bellwether on >hush {PERMISSIONS}\nuser weak on >hush ~other:* +@all\n"
    )
    command = [*redis_server.command(folder, port, durable=False), "--aclfile", folder / "users.acl"]
    held = lock(folder)
    server = Server("redis", command, folder / "log", lambda: redis_server.answers(port), lock_descriptor=held)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    await asyncio.to_thread(server.start, 30)
    door = await asyncio.start_server(lambda *ends: pass_through(*ends, port), "127.0.0.1", 0, ssl=context)
    try:
        yield Guarded(folder, door.sockets[0].getsockname()[1])
    finally:
        door.close()
        server.kill()


async def pass_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Hand everything on to the server on `port`, and back, until one side closes."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await source.read(65_536):
                sink.write(block)
                await sink.drain()
        sink.close()

    await asyncio.gather(pour(reader, inner_writer), pour(inner_reader, writer))


async def refusal(settings: Settings) -> str:
    """Return the sentence with which a command ends that Redis does not serve."""
    with pytest.raises(Refusal) as failure:
        await find_open_alerts(settings, "a")
    return str(failure.value)


async def test_a_user_with_the_listed_permissions_projects(guarded: Guarded) -> None:
    """With what SECURITY.md lists and no more, by TLS, a score is written, read, and cleared."""
    assert PERMISSIONS in (TOP / "SECURITY.md").read_text(encoding="utf-8")
    async with Projection(guarded.settings()) as projection:
        entry = Entry(0, "acme", [("HSET", "bw:{0}:account:acme", "health", "50")])
        assert await projection.apply("scores", 0, 0, 1, [entry]) == (1, 1)
        assert (await projection.applied([("scores", 0)]))["scores", 0].offset == 1
        await projection.clear("scores", 0)
    assert await find_open_alerts(guarded.settings(), "a") == {}


async def test_a_wrong_password_is_one_sentence(guarded: Guarded) -> None:
    """The address is shown without user and password."""
    said = await refusal(guarded.settings("bellwether:guess"))
    assert said.startswith(f"localhost:{guarded.port}/0: Redis does not serve us (")
    assert said.endswith("— correct user and password in BELLWETHER_REDIS_URL")
    assert "guess" not in said


async def test_a_missing_permission_is_one_sentence(guarded: Guarded) -> None:
    """A user who may not touch our keys is told what to be granted."""
    said = await refusal(guarded.settings("weak:hush"))
    assert said.endswith("— grant the user what SECURITY.md lists, on keys bw:* and channel bw:notice")


async def test_a_strange_authority_is_one_sentence(guarded: Guarded) -> None:
    """A Redis with a certificate of another authority is not trusted."""
    said = await refusal(guarded.settings(authority="other-ca.pem"))
    assert said.endswith("— renew Redis's certificate, or set BELLWETHER_TLS_CA to the authority that signed it")


async def test_nobody_there_is_one_sentence(guarded: Guarded) -> None:
    """An address where nothing listens says how to start one."""
    nowhere = replace(guarded.settings(), redis_url=f"rediss://localhost:{free_ports(1)[0]}/0")
    assert (await refusal(nowhere)).endswith(
        "— start one (`bellwether up`), or set BELLWETHER_REDIS_URL to where it runs"
    )
