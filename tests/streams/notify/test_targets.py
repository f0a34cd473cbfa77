"""Targets files: what a right one says, and every fault of a wrong one, all at once."""

from pathlib import Path

import orjson
import pytest

from streams.cli import main
from streams.notify.reading import TargetsError, read_delivery
from streams.notify.targets import RETRY_MS, Alertmanager, Mail, PagerDuty, Slack, Webhook
from tests.streams.notify.receivers import OLD_SECRET, SECRET

RIGHT = """
[targets.crm]
kind = "webhook"
url = "https://crm.example.com/hooks"
secret = { env = "CRM_SECRET" }
previous_secret = { file = "old" }
minimum_severity = "warning"
rules = ["band-red"]
retry = ["1s", "2m"]
start = "beginning"

[targets.chat]
kind = "slack"
url = { env = "CHAT_URL" }

[targets.pager]
kind = "pagerduty"
routing_key = { env = "PAGER_KEY" }

[targets.ops]
kind = "alertmanager"
url = "http://10.0.0.7:9093/"

[targets.people]
kind = "email"
host = "mail.example.com"
from = "bellwether@example.com"
to_owner = true
username = "u"
password = { env = "MAIL_PASSWORD" }
"""
ENVIRON = {
    "CRM_SECRET": SECRET,
    "CHAT_URL": "https://hooks.example.com/T0/B0/x",
    "PAGER_KEY": "k" * 32,
    "MAIL_PASSWORD": "open sesame",
}


def faults_of(text: str, folder: Path, **environ: str) -> list[str]:
    """Return the lines of what is wrong with a file, without its path."""
    file = folder / "targets.toml"
    file.write_text(text)
    with pytest.raises(TargetsError) as caught:
        read_delivery(file, environ)
    return [line.removeprefix(f"{file} ") for line in str(caught.value).splitlines()]


def test_a_right_file_is_read(tmp_path: Path) -> None:
    """Every kind becomes its place, secrets come from environment and files, the rest has its defaults."""
    (tmp_path / "old").write_text(f"{OLD_SECRET}\n")
    (tmp_path / "targets.toml").write_text(RIGHT)
    chat, crm, ops, pager, people = read_delivery(tmp_path / "targets.toml", ENVIRON).targets
    assert crm.place == Webhook("https://crm.example.com/hooks", (SECRET, OLD_SECRET), allow_private=False)
    assert (crm.minimum_severity, crm.rules, crm.retry_ms, crm.from_beginning) == (
        *("warning", ("band-red",)),
        *((1_000, 120_000), True),
    )
    assert chat.place == Slack(ENVIRON["CHAT_URL"], allow_private=False)
    assert (chat.retry_ms, chat.from_beginning, chat.minimum_severity) == (RETRY_MS, False, "info")
    assert pager.place == PagerDuty("https://events.pagerduty.com/v2/enqueue", "k" * 32, allow_private=False)
    assert ops.place == Alertmanager("http://10.0.0.7:9093", "")
    assert people.place == Mail(
        *("mail.example.com", 587, "bellwether@example.com", (), True, "starttls", "u", "open sesame")
    )
    assert not any(secret in repr((chat, crm, ops, pager, people)) for secret in (*ENVIRON.values(), OLD_SECRET))


def test_every_fault_is_told_at_once_and_no_secret_shown(tmp_path: Path) -> None:
    """One line a fault, in the house form; what may be a secret is never repeated."""
    text = """
[targets.a]
kind = "webhook"
url = "http://10.1.2.3/x"
secret = "whsec_shown"
[targets.b]
kind = "pagerduty"
routing_key = { env = "NOT_SET" }
urgency = "high"
[targets.c]
kind = "email"
host = "mail"
from = "nobody"
tls = "none"
username = "u"
password = { env = "SHORT", file = "x" }
[targets.d]
kind = "webhook"
url = "https://127.0.0.1/x"
secret = { env = "SHORT" }
retry = ["soon"]
"""
    assert faults_of(text, tmp_path, SHORT="whsec_c2hvcnQ=") == [
        '$.targets.a.secret: expected { env = "NAME" } or { file = "path" }, got something else — secrets do not stand in this file',
        "$.targets.a.url: expected https://host/…, got something else — alerts tell about customers; give an address without a password in it",
        "$.targets.b.routing_key.env: expected a variable that is set, got 'NOT_SET' — set it where the notifier runs",
        "$.targets.b.urgency: expected one of allow_private, kind, minimum_severity, retry, routing_key, rules, start, url, got 'urgency' — remove it",
        "$.targets.c.from: expected a mail address, got 'nobody' — write name@example.com",
        "$.targets.c.to: expected at least one address, got none — add to, or to_owner = true",
        '$.targets.c.password: expected { env = "NAME" } or { file = "path" }, got neither or both — give one of them',
        "$.targets.d.secret: expected whsec_ and 24 to 64 bytes in base64, got something else — make one with: echo whsec_$(head -c 32 /dev/urandom | base64)",
        "$.targets.d.url: expected a public address, got '127.0.0.1' — add allow_private = true if it is one of yours",
        "$.targets.d.retry: expected at most 20 durations such as '5s' or '30m', got 'soon' — write a whole number and one of s, m, h, d",
    ]


def test_a_password_does_not_cross_the_network_in_the_clear(tmp_path: Path) -> None:
    """A mail target with a password and without encryption is refused."""
    text = '[targets.c]\nkind = "email"\nhost = "m"\nfrom = "a@b.c"\nto = ["a@b.c"]\ntls = "none"\nusername = "u"\npassword = { env = "P" }\n'
    assert faults_of(text, tmp_path, P="p") == [
        "$.targets.c.tls: expected starttls or tls, got none — a password must not cross the network in the clear"
    ]


def test_an_empty_file_is_a_fault(tmp_path: Path) -> None:
    """A notifier without targets would run and tell nobody."""
    assert faults_of("", tmp_path) == [
        '$.targets: expected at least one target, got none — add [targets.NAME] with kind = "webhook" or another'
    ]


def test_check_tells_without_delivering(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`notify --check` needs no Kafka: exit code 0 and the kinds, or 1 and the faults; a missing file is one sentence."""
    file = tmp_path / "targets.toml"
    file.write_text('[targets.chat]\nkind = "slack"\nurl = { env = "CHAT_URL" }\n')
    assert main(["notify", str(file), "--check", "--json"]) == 1
    fault = f"{file} $.targets.chat.url.env: expected a variable that is set, got 'CHAT_URL' — set it where the notifier runs"
    assert orjson.loads(capsys.readouterr().out) == {"ok": False, "faults": [fault]}
    monkeypatch.setenv("CHAT_URL", ENVIRON["CHAT_URL"])
    assert main(["notify", str(file), "--check", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out) == {"ok": True, "targets": {"chat": "slack"}}
    assert main(["notify", str(file), "--enable", "chta"]) == 1
    assert capsys.readouterr().err == f"--enable: expected one of chat, got chta — see {file}\n"
    assert main(["notify", str(tmp_path / "none.toml")]) == 1
    assert "expected a readable file, got No such file or directory" in capsys.readouterr().err
