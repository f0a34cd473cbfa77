"""A targets file in TOML → targets, with every fault at once. Secrets stand in the environment or in files, never in it.

::

    TargetsError(ValueError)     the file as a whole, listing every Fault
"""

import base64
import binascii
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from scoring.durations import parse_duration
from scoring.faults import Fault
from scoring.model import ALERT_SEVERITIES
from scoring.reading import DASHED, Table
from streams.notify.addresses import is_public
from streams.notify.load import Load
from streams.notify.reading_load import read_load
from streams.notify.targets import MINUTE_MS, RETRY_MS, Alertmanager, Mail, PagerDuty, Place, Slack, Target, Webhook

MAX_TARGETS: Final = 32
MAX_TRIES: Final = 20
MINIMUM_SECRET_BYTES: Final = 24
"""Standard Webhooks: between 24 and 64 bytes."""
MAXIMUM_SECRET_BYTES: Final = 64
PAGERDUTY: Final = "https://events.pagerduty.com/v2/enqueue"
ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
KINDS: Final = ("webhook", "slack", "pagerduty", "alertmanager", "email")


class TargetsError(ValueError):
    """A targets file that cannot be used; the message has one line per fault."""


class Delivery(NamedTuple):
    """What a targets file says: who is told, and how much is bearable (None = everything is delivered at once)."""

    targets: tuple[Target, ...]
    load: Load | None


def read_delivery(path: Path, environ: Mapping[str, str]) -> Delivery:
    """Return what a file says, its targets by name.

    Parameters
    ----------
    path
        The TOML file; files of secrets are relative to its folder.
    environ
        Where secrets by ``env`` are looked up.

    Raises
    ------
    TargetsError
        Listing every fault.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetsError(
            f"{path}: expected a readable file, got {error.strerror} — give the path of a targets file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetsError(f"{path}: expected TOML, got {error} — correct the line") from error
    faults: list[Fault] = []
    reader = _Reader(path.parent, environ)
    root = Table(content, "$", faults)
    targets = tuple(reader.target(name, table) for name, table in root.tables("targets", MAX_TARGETS, DASHED).items())
    load = read_load(root)
    root.finish()
    if not targets and "targets" not in root:
        root.note("targets")("at least one target", "none", 'add [targets.NAME] with kind = "webhook" or another')
    if faults:
        raise TargetsError("\n".join(f"{path} {fault}" for fault in faults))
    return Delivery(targets, load)


class _Reader:
    """Reads targets; knows where secrets are.

    Parameters
    ----------
    folder
        That files of secrets are relative to.
    environ
        The process's environment.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ

    def target(self, name: str, table: Table) -> Target:
        """Return one target; what is wrong with it is noted."""
        kind = table.choice("kind", KINDS)
        place = {
            "webhook": self._webhook,
            "slack": self._slack,
            "pagerduty": self._pagerduty,
            "alertmanager": self._alertmanager,
            "email": self._mail,
        }[kind if kind in KINDS else KINDS[0]](table)
        target = Target(
            name=name,
            place=place,
            minimum_severity=table.choice("minimum_severity", ALERT_SEVERITIES, ALERT_SEVERITIES[0]),
            rules=table.texts("rules"),
            retry_ms=_retry_ms(table),
            from_beginning=table.choice("start", ("now", "beginning"), "now") == "beginning",
        )
        table.finish()
        return target

    def _webhook(self, table: Table) -> Place:
        keys = ("secret", "previous_secret") if "previous_secret" in table else ("secret",)
        secrets = tuple(self._signing_secret(table, key) for key in keys)
        url, allow_private = _guarded_url(table)
        return Webhook(url, secrets, allow_private)

    def _slack(self, table: Table) -> Place:
        allow_private = table.truth("allow_private", default=False)
        url = self._secret(table, "url")
        if url:
            _check_url(table, "url", url, allow_private=allow_private)
        return Slack(url, allow_private)

    def _pagerduty(self, table: Table) -> Place:
        url, allow_private = _guarded_url(table, PAGERDUTY)
        return PagerDuty(url, self._secret(table, "routing_key"), allow_private)

    def _alertmanager(self, table: Table) -> Place:
        url = table.text("url")
        if url:
            _check_url(table, "url", url, allow_private=True)
        token = self._secret(table, "token") if "token" in table else ""
        table.raw("token")
        return Alertmanager(url.rstrip("/"), token, table.duration_ms("resend", "1m") or MINUTE_MS)

    def _mail(self, table: Table) -> Place:
        sender, to = table.text("from"), table.texts("to")
        to_owner = table.truth("to_owner", default=False)
        for key, given in (("from", sender), *(("to", address) for address in to)):
            if given and not ADDRESS.fullmatch(given):
                table.note(key)("a mail address", f"'{given}'", "write name@example.com")
        if not to and not to_owner:
            table.note("to")("at least one address", "none", "add to, or to_owner = true")
        tls = table.choice("tls", ("starttls", "tls", "none"), "starttls")
        username = table.text("username", "")
        password = self._secret(table, "password") if username or "password" in table else ""
        if password and tls == "none":
            table.note("tls")("starttls or tls", "none", "a password must not cross the network in the clear")
        port = table.whole("port", {"tls": 465, "starttls": 587}.get(tls, 25), 1, 65_535)
        return Mail(table.text("host"), port, sender, to, to_owner, tls, username, password)

    def _secret(self, table: Table, key: str) -> str:
        """Return a secret that the file names as ``{ env = "NAME" }`` or ``{ file = "path" }``; "" after a fault."""
        form = '{ env = "NAME" } or { file = "path" }'
        given = table.raw(key)
        if given is None:
            table.note(key)(form, "nothing", f"add {key}")
            return ""
        if not isinstance(given, dict):  # never shown: it may be the secret
            table.note(key)(form, "something else", "secrets do not stand in this file")
            return ""
        source = table.table(key)
        if len(source.keys()) != 1:
            source.note("")(form, "neither or both", "give one of them")
            return ""
        if "env" in source:
            name = source.text("env")
            found = self._environ.get(name, "").strip()
            if not found:
                source.note("env")("a variable that is set", f"'{name}'", "set it where the notifier runs")
        else:
            name = source.text("file", "")
            found = self._file(source, name)
        source.finish()
        return found

    def _file(self, source: Table, name: str) -> str:
        try:
            found = (self._folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "bytes that are no text"
            source.note("file")("a readable file", f"'{name}' ({reason})", "correct the path or its permissions")
            return ""
        if not found:
            source.note("file")("a file with the secret", f"'{name}' (empty)", "write the secret into it")
        return found

    def _signing_secret(self, table: Table, key: str) -> str:
        found = self._secret(table, key)
        if found:
            try:
                length = len(base64.b64decode(found.removeprefix("whsec_"), validate=True))
            except (binascii.Error, ValueError):
                length = 0
            if not MINIMUM_SECRET_BYTES <= length <= MAXIMUM_SECRET_BYTES:
                table.note(key)(
                    "whsec_ and 24 to 64 bytes in base64",
                    "something else",
                    "make one with: echo whsec_$(head -c 32 /dev/urandom | base64)",
                )
                return ""
        return found


def _guarded_url(table: Table, default: str | None = None) -> tuple[str, bool]:
    allow_private = table.truth("allow_private", default=False)
    url = table.text("url", default)
    if url:
        _check_url(table, "url", url, allow_private=allow_private)
    return url, allow_private


def _check_url(table: Table, key: str, url: str, *, allow_private: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes or not host or parts.username is not None:
        expected = " or ".join(f"{scheme}://host/…" for scheme in schemes)
        table.note(key)(
            expected, "something else", "alerts tell about customers; give an address without a password in it"
        )
        return
    if not allow_private and (host == "localhost" or not _is_public_or_name(host)):
        table.note(key)("a public address", f"'{host}'", "add allow_private = true if it is one of yours")


def _is_public_or_name(host: str) -> bool:
    try:
        return is_public(str(ip_address(host)))
    except ValueError:  # a name: looked at when it is resolved
        return True


def _retry_ms(table: Table) -> tuple[int, ...]:
    given = table.texts("retry")
    if not given:
        return RETRY_MS
    found = [parse_duration(text) for text in given]
    if None in found or len(found) > MAX_TRIES:
        wrong = next((text for text, ms in zip(given, found, strict=True) if ms is None), f"{len(found)} of them")
        table.note("retry")(
            f"at most {MAX_TRIES} durations such as '5s' or '30m'",
            f"'{wrong}'",
            "write a whole number and one of s, m, h, d",
        )
        return RETRY_MS
    return tuple(ms or 0 for ms in found)
