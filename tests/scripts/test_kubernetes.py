"""scripts/deploy/kubernetes: what the manifest says holds together, and goes with the service."""

import json
import re
import sys
from typing import Any

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)
if sys.platform != "linux":
    pytest.skip("its containers are of Linux", allow_module_level=True)

import yaml

from cticache import config
from cticache.access.passwords import hashed
from cticache.config import Config

DEPLOY = ROOT / "scripts" / "deploy"
MANIFEST = DEPLOY / "kubernetes" / "cticache.yaml"
PARTS: dict[str, dict[str, Any]] = {part["kind"]: part for part in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}
POD = PARTS["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
MOUNTED = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
PROBES = {name: CONTAINER[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
LOSES_IT_S = 5
"""What the cluster may take from the last probe until nobody sends anything any more, beside the probes themselves."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The configuration as the container has it, with a hash where one belongs."""
    root = tmp_path_factory.mktemp("root")
    for name, text in PARTS["Secret"]["stringData"].items():
        (root / name).write_text(hashed("a") if name.endswith(".hash") else text, "utf-8")
    file = root / "config.ini"
    file.write_text(PARTS["ConfigMap"]["data"]["config.ini"].replace(f"{MOUNTED['secrets']}/", ""), "utf-8")
    return config.read(file, {})


def test_its_configuration_is_one(settings: Config) -> None:
    assert settings.server.host == "0.0.0.0"
    assert settings.redis.url.startswith("redis://")
    assert {user.name for user in settings.users} == {"ivr", "contact-centre"}
    assert all(user.password for user in settings.users)


def test_what_is_mounted_is_where_the_image_and_the_configuration_look(settings: Config) -> None:
    (workdir,) = re.findall(r"^WORKDIR (.*)$", (DEPLOY / "docker" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert MOUNTED["configuration"] == workdir
    named = re.findall(r"_file = (\S+)/(\S+)", PARTS["ConfigMap"]["data"]["config.ini"])
    assert {folder for folder, _ in named} == {MOUNTED["secrets"]}
    assert {name for _, name in named} == set(PARTS["Secret"]["stringData"])
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == PARTS["ConfigMap"]["metadata"]["name"]
    assert volumes["secrets"]["secret"]["secretName"] == PARTS["Secret"]["metadata"]["name"]


def test_the_port_is_the_same_everywhere(settings: Config) -> None:
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == settings.server.port
    (served,) = PARTS["Service"]["spec"]["ports"]
    assert {served["targetPort"], *(probe["httpGet"]["port"] for probe in PROBES.values())} == {port["name"]}


def test_the_probes_ask_what_the_service_answers() -> None:
    asked = {name: probe["httpGet"]["path"] for name, probe in PROBES.items()}
    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"]
    assert set(asked.values()) <= set(paths)


def test_the_drain_is_longer_than_the_cluster_takes_to_notice(settings: Config) -> None:
    ready = PROBES["readiness"]
    notices_s = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
    assert settings.server.drain >= notices_s + LOSES_IT_S


def test_it_is_given_the_time_to_drain_and_to_stop(settings: Config) -> None:
    grace = POD["spec"]["terminationGracePeriodSeconds"]
    assert grace >= settings.server.drain + settings.server.stop_timeout + 10
    assert "lifecycle" not in CONTAINER  # a preStop counts against the same time


def test_one_serves_while_another_goes() -> None:
    deployment = PARTS["Deployment"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert 0 < PARTS["PodDisruptionBudget"]["spec"]["minAvailable"] < deployment["replicas"]


def test_all_parts_mean_the_same_pods() -> None:
    labels = POD["metadata"]["labels"]
    assert PARTS["Service"]["spec"]["selector"] == labels
    for part in (PARTS["Deployment"], PARTS["PodDisruptionBudget"], *({"spec": each} for each in spreads())):
        assert (part["spec"].get("selector") or part["spec"]["labelSelector"])["matchLabels"] == labels


def spreads() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = POD["spec"]["topologySpreadConstraints"]
    return found


def test_the_container_may_do_what_it_needs_and_no_more() -> None:
    (user,) = re.findall(r"^USER (\d+):", (DEPLOY / "docker" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert POD["spec"]["securityContext"]["runAsNonRoot"]
    assert POD["spec"]["securityContext"]["runAsUser"] == int(user)
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not POD["spec"]["automountServiceAccountToken"]
