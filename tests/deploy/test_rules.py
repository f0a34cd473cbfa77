"""Prometheus's rules: each alert fires when it should and not otherwise, by promtool; each says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics import FEEDBACK_METRICS, METRICS, NOTIFIER_METRICS, Kind
from tests.deploy.programs import amtool, promtool
from tests.deploy.rule_cases import CASES
from tests.sources import TOP

FOLDER = TOP / "deploy" / "prometheus"
FILES = sorted((FOLDER / "rules").glob("*.yml"))
GROUPS = [group for path in FILES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
FOREIGN = {"up", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"}
"""Series that Prometheus and its client library make."""
SERIES = re.compile(r"(?<![\w.])(?:up|(?:topic:)?bellwether[\w:]*|process_\w+)(?![\w(])")


def exported() -> set[str]:
    """Return the names of all series that our processes export, the rules record, or Prometheus makes."""
    names = {
        metric.name for metric in (*METRICS, *NOTIFIER_METRICS, *FEEDBACK_METRICS) if metric.kind is not Kind.HISTOGRAM
    }
    for metric in (*METRICS, *NOTIFIER_METRICS, *FEEDBACK_METRICS):
        if metric.kind is Kind.HISTOGRAM:
            names |= {metric.name + ending for ending in ("_bucket", "_sum", "_count")}
    return names | RECORDED | FOREIGN


def series_in(expression: str) -> set[str]:
    """Return the names of series that an expression reads: what stands outside of quotes."""
    return set(SERIES.findall(re.sub(r'"[^"]*"', "", expression)))


def run(*command: object) -> str:
    """Run a checking tool; return what it printed once it found nothing wrong."""
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_files_are_valid() -> None:
    """The checking tools accept configuration and rules."""
    run(promtool(), "check", "config", FOLDER / "prometheus.yml")
    run(amtool(), "check-config", TOP / "deploy" / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("rule", [rule for group in GROUPS for rule in group["rules"]], ids=str)
def test_rules_read_series_that_exist(rule: dict[str, Any]) -> None:
    """Every series that a rule reads is exported by our processes or recorded by another rule."""
    assert sorted(series_in(rule["expr"]) - exported()) == []
    assert series_in(rule["expr"])


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_say_how_bad_what_and_where_to_read_on(rule: dict[str, Any]) -> None:
    """A severity that routes, a summary of one sentence, a runbook that names the alert."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    runbook = (TOP / rule["annotations"]["runbook"]).read_text(encoding="utf-8")
    assert f"`{rule['alert']}` ({rule['labels']['severity']})" in runbook


def test_every_alert_has_cases_of_both_kinds() -> None:
    """No alert without a case in which it fires and one in which it does not; no case of an alert that is gone."""
    for fires in (True, False):
        assert {case.alert for case in CASES if bool(case.firing) is fires} == {rule["alert"] for rule in ALERTS}


def needed_by(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a rule behind the recording rules that it reads, by detours too."""
    rules = [each for group in GROUPS for each in group["rules"] if each.get("record") in series_in(rule["expr"])]
    return [*(each for found in rules for each in needed_by(found)), rule]


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Played by promtool against the rules, every case finds as many firing alerts as expected."""
    for rule in ALERTS:  # by itself with what it reads: all rules together take minutes
        group = {"name": rule["alert"], "rules": needed_by(rule)}
        (tmp_path / f"{rule['alert']}.rules").write_text(yaml.safe_dump({"groups": [group]}))
        tests = [
            {
                "name": f"{number} {case.alert}",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})',
                        "eval_time": case.at,
                        "exp_samples": [{"labels": "{}", "value": case.firing}] if case.firing else [],
                    }
                ],
            }
            for number, case in enumerate(CASES)
            if case.alert == rule["alert"]
        ]
        document = {"rule_files": [f"{rule['alert']}.rules"], "evaluation_interval": "1m", "tests": tests}
        (tmp_path / f"{rule['alert']}.yml").write_text(yaml.safe_dump(document))
    run(promtool(), "test", "rules", *sorted(tmp_path.glob("*.yml")))
