"""Getting into a broker that enforces TLS, passwords, certificates and access control lists; each refusal one sentence."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams import topics
from streams.access import kafka
from streams.acl import ROLES, Grant
from streams.cli import main
from streams.outbox import Outbox
from streams.reading import committed
from streams.settings import Settings
from tests.streams.secured import Secured, secured_broker
from tests.streams.workers import REAL_WORKER, Workers

USER = "worker"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker that enforces everything, for this file."""
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
async def provided(settings: Settings, secured: Secured) -> AsyncIterator[Settings]:
    """Settings with topics on the secured broker, made through the listener that lets anybody in."""
    inside = secured.settings("PLAIN", settings)
    created = await topics.create(inside)
    yield inside
    async with topics.admin(inside) as admin:
        await admin.delete_topics(created)


async def refusal(settings: Settings) -> str:
    """Return the sentence with which a command ends that cannot get in."""
    with pytest.raises(topics.KafkaUnreachableError) as failure:
        await topics.partitions(settings, "usage")
    return str(failure.value)


async def test_a_wrong_password_is_one_sentence(secured: Secured, settings: Settings) -> None:
    """The user and the settings to look at are named, the password is not."""
    wrong = replace(secured.settings("SCRAM", settings), kafka_password="guess")  # noqa: S106
    assert await refusal(wrong) == (
        f"{wrong.kafka}: Kafka refuses user 'worker' (SCRAM-SHA-512) — see BELLWETHER_KAFKA_USER and BELLWETHER_KAFKA_PASSWORD"
    )
    assert "guess" not in repr(wrong)


async def test_an_expired_certificate_of_the_broker_is_one_sentence(secured: Secured, settings: Settings) -> None:
    """Nothing is sent to a broker whose certificate has run out."""
    expired = secured.settings("EXPIRED", settings)
    assert await refusal(expired) == (
        f"{expired.kafka}: the broker's certificate is not trusted (certificate has expired)"
        " — renew it, or set BELLWETHER_TLS_CA to the authority that signed it"
    )


async def test_a_strange_authority_is_one_sentence(secured: Secured, settings: Settings) -> None:
    """A broker with a certificate of another authority is not trusted."""
    strange = replace(secured.settings("SCRAM", settings), tls_ca=str(secured.folder / "other-ca.pem"))
    said = await refusal(strange)
    assert said.startswith(f"{strange.kafka}: the broker's certificate is not trusted (unable to get local issuer")


@pytest.mark.parametrize("certificate", ["", "client-expired.pem", "stranger.pem"])
async def test_a_certificate_of_ours_that_is_not_taken_is_one_sentence(
    secured: Secured, settings: Settings, certificate: str
) -> None:
    """Without a certificate: set one. With one that ran out, or of another authority: renew it."""
    path = str(secured.folder / certificate) if certificate else ""
    mutual = replace(secured.settings("MUTUAL", settings), tls_certificate=path)
    said = await refusal(mutual)
    assert said.startswith(f"{mutual.kafka}: the broker refuses our certificate (")
    assert said.endswith(f") — {'renew' if certificate else 'set'} BELLWETHER_TLS_CERTIFICATE")


async def test_a_broker_without_tls_is_one_sentence(secured: Secured, settings: Settings) -> None:
    """TLS spoken to a port that does not is told as that."""
    plain = replace(secured.settings("SCRAM", settings), kafka=f"localhost:{secured.ports['PLAIN']}")
    said = await refusal(plain)
    advice = "set BELLWETHER_KAFKA and BELLWETHER_KAFKA_PROTOCOL to where it runs and what it speaks"
    assert said == f"{plain.kafka}: no Kafka broker answers SASL_SSL — {advice}"


async def test_a_file_that_is_no_certificate_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    """A path that leads nowhere is told with its variable, before anything is connected."""
    where = tmp_path / "ca.pem"
    with pytest.raises(Exception, match=r"BELLWETHER_TLS_CA: expected a PEM file, got .*No such file"):
        kafka(replace(settings, kafka_protocol="SSL", tls_ca=str(where)))


def grant_of(settings: Settings, resource: str, name: str) -> Grant:
    """Return the worker's grant of a resource."""
    (found,) = [each for each in ROLES[USER](settings) if (each.resource, each.name) == (resource, name)]
    return found


@pytest.mark.timeout(400)
async def test_a_worker_with_the_listed_permissions_works(secured: Secured, provided: Settings, tmp_path: Path) -> None:
    """With what `topics acl` lists and no more, by password and by certificate, events are applied and committed."""
    await secured.grant(USER, ROLES[USER](provided))
    mutual = replace(secured.settings("MUTUAL", provided), tls_certificate=str(secured.folder / "client.pem"))
    for number, inside in enumerate((secured.settings("SCRAM", provided), mutual)):
        await send_login(provided, f"acme-{number}")
        folder = tmp_path / str(number)
        folder.mkdir()
        with Workers(inside, folder, command=REAL_WORKER) as workers:
            assert await is_committed(provided, number + 1), workers.log(0).read_text()[-3000:]
            workers.processes[0].terminate()
            assert await asyncio.to_thread(workers.processes[0].wait, 30) == 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("resource", "ending", "sentence"),
    [
        ("topic", "usage", "grant what `bellwether topics acl` lists"),
        ("topic", "-accounts-changelog", "grant what `bellwether topics acl` lists"),
        ("group", "", "grant what `bellwether topics acl` lists"),
        ("transactional-id", "-", "grant what `bellwether topics acl` lists"),
    ],
)
async def test_a_missing_permission_is_one_sentence(
    secured: Secured, provided: Settings, tmp_path: Path, resource: str, ending: str, sentence: str
) -> None:
    """A worker that lacks one permission ends and says which."""
    grants = ROLES[USER](provided)
    await secured.grant(USER, grants)
    name = provided.topic("usage") if ending == "usage" else provided.app_id + ending
    name = provided.changelog if ending == "-accounts-changelog" else name
    await secured.revoke(USER, grant_of(provided, resource, name))
    await send_login(provided, "acme")
    with Workers(secured.settings("SCRAM", provided), tmp_path) as workers:
        code = await asyncio.to_thread(workers.processes[0].wait, 120)
        log = workers.log(0).read_text()
    assert code == 1, log
    last = log.strip().splitlines()[-1]
    assert sentence in last
    assert name in last


def test_permissions_are_listed_as_commands(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each permission is one command of Kafka's tool; with --json one object."""
    for variable, value in settings.environ().items():
        monkeypatch.setenv(variable, value)
    assert main(["topics", "acl", "--role", "notifier", "--principal", "me"]) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = f"kafka-acls.sh --bootstrap-server {settings.kafka} --add --allow-principal User:me"
    assert lines[0] == "# notifier: User:me"
    assert lines[1] == f"{begin} --operation Read --operation Describe --topic {settings.topic('alerts')}"
    assert any(line.endswith(f"--group {settings.app_id}-notify- --resource-pattern-type prefixed") for line in lines)
    assert main(["topics", "acl", "--json"]) == 0
    grants = json.loads(capsys.readouterr().out)["grants"]
    assert {grant["role"] for grant in grants} == set(ROLES)
    writers = {g["role"] for g in grants if g["name"] == settings.topic("models") and "Write" in g["operations"]}
    assert writers == {"operator"}, "who sends events may not change what a score is"


async def send_login(settings: Settings, account: str) -> None:
    """Send one event of usage."""
    now_ms = time.time_ns() // 1_000_000
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_ms / 1000))
    event = {"id": account, "account_id": account, "occurred_at": at, "event": "login"}
    async with Outbox(settings) as outbox:
        await outbox.open(settings.topic("usage"))
        await outbox.add(settings.topic("usage"), account.encode(), json.dumps(event).encode(), now_ms)


async def is_committed(settings: Settings, count: int) -> bool:
    """Return whether that many events of usage are committed, now or within the deadline."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        offsets = await committed(settings, settings.app_id)
        if sum(meta.offset for tp, meta in offsets.items() if tp.topic == settings.topic("usage")) == count:
            return True
        await asyncio.sleep(0.5)
    return False
