"""docker-compose.yml and the image: valid by their schemas, and every command line and environment runs here."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.local import jars
from streams.cli import _parser
from streams.settings import Settings
from streams.topics import TOPICS
from tests.deploy.compose import BELLWETHER, Local, dockerfile_environ, image_of, properties_of, read
from tests.deploy.programs import alertmanager, prometheus
from tests.sources import TOP

SERVICES = read()["services"]
OURS = [name for name, service in SERVICES.items() if image_of(service) == "bellwether"]
DOCKERFILE = (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8")
PIN = re.compile(r"^([a-z0-9][\w.-]*)==(\S+)", re.MULTILINE)


def test_the_file_fits_the_compose_specification() -> None:
    """The specification's own schema finds nothing to complain about."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_watched_and_limited(name: str) -> None:
    """A version, a limit of memory, a healthcheck unless it is a job, and no port that other machines reach."""
    service = SERVICES[name]
    version = service["image"].partition(":")[2]
    assert version not in {"", "latest"}
    assert "memory" in service["deploy"]["resources"]["limits"]
    waited_for = {
        other
        for each in SERVICES.values()
        for other, how in each.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert ("healthcheck" in service) != (name in waited_for)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_volumes_are_declared_and_files_exist() -> None:
    """Every named volume is declared and used, every mounted folder of ours is there."""
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {each for each in mounted if not each.startswith("./")} == set(read()["volumes"])
    assert [each for each in mounted if each.startswith("./") and not (TOP / each).is_dir()] == []


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_settings_are_understood(name: str) -> None:
    """Every command line of ours parses, and its environment, with the image's, makes settings without a fault."""
    service = SERVICES[name]
    parser, command = _parser(service["command"])
    assert command is not None
    parser.parse_args(service["command"])
    settings = Settings.from_environ({**dockerfile_environ(), **service["environment"]})
    assert (settings.kafka, settings.redis_url, settings.partitions) == ("kafka:19092", "redis://redis:6379/0", 8)


def test_what_a_person_sets_reaches_the_workers() -> None:
    """`BELLWETHER_PARTITIONS=16 docker compose up` makes topics with 16 partitions and workers that expect them."""
    services = read({"BELLWETHER_PARTITIONS": "16"})["services"]
    assert {Settings.from_environ(services[name]["environment"]).partitions for name in OURS} == {16}


def test_kafka_is_the_version_that_the_tests_run() -> None:
    """The image's Kafka is the embedded one's version, and its variables name properties of a server."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    assert properties_of({"KAFKA_LOG_DIRS": "/a", "KAFKA_HEAP_OPTS": "-Xmx1g"}) == {"log.dirs": "/a"}


def test_the_image_copies_what_exists_and_runs_as_nobody() -> None:
    """COPY names files of the project, the last USER is a number other than root's, the entry point is our command."""
    copied = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert [name for names in copied for name in names if not (TOP / name).exists()] == []
    assert re.findall(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[-1] == "10001"
    assert 'ENTRYPOINT ["bellwether"]' in DOCKERFILE


def test_the_image_holds_the_locked_packages() -> None:
    """deploy/requirements.lock pins what requirements.lock pins, and every package that the project needs."""
    locked = dict(PIN.findall((TOP / "requirements.lock").read_text(encoding="utf-8")))
    image = dict(PIN.findall((TOP / "deploy" / "requirements.lock").read_text(encoding="utf-8")))
    assert image.items() <= locked.items()
    project = (TOP / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]")[0]
    needed = re.findall(r'^    "([\w-]+)[><=]', project, re.MULTILINE)
    assert sorted(set(needed) - set(image)) == []
    assert "pytest" not in image


@pytest.mark.timeout(300)
def test_the_services_work_together(tmp_path: Path) -> None:
    """Started in their order all become healthy; an event sent as a person would is scored, and Prometheus sees all."""
    prometheus(), alertmanager()
    with Local.running(tmp_path) as local:
        assert f"{len(TOPICS)} topics created" in local.outputs["topics"]
        assert "Kernel ready" in local.outputs["warm"]
        outside = {"BELLWETHER_KAFKA": f"127.0.0.1:{local.port('kafka', 9092)}"}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {"id": "e1", "account_id": "acme", "occurred_at": now, "event": "login"}
        command = [*BELLWETHER, "produce", "--topic", "usage", "-"]
        environ = local.environ("worker", **outside)
        ran = subprocess.run(
            command, input=json.dumps(event), env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
        address = f"http://127.0.0.1:{local.port('prometheus', 9090)}/api/v1"
        applied = 'sum(bellwether_events_total{topic="usage",result="applied"}) == 1'
        assert until(lambda: ask(f"{address}/query?query={urllib.request.quote(applied)}")["result"], 60)
        wanted = {"alertmanager": 1, "bellwether": 2, "bellwether-drift": 1, "bellwether-notify": 1, "prometheus": 1}
        assert until(lambda: healthy(address) == wanted, 60), healthy(address)
        assert len(ask(f"{address}/alertmanagers")["activeAlertmanagers"]) == 1


def healthy(address: str) -> Counter[str]:
    """Return job → how many of its targets Prometheus has reached."""
    targets = ask(f"{address}/targets")["activeTargets"]
    return Counter(target["labels"]["job"] for target in targets if target["health"] == "up")


def ask(address: str) -> Any:
    """Return what Prometheus's API answers."""
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own address
        return json.load(answer)["data"]


def until(condition: Any, seconds: float) -> bool:
    """Wait for a condition with a deadline; tell whether it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
