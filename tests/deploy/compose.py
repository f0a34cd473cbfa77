"""docker-compose.yml without containers: its command lines and environments as processes of this machine.

What stands for what: an image is a program installed here, `name:port` a free port of 127.0.0.1, a volume a folder with
the mounted files, in which the same is replaced. Everything else is taken as it stands.
"""

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deploy.local import java, kafka, redis_server
from deploy.local.processes import Server, free_ports, lock
from tests.deploy.programs import alertmanager, prometheus
from tests.sources import TOP

JOB_SECONDS = 120
READY_SECONDS = 90
NO_PROPERTIES = {"KAFKA_HEAP_OPTS"}
"""Variables that the image's scripts read themselves."""


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Fill in `${NAME:-default}` as Compose does; `environ` holds what a person set."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environ.get(match[1]) or match[2], text)


def read(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return docker-compose.yml, merged and interpolated."""
    text = (TOP / "docker-compose.yml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(interpolate(text, environ or {}))
    for service in document["services"].values():
        service["environment"] = {key: str(value) for key, value in service.get("environment", {}).items()}
    return document


def image_of(service: Mapping[str, Any]) -> str:
    """Return the image's name without registry, owner and tag."""
    return str(service["image"]).partition(":")[0].rpartition("/")[2]


def properties_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the server properties that Kafka's image makes of its variables: `KAFKA_A_B` is `a.b`."""
    names = {name for name in environ if name.startswith("KAFKA_")} - NO_PROPERTIES
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): environ[name] for name in sorted(names)}


def dockerfile_environ() -> dict[str, str]:
    """Return what the image's ENV line sets."""
    text = (TOP / "deploy" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in shlex.split(line))


@dataclass
class Local:
    """The services as processes; `with Local.running(folder) as local` starts them in order and ends them.

    Attributes
    ----------
    folder
        Of volumes and logs.
    services
        As docker-compose.yml declares them.
    ports
        (service, port inside) → port here.
    replicas
        Service of ours → the ports of its replicas' metrics.
    outputs
        Job → what it printed.
    """

    folder: Path
    services: dict[str, Any]
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    replicas: dict[str, list[int]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    _closing: ExitStack = field(default_factory=ExitStack)

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator["Local"]:
        """Start every service that has a program here (all but Grafana), each after what it depends on."""
        local = cls(folder, {name: service for name, service in read()["services"].items() if name != "grafana"})
        with local._closing:
            for name in local.order():
                local.start(name)
            yield local

    def order(self) -> list[str]:
        """Return the services, each behind what it depends on, monitors last."""
        ordered: list[str] = []

        def visit(name: str) -> None:
            for other in self.services[name].get("depends_on", {}):
                visit(other)
            if name not in ordered:
                ordered.append(name)

        for name in self.services:
            visit(name)
        return ordered

    def port(self, service: str, inside: int) -> int:
        """Return the port here that stands for a service's port."""
        if (service, inside) not in self.ports:
            (self.ports[service, inside],) = free_ports(1)
        return self.ports[service, inside]

    def translate(self, text: str, own: str) -> str:
        """Replace addresses and mounted paths in a text that service `own` reads."""
        names = "|".join(map(re.escape, self.services))
        text = re.sub(
            rf"\b(localhost|127\.0\.0\.1|{names}):(\d+)\b",
            lambda match: f"127.0.0.1:{self.port(match[1] if match[1] in self.services else own, int(match[2]))}",
            text,
        )
        text = re.sub(r"://:(\d+)", lambda match: f"://127.0.0.1:{self.port(own, int(match[1]))}", text)
        places = {
            inside: source for source, inside, *_ in (each.split(":") for each in self.services[own].get("volumes", []))
        }
        if not places:
            return text
        paths = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
        return re.sub(rf"(?<![\w/])({paths})(?![\w-])", lambda match: str(self.mounted(own, places[match[1]])), text)

    def mounted(self, own: str, source: str) -> Path:
        """Return the folder that stands for a volume; files of the project are copied into it, translated."""
        place = self.folder / own / source.removeprefix("./").replace("/", "-")
        if not place.exists():
            place.mkdir(parents=True)
            for path in (TOP / source).rglob("*.*ml") if source.startswith("./") else ():
                target = place / path.relative_to(TOP / source)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self.translate(path.read_text(encoding="utf-8"), own), encoding="utf-8")
        return place

    def environ(self, name: str, **more: str) -> dict[str, str]:
        """Return the environment of a service that runs our image."""
        declared = {key: self.translate(value, name) for key, value in self.services[name]["environment"].items()}
        # The image's cache volume is left out: this machine's holds the compiled kernel already.
        return {**os.environ, "PYTHONPATH": str(TOP), **declared, **more}

    def start(self, name: str) -> None:
        """Start one service, with all its replicas, and wait for its healthcheck; a job is waited for."""
        service = self.services[name]
        image = image_of(service)
        command = [self.translate(part, name) for part in service.get("command", [])]
        if image == "bellwether" and "healthcheck" not in service:
            self._job(name, command)
        elif image == "bellwether":
            for port in free_ports(service["deploy"].get("replicas", 1)):
                self.ports[name, 9464] = port  # the translation of the healthcheck needs the present replica's
                self.replicas.setdefault(name, []).append(port)
                self._serve(name, [*BELLWETHER, *command], self.environ(name, BELLWETHER_METRICS_PORT=str(port)))
        elif image == "kafka":
            self._serve(name, self._kafka(service), {})
        elif image == "redis":
            program, *options = command
            assert program == "redis-server"
            where = ["--port", self.port(name, 6379), "--bind", "127.0.0.1", "--dir", self.mounted(name, "redis")]
            self._serve(name, [redis_server.find(), *options, *where], {})
        elif image == "prometheus":
            self._name_replicas()
            listen = f"--web.listen-address=127.0.0.1:{self.port(name, 9090)}"
            self._serve(name, [prometheus(), *command, listen], {})
        else:
            assert image == "alertmanager", f"{name}: no program stands for {service['image']}"
            listen = f"--web.listen-address=127.0.0.1:{self.port(name, 9093)}"
            self._serve(name, [alertmanager(), *command, listen, "--cluster.listen-address="], {})

    def _job(self, name: str, command: Sequence[str]) -> None:
        ran = subprocess.run(
            [*BELLWETHER, *command],
            env=self.environ(name), cwd=self.folder, capture_output=True, text=True, timeout=JOB_SECONDS, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{name}: {ran.stderr[-2000:]}"
        self.outputs[name] = ran.stdout

    def _serve(self, name: str, command: Sequence[object], environ: Mapping[str, str]) -> None:
        folder = self.folder / f"{name}-{len(list(self.folder.glob(f'{name}-*'))) + 1}"
        folder.mkdir()
        check = [self.translate(part, name) for part in self.services[name]["healthcheck"]["test"]]
        words = [f"{key}={value}" for key, value in environ.items()]
        command = ["/usr/bin/env", *words, *command] if words else command
        held = lock(folder)
        self._closing.callback(os.close, held)
        parts = [str(part) for part in command]
        server = Server(name, parts, folder / "log", lambda: is_healthy(check), lock_descriptor=held)
        self._closing.callback(server.kill)
        server.start(READY_SECONDS)

    def _kafka(self, service: Mapping[str, Any]) -> list[object]:
        folder = self.folder / "kafka"
        (folder / "tmp").mkdir(parents=True)
        (folder / "log4j2.properties").write_text(kafka.LOGGING)
        properties = {
            key: self.translate(value, "kafka") for key, value in properties_of(service["environment"]).items()
        }
        kafka._write_properties(folder / "server.properties", dict(properties))
        virtual_machine = kafka._java(java.find(), folder)
        cluster = service["environment"]["CLUSTER_ID"]
        format_log = [*virtual_machine, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config"]
        subprocess.run([*format_log, folder / "server.properties"], check=True, capture_output=True, timeout=60)
        heap = shlex.split(service["environment"]["KAFKA_HEAP_OPTS"])
        return [*virtual_machine, *heap, "kafka.Kafka", folder / "server.properties"]

    def _name_replicas(self) -> None:
        """In place of the names that Docker resolves to all replicas, put the replicas' ports."""
        path = self.mounted("prometheus", "./deploy/prometheus") / "prometheus.yml"
        config = yaml.safe_load(path.read_text())
        for job in config["scrape_configs"]:
            for found in job.pop("dns_sd_configs", []):
                (service,) = found["names"]
                job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in self.replicas[service]]}]
        path.write_text(yaml.safe_dump(config))


BELLWETHER = (sys.executable, "-m", "streams.cli")


def is_healthy(check: Sequence[str]) -> bool:
    """Run a translated healthcheck; what the image's tool asks is asked by ours where this machine has none."""
    match check:
        case ["CMD", "python", *arguments]:
            return (
                subprocess.run([sys.executable, *arguments], capture_output=True, timeout=10, check=False).returncode
                == 0
            )
        case ["CMD", "wget", "-q", "-O", "/dev/null", address]:
            try:
                with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - our own address
                    return bool(answer.status == 200)
            except OSError:
                return False
        case ["CMD", "redis-cli", "-e", "-u", address, "ping"]:
            return redis_server.answers(int(address.rpartition(":")[2]))
        case ["CMD", "/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", address]:
            return bool(kafka.live_brokers(int(address.rpartition(":")[2])))
        case _:
            raise AssertionError(f"{check}: a healthcheck that nothing stands for")
