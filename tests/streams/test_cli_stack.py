"""`up`, `down` and `doctor` as a person runs them."""

import json
from pathlib import Path

import pytest

from deploy.local.processes import free_ports
from streams.cli import main
from streams.settings import Settings


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in settings.environ().items():
        monkeypatch.setenv(variable, value)


def test_up_twice_then_down_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second `up` finds the first's servers, the second `down` finds nothing; both are fine."""
    monkeypatch.setenv("BELLWETHER_DATA_DIR", str(tmp_path))
    try:
        assert main(["up", "--kafka-port", "0", "--redis-port", "0", "--json"]) == 0
        first = last_json(capsys)
        assert main(["up", "--json"]) == 0
        assert last_json(capsys) == first | {"started": False}
        monkeypatch.setenv("BELLWETHER_KAFKA", str(first["kafka"]))
        assert main(["topics", "create", "--json"]) == 0
        assert len(last_json(capsys)["created"]) == 17
    finally:
        assert main(["down", "--json"]) == 0
    assert last_json(capsys) == {"stopped": True}
    assert main(["down", "--json"]) == 0
    assert last_json(capsys) == {"stopped": False}


def test_doctor_finds_nothing_where_all_is_well(
    provisioned: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With broker, topics and Redis as they should be every check is good and the exit code 0."""
    use(provisioned, monkeypatch)
    assert main(["doctor", "--json"]) == 0
    report = last_json(capsys)
    assert report["ok"]
    assert [check["what"] for check in report["checks"]] == [
        "python",
        "faust-streaming",
        "aiokafka",
        "kafka",
        "topics",
        "redis",
        "clock",
    ]


def test_doctor_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing topics and an absent Redis are told with their remedy, without Redis's password; exit code 1."""
    use(settings, monkeypatch)
    port = free_ports(1)[0]
    monkeypatch.setenv("BELLWETHER_REDIS_URL", f"redis://user:secret@127.0.0.1:{port}/0")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "BAD topics: 17 of 17 missing — run `bellwether topics create`" in said
    assert f"BAD redis: no answer at 127.0.0.1:{port}/0" in said
    assert "secret" not in said


def test_doctor_goes_on_without_a_broker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreachable broker is one bad check; Redis is looked at all the same."""
    use(settings, monkeypatch)
    monkeypatch.setenv("BELLWETHER_KAFKA", f"127.0.0.1:{free_ports(1)[0]}")
    assert main(["doctor", "--json"]) == 1
    checks = {check["what"]: check["ok"] for check in last_json(capsys)["checks"]}
    assert (checks["kafka"], checks["redis"]) == (False, True)
