"""What `deploy/` says is what the code has; what cannot be run here at least parses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

import scheduler.metrics  # noqa: F401 -- registers what is scraped
from scheduler.settings import Settings
from tests.support.env_example import entry

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = (DEPLOY / "env.example").read_text()


def test_every_setting_is_explained_with_its_default() -> None:
    missing = [entry(name) for name in Settings.model_fields if f"\n{entry(name)}" not in EXAMPLE]
    assert not missing, "put into deploy/env.example:\n\n" + "\n".join(missing)


def test_no_setting_is_explained_that_does_not_exist() -> None:
    named = set(re.findall(r"^#?ESTAFETTE_(\w+)=", EXAMPLE, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_the_example_as_it_stands_is_a_valid_configuration(tmp_path: Path) -> None:
    uncommented = re.sub(r"^#(?=ESTAFETTE_)", "", EXAMPLE, flags=re.MULTILINE)
    (tmp_path / "env").write_text(uncommented)
    assert Settings(_env_file=tmp_path / "env") == Settings(_env_file=None)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def test_compose_starts_what_production_needs() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    assert services.keys() == {"migrate", "api", "worker", "postgres", "redis"}
    assert services["worker"]["deploy"]["replicas"] >= 2
    redis = " ".join(services["redis"]["command"])
    assert "--appendonly yes" in redis
    assert "--maxmemory-policy noeviction" in redis
    for name in ("migrate", "api", "worker"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert "environment" not in services[name], "secrets come from the env file"
    for name in ("api", "worker", "postgres", "redis"):
        assert services[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["api.yaml", "worker.yaml"])
def test_pods_are_confined(name: str) -> None:
    (deployment,) = [
        each for each in documents(f"kubernetes/{name}") if each["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", ["api.yaml", "worker.yaml"])
def test_a_new_pod_is_there_before_the_old_one_goes(name: str) -> None:
    (deployment,) = [
        each for each in documents(f"kubernetes/{name}") if each["kind"] == "Deployment"
    ]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "startupProbe" in container


def test_kustomization_lists_files_that_exist() -> None:
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    for resource in kustomization["resources"]:
        assert documents(f"kubernetes/{resource}")


def test_the_image_runs_as_nobody_in_particular_and_installs_with_hashes() -> None:
    lines = (DEPLOY / "Dockerfile").read_text()
    assert "--require-hashes" in lines
    stages = lines.split("\nFROM ")
    assert re.search(r"^USER \d+:\d+$", stages[-1], re.MULTILINE)
    assert "HEALTHCHECK" in stages[-1]
    assert not re.search(r"apt-get|curl", lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = []
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/estafette/bin/estafette", sys.executable)
        copy = tmp_path / unit.name.replace("@", "@1")
        copy.write_text(text)
        units.append(copy)
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert not re.search(r"Unknown|ignoring", found.stderr), found.stderr


def metrics() -> set[str]:
    """The names as they are scraped; a metric with labels has no sample before its first use."""
    families = list(REGISTRY.collect())
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        f"{family.name}{suffix}"
        for family in families
        for suffix in suffixes.get(family.type, ("",))
    }


def _named(text: str) -> set[str]:
    return set(re.findall(r"\bestafette_\w+", text))


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [rule["expr"] for rule in rules()]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert _named(" ".join(asked)) <= metrics()


def rules() -> list[dict[str, Any]]:
    (alerts,) = documents("alerts.yml")
    return [rule for group in alerts["groups"] for rule in group["rules"]]


def test_every_alert_has_its_chapter_in_the_runbook() -> None:
    runbook = (DEPLOY / "RUNBOOK.md").read_text()
    for rule in rules():
        assert f"\n### {rule['alert']}\n" in runbook
        assert rule["annotations"]["runbook"] == f"RUNBOOK.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"].endswith(".")


def test_settings_that_the_runbook_names_exist() -> None:
    named = set(re.findall(r"ESTAFETTE_([A-Z_]+[A-Z])", (DEPLOY / "RUNBOOK.md").read_text()))
    assert named <= {name.upper() for name in Settings.model_fields}
