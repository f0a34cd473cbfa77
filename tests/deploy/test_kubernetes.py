"""The Kubernetes example: valid by Kubernetes' own schemas, its parts fit each other, the settings are ours."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from streams.cli import _parser
from streams.settings import Settings
from tests.sources import TOP

VERSION = "1.31"
"""Of Kubernetes; what is used has been stable since 1.25."""
FOLDER = TOP / "deploy" / "kubernetes"
OBJECTS = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
NATIVE = [each for each in OBJECTS if not each["apiVersion"].startswith("monitoring.coreos.com/")]
"""The schema of the operator's kinds comes with the operator."""


def find(kind: str, name: str = "") -> dict[str, Any]:
    """Return the one object of this kind, of that name if one is given."""
    (found,) = [each for each in OBJECTS if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    return found


def containers() -> list[dict[str, Any]]:
    """Return every container of the example."""
    specs = [find(kind)["spec"]["template"]["spec"] for kind in ("Job", "StatefulSet", "Deployment")]
    return [each for spec in specs for each in [*spec.get("initContainers", []), *spec["containers"]]]


@pytest.mark.parametrize("document", NATIVE, ids=lambda document: f"{document['kind']} {document['metadata']['name']}")
def test_objects_fit_their_schema(document: dict[str, Any]) -> None:
    """Kubernetes' schema takes every object and knows every field."""
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_settings_are_accepted() -> None:
    """The ConfigMap makes settings without a fault."""
    assert Settings.from_environ(find("ConfigMap")["data"]).replication == 3


@pytest.mark.parametrize("container", containers(), ids=lambda each: each["name"])
def test_containers_run_our_commands_locked_in(container: dict[str, Any]) -> None:
    """Arguments parse, the settings come from the ConfigMap, nothing may be written but mounts, nothing is privileged."""
    parser, command = _parser(container["args"])
    assert command is not None
    parser.parse_args(container["args"])
    assert container["envFrom"] == [{"configMapRef": {"name": find("ConfigMap")["metadata"]["name"]}}]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(("kind", "name"), [("StatefulSet", "bellwether-worker"), ("Deployment", "bellwether-drift")])
def test_everything_selects_its_pods(kind: str, name: str) -> None:
    """Service, budget and monitor select the pods' labels, and the monitor's and probes' port is the Service's."""
    pods = find(kind)["spec"]
    labels = pods["template"]["metadata"]["labels"]
    monitor, service = find("ServiceMonitor", name)["spec"], find("Service", name)
    selections = [pods["selector"]["matchLabels"], service["spec"]["selector"], monitor["selector"]["matchLabels"]]
    if kind == "StatefulSet":
        selections.append(find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    assert all(each == selections[0] for each in selections)
    assert labels.items() >= selections[0].items()
    assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
    (container,) = pods["template"]["spec"]["containers"]
    names = {each["port"] for each in monitor["endpoints"]} | {each["targetPort"] for each in service["spec"]["ports"]}
    names |= {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert names == {each["name"] for each in container["ports"]}
    assert container["ports"][0]["containerPort"] == Settings().metrics_port


def test_jobs_are_called_as_rules_and_boards_know_them() -> None:
    """Workers are counted by their job, so nothing else may have it; the names are those of deploy/prometheus."""
    text = (TOP / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    known = {each["job_name"] for each in yaml.safe_load(text)["scrape_configs"]}
    monitors = [each["spec"] for each in OBJECTS if each["kind"] == "ServiceMonitor"]
    services = [each for each in OBJECTS if each["kind"] == "Service"]
    for name, job in (("bellwether-worker", "bellwether"), ("bellwether-drift", "bellwether-drift")):
        label = find("ServiceMonitor", name)["spec"]["jobLabel"]
        assert find("Service", name)["metadata"]["labels"][label] == job
        assert job in known
    for monitor in monitors:
        wanted = monitor["selector"]["matchLabels"].items()
        assert sum(service["metadata"]["labels"].items() >= wanted for service in services) == 1


def test_what_drift_reads_is_written() -> None:
    """Workers keep score history, and drift has all of its port, of the settings it shares with them."""
    settings = Settings.from_environ(find("ConfigMap")["data"])
    assert settings.score_history == "on"
    (container,) = find("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["drift", "--follow"]
    assert find("Deployment")["spec"]["replicas"] == 1
