"""How processes get into Kafka and Redis: encryption, who we are, and one sentence for each way of being refused.

Every client of either is made of what these functions return, so that no connection is left unprotected by oversight.
"""

import asyncio
import ssl
from typing import Any, Final

import redis.asyncio
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from faust import SASLCredentials, SSLCredentials
from redis.exceptions import AuthenticationError, NoPermissionError

from streams.halt import Refusal
from streams.settings import Settings

USAGE: Final = 2
ALERT_SECONDS: Final = 0.5
"""How long a broker's refusal of our certificate may take: with TLS 1.3 it comes after the handshake."""
CONNECT_SECONDS: Final = 5.0
REFUSALS: Final = {
    TopicAuthorizationFailedError: "this topic",
    GroupAuthorizationFailedError: "this consumer group",
    TransactionalIdAuthorizationFailed: "this transactional id",
    ClusterAuthorizationFailedError: "the cluster",
}


def kafka(settings: Settings) -> dict[str, Any]:
    """Return what every aiokafka client is given: servers, encryption, user.

    Raises
    ------
    Refusal
        A certificate's file cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_protocol,
        "ssl_context": tls(settings) if settings.kafka_protocol.endswith("SSL") else None,
    }
    if settings.kafka_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_mechanism
        options["sasl_plain_username"] = settings.kafka_user
        options["sasl_plain_password"] = settings.kafka_password
    return options


def faust_credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """Return the same as Faust takes it."""
    context = tls(settings) if settings.kafka_protocol.endswith("SSL") else None
    if settings.kafka_protocol.startswith("SASL"):
        user, password = settings.kafka_user, settings.kafka_password
        return SASLCredentials(
            username=user, password=password, ssl_context=context, mechanism=settings.kafka_mechanism
        )
    return None if context is None else SSLCredentials(context=context)


def redis_client(settings: Settings, **options: Any) -> redis.asyncio.Redis:
    """Return a client of Redis; it connects when first used.

    Parameters
    ----------
    settings
        Of this process.
    options
        What the caller wants of redis-py, such as time limits.
    """
    if settings.redis_url.startswith("rediss://"):
        options["ssl_ca_certs"] = settings.tls_ca or None
        options["ssl_certfile"] = settings.tls_certificate or None
        options["ssl_keyfile"] = settings.tls_key or settings.tls_certificate or None
        options["ssl_check_hostname"] = True
    return redis.asyncio.Redis.from_url(settings.redis_url, **options)


def tls(settings: Settings) -> ssl.SSLContext:
    """Return how TLS is spoken: only with servers whose certificate is trusted and names them.

    Raises
    ------
    Refusal
        A file is missing or is no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca or None)
    except OSError as error:  # SSLError is one
        raise _unusable("BELLWETHER_TLS_CA", settings.tls_ca, error) from error
    if settings.tls_certificate:
        try:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
        except OSError as error:
            where = f"{settings.tls_certificate} {settings.tls_key}".strip()
            raise _unusable("BELLWETHER_TLS_CERTIFICATE", where, error) from error
    return context


def _unusable(variable: str, where: str, error: OSError) -> Refusal:
    why = getattr(error, "reason", None) or error.strerror or "no certificate in it"
    return Refusal(f"{variable}: expected a PEM file, got {where} ({why}) — correct the path or the file", USAGE)


async def why_unreachable(settings: Settings) -> str:
    """Return why no broker serves us, and what to do: tries the first server step by step."""
    server = settings.kafka.partition(",")[0]
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if settings.kafka_protocol.endswith("SSL"):
                await _greet(host.strip("[]"), int(port), tls(settings))
            options = kafka(settings)
            del options["bootstrap_servers"]
            connection = await create_conn(host.strip("[]"), int(port), **options)
            connection.close()
    except ssl.SSLError as error:
        return f"{server}: {_about_certificates(error, settings)}"
    except (AuthenticationFailedError, SaslAuthenticationFailed):
        who = f"user {settings.kafka_user!r} ({settings.kafka_mechanism})"
        return f"{server}: Kafka refuses {who} — see BELLWETHER_KAFKA_USER and BELLWETHER_KAFKA_PASSWORD"
    except (UnsupportedSaslMechanismError, IllegalSaslStateError):
        asked = f"{settings.kafka_protocol} with {settings.kafka_mechanism}"
        return (
            f"{server}: the broker does not take {asked} — see BELLWETHER_KAFKA_PROTOCOL and BELLWETHER_KAFKA_MECHANISM"
        )
    except (KafkaError, OSError):
        pass  # nobody is there, or nobody who understands us
    if settings.kafka_protocol == "PLAINTEXT":
        return f"{settings.kafka}: no Kafka broker answers — start one (`bellwether up`), or set BELLWETHER_KAFKA to where it runs"
    advice = "set BELLWETHER_KAFKA and BELLWETHER_KAFKA_PROTOCOL to where it runs and what it speaks"
    return f"{settings.kafka}: no Kafka broker answers {settings.kafka_protocol} — {advice}"


def _about_certificates(error: ssl.SSLError, settings: Settings) -> str:
    """Return which side did not trust the other, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "renew it, or set BELLWETHER_TLS_CA to the authority that signed it"
        return f"the broker's certificate is not trusted ({error.verify_message}) — {advice}"
    why = (error.reason or str(error)).lower().replace("_", " ")
    if "certificate" in why:
        advice = "renew" if settings.tls_certificate else "set"
        return f"the broker refuses our certificate ({why}) — {advice} BELLWETHER_TLS_CERTIFICATE"
    return f"the broker does not speak TLS ({why}) — see BELLWETHER_KAFKA_PROTOCOL and the port"


async def _greet(host: str, port: int, context: ssl.SSLContext) -> None:
    """Shake hands, and wait a moment for the other side's objection."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        async with asyncio.timeout(ALERT_SECONDS):
            await reader.read(1)
    except TimeoutError:
        pass  # none came
    finally:
        writer.close()


def kafka_refusal(error: BaseException) -> str | None:
    """Return what permission is missing and what to do, None when the error is about something else."""
    for kind, what in REFUSALS.items():
        if isinstance(error, kind):
            named = f" ({error.args[0]})" if error.args else ""
            return f"Kafka does not let us use {what}{named} — grant what `bellwether topics acl` lists"
    return None


def redis_advice(error: BaseException) -> str:
    """Return what to do about an error of Redis."""
    text = str(error)
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return "correct user and password in BELLWETHER_REDIS_URL"
    if isinstance(error, NoPermissionError) or "NOPERM" in text:
        return "grant the user what SECURITY.md lists, on keys bw:* and channel bw:notice"
    if "CERTIFICATE" in text.upper():
        return "renew Redis's certificate, or set BELLWETHER_TLS_CA to the authority that signed it"
    return "start one (`bellwether up`), or set BELLWETHER_REDIS_URL to where it runs"
