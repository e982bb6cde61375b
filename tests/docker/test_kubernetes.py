"""The manifests of docker/kubernetes against the schemas of Kubernetes, KubeRay and Ray Serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.serving.metrics import Metrics
from service.settings import load_settings

kubernetes_validate = pytest.importorskip("kubernetes_validate")

FOLDER = Path(__file__).resolve().parents[2] / "docker/kubernetes"
VERSION = "1.34"  # of Kubernetes

# The fields of ray.io/v1 that the manifest has, as in the types from which KubeRay makes its published schema
# (ray-operator/apis/ray/v1, compared by hand); its pods have Kubernetes' own.
GROUP = {"rayStartParams": {"additionalProperties": {"type": "string"}}, "template": {"type": "object"}}
COUNT = {"type": "integer", "minimum": 0}


def fields(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


RAY_SERVICE = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayService"},
    metadata={"type": "object"},
    spec=fields(
        ["serveConfigV2", "rayClusterConfig"],
        serveConfigV2={"type": "string"},
        rayClusterConfig=fields(
            ["headGroupSpec"],
            rayVersion={"type": "string"},
            authOptions=fields([], mode={"enum": ["disabled", "token"]}),
            enableInTreeAutoscaling={"type": "boolean"},
            autoscalerOptions=fields([], idleTimeoutSeconds=COUNT),
            headGroupSpec=fields(["template"], **GROUP),
            workerGroupSpecs={
                "type": "array",
                "items": fields(
                    ["groupName", "minReplicas", "maxReplicas", "template"],
                    groupName={"type": "string"},
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    **GROUP,
                ),
            },
        ),
    ),
)


def documents(name: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / name).read_text())}


DEPLOYMENT = documents("deployment.yaml")
SERVICE = documents("rayservice.yaml")["RayService"]
CLUSTER = SERVICE["spec"]["rayClusterConfig"]
PODS = [CLUSTER["headGroupSpec"]["template"], *(group["template"] for group in CLUSTER["workerGroupSpecs"])]


@pytest.mark.parametrize("kind", DEPLOYMENT)
def test_kubernetes_takes_the_plain_manifests(kind: str) -> None:
    kubernetes_validate.validate(DEPLOYMENT[kind], VERSION, strict=True)


def test_the_check_sees_a_mistyped_field() -> None:
    wrong = {**DEPLOYMENT["Service"], "spec": {**DEPLOYMENT["Service"]["spec"], "port": 80}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_kuberay_knows_every_field() -> None:
    jsonschema.validate(SERVICE, RAY_SERVICE)


@pytest.mark.parametrize("template", PODS)
def test_kubernetes_takes_the_pods_of_the_ray_cluster(template: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **template}
    kubernetes_validate.validate(pod, VERSION, strict=True)


def test_the_settings_exist_and_match_the_cores() -> None:
    (container,) = DEPLOYMENT["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert str(load_settings(environment).threads) == container["resources"]["requests"]["cpu"]
    (application,) = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])["applications"]
    worker = PODS[1]["spec"]["containers"][0]["resources"]
    threads = load_settings({}, **application["args"]["settings"]).threads
    assert str(threads) == worker["requests"]["cpu"] == worker["limits"]["cpu"]


def test_pods_are_counted_by_a_metric_that_the_service_has() -> None:
    (metric,) = DEPLOYMENT["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"\n{metric['pods']['metric']['name']} ".encode() in Metrics().text()


def test_selectors_find_the_pods() -> None:
    labels = DEPLOYMENT["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert DEPLOYMENT["Service"]["spec"]["selector"].items() <= labels
    assert DEPLOYMENT["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert DEPLOYMENT["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert DEPLOYMENT["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "humanparse"


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`:DeprecationWarning")  # of ray.serve
def test_ray_serve_takes_the_configuration_and_the_application_its_arguments() -> None:
    pytest.importorskip("ray", reason="the extra scale is not installed: make test-scale")
    from ray._common.utils import import_attr
    from ray.serve.schema import ServeDeploySchema

    from service.scale.online import Options, application

    config = ServeDeploySchema.model_validate(yaml.safe_load(SERVICE["spec"]["serveConfigV2"]))
    (app,) = config.applications
    assert import_attr(app.import_path) is application
    options = Options.model_validate(app.args)
    assert options.max_replicas <= CLUSTER["workerGroupSpecs"][0]["maxReplicas"]
    assert config.http_options.port in [p["containerPort"] for p in PODS[1]["spec"]["containers"][0]["ports"]]
