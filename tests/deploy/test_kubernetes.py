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


def find(kind: str) -> dict[str, Any]:
    """Return the one object of this kind."""
    (found,) = [document for document in OBJECTS if document["kind"] == kind]
    return found


def containers() -> list[dict[str, Any]]:
    """Return every container of the example."""
    specs = [find(kind)["spec"]["template"]["spec"] for kind in ("Job", "StatefulSet")]
    return [each for spec in specs for each in [*spec.get("initContainers", []), *spec["containers"]]]


@pytest.mark.parametrize("document", NATIVE, ids=lambda document: document["kind"])
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


def test_everything_selects_the_workers() -> None:
    """Service, budget and monitor select the pods' labels, and the monitor's and probes' port is the Service's."""
    labels = find("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    monitor, service = find("ServiceMonitor")["spec"], find("Service")
    selections = [
        find("StatefulSet")["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        monitor["selector"]["matchLabels"],
    ]
    assert selections == [labels] * 4
    assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "bellwether"
    (worker,) = find("StatefulSet")["spec"]["template"]["spec"]["containers"]
    names = {each["port"] for each in monitor["endpoints"]} | {each["targetPort"] for each in service["spec"]["ports"]}
    names |= {worker[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe", "startupProbe")}
    assert names == {each["name"] for each in worker["ports"]}
    assert worker["ports"][0]["containerPort"] == Settings().metrics_port
