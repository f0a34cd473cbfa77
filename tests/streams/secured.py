"""A Kafka broker that enforces everything: TLS, passwords, client certificates, access control lists."""

import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from deploy.local import java, kafka
from deploy.local.processes import Server, free_ports, lock
from streams.acl import Grant
from streams.settings import Settings

PASSWORD = "correct horse battery"  # noqa: S105 - of a broker that lives for one test
LISTENERS = ("PLAIN", "SCRAM", "MUTUAL", "EXPIRED", "CONTROLLER")
RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
"""Codes of Kafka's protocol."""


@dataclass(frozen=True)
class Secured:
    """The broker and what its clients need.

    Attributes
    ----------
    folder
        Of certificates: `ca.pem`, `client.pem`, `client-expired.pem`, `stranger.pem`.
    ports
        Listener → port. PLAIN lets anybody do anything: it is the test's own.
    """

    folder: Path
    ports: dict[str, int]

    def settings(self, listener: str, like: Settings) -> Settings:
        """Return settings that reach a listener as the user ``worker``."""
        protocols = {"PLAIN": "PLAINTEXT", "SCRAM": "SASL_SSL", "MUTUAL": "SSL", "EXPIRED": "SASL_SSL"}
        return replace(
            like,
            kafka=f"localhost:{self.ports[listener]}",
            kafka_protocol=protocols[listener],  # type: ignore[arg-type]
            kafka_user="worker" if protocols[listener].startswith("SASL") else "",
            kafka_password=PASSWORD if protocols[listener].startswith("SASL") else "",
            tls_ca=str(self.folder / "ca.pem"),
        )

    async def grant(self, principal: str, grants: Iterable[Grant]) -> None:
        """Let a user do what the grants say."""
        async with self._admin() as admin:
            for grant in grants:
                for operation in grant.operations:
                    pattern = PREFIXED if grant.is_prefix else LITERAL
                    what = (RESOURCES[grant.resource], grant.name, pattern, f"User:{principal}", "*")
                    answer = await admin._send_request(CreateAclsRequest(*what, OPERATIONS[operation], ALLOW))
                    assert [code for code, _ in answer.creation_responses] == [0], answer

    async def revoke(self, principal: str, grant: Grant) -> None:
        """Take one grant away, all of its operations."""
        pattern = PREFIXED if grant.is_prefix else LITERAL
        what = (RESOURCES[grant.resource], grant.name, pattern, f"User:{principal}", "*")
        async with self._admin() as admin:
            for operation in grant.operations:
                await admin._send_request(DeleteAclsRequest(*what, OPERATIONS[operation], ALLOW))

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=f"localhost:{self.ports['PLAIN']}")
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


@contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """Run one until the block ends."""
    _write_certificates(folder)
    ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
    (folder / "tmp").mkdir()
    (folder / "log4j2.properties").write_text(kafka.LOGGING)
    node = kafka.Node(1, folder, ports["PLAIN"], ports["CONTROLLER"])
    kafka._write_properties(folder / "server.properties", kafka.settings(node, [node]) | _security(folder, ports))
    machine = kafka._java(java.find(), folder)
    user = f"SCRAM-SHA-512=[name=worker,password={PASSWORD}]"
    format_log = [*machine, "kafka.tools.StorageTool", "format", "--cluster-id", kafka.CLUSTER_ID, "--add-scram", user]
    subprocess.run([*format_log, "--config", folder / "server.properties"], check=True, capture_output=True, timeout=90)
    command = [str(part) for part in (*machine, "-Xmx384m", "kafka.Kafka", folder / "server.properties")]
    held = lock(folder)
    server = Server(
        "secured", command, folder / "log", lambda: bool(kafka.live_brokers(ports["PLAIN"])), lock_descriptor=held
    )
    try:
        server.start(90)
        yield Secured(folder, ports)
    finally:
        server.kill()


def _security(folder: Path, ports: dict[str, int]) -> dict[str, object]:
    protocols = {
        "PLAIN": "PLAINTEXT",
        "SCRAM": "SASL_SSL",
        "MUTUAL": "SSL",
        "EXPIRED": "SASL_SSL",
        "CONTROLLER": "PLAINTEXT",
    }
    listeners = {name: f"{name}://localhost:{port}" for name, port in ports.items()}
    return {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(value for name, value in listeners.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "controller.quorum.voters": f"1@localhost:{ports['CONTROLLER']}",
        "inter.broker.listener.name": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "broker.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "ca.pem",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*CN=([a-z]+).*$/$1/",
        "listener.name.expired.ssl.keystore.type": "PEM",
        "listener.name.expired.ssl.keystore.location": folder / "broker-expired.pem",
        **{
            f"listener.name.{name}.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            for name in ("scram", "expired")
        },
    }  # fmt: skip


def _write_certificates(folder: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    now = datetime.now(UTC)
    expired = {"not_before": now - timedelta(days=9), "not_after": now - timedelta(days=1)}
    authority.cert_pem.write_to_path(folder / "ca.pem")
    _write(folder / "broker.pem", authority.issue_cert("localhost"))
    _write(folder / "broker-expired.pem", authority.issue_cert("localhost", **expired))
    _write(folder / "client.pem", authority.issue_cert("worker", common_name="worker"))
    _write(folder / "client-expired.pem", authority.issue_cert("worker", common_name="worker", **expired))
    _write(folder / "stranger.pem", other.issue_cert("worker", common_name="worker"))
    other.cert_pem.write_to_path(folder / "other-ca.pem")


def _write(path: Path, certificate: trustme.LeafCert) -> None:
    """Write key and chain into one file; Kafka wants the key in PKCS 8."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    parts += [blob.bytes() for blob in certificate.cert_chain_pems]
    path.write_bytes(b"".join(parts))
