"""What compose.yaml and its overrides promise; docker/try.sh sees them keep it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.arguments import build_parser
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FILES = ("compose.yaml", "compose.gpu.yaml", "compose.key.yaml", "compose.ray.yaml")


def compose(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())


SERVICES = compose("compose.yaml")["services"]


def test_one_command_brings_service_and_monitoring() -> None:
    assert set(SERVICES) == {"app", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "user", "devices"} & set(service)
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_comes_back(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["init"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_the_ports(name: str) -> None:
    for port in SERVICES[name]["ports"]:
        assert re.fullmatch(r"\$\{PUBLISH_[A-Z]+:-127\.0\.0\.1:\d+\}:\d+", port)


@pytest.mark.parametrize("name", SERVICES)
def test_files_of_the_repository_are_mounted_to_be_read(name: str) -> None:
    volumes = compose("compose.yaml")["volumes"]
    for mount in SERVICES[name]["volumes"]:
        source, _, mode = mount.split(":")[0], mount.split(":")[1], mount.split(":")[2:]
        if source.startswith("./"):
            assert (ROOT / source).is_dir()
            assert mode == ["ro"]
        else:
            assert source in volumes


def test_images_are_pinned() -> None:
    assert SERVICES["app"]["image"] == "humanparse:cpu"
    for name in ("prometheus", "grafana"):
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_a_stop_leaves_time_to_drain() -> None:
    settings = Settings.model_fields
    needed = settings["drain_seconds"].default + settings["body_timeout_seconds"].default
    assert float(SERVICES["app"]["stop_grace_period"].removesuffix("s")) > needed


def test_the_gpu_is_reserved_by_the_override_alone() -> None:
    override = compose("compose.gpu.yaml")["services"]["app"]
    assert override["build"]["args"] == {"DEVICE": "gpu"}
    (device,) = override["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert "nvidia" not in (ROOT / "compose.yaml").read_text()


def test_ray_runs_what_the_command_line_knows() -> None:
    override = compose("compose.ray.yaml")["services"]["app"]
    assert override["build"]["args"] == {"DEVICE": "ray"}
    arguments = [re.sub(r"^\$\{\w+:-(\d+)\}$", r"\1", part) for part in override["command"]]
    options = build_parser().parse_args(arguments)
    assert (options.command, options.engine, options.min_replicas, options.max_replicas) == ("serve", "ray", 1, 1)


def test_keys_are_files_that_are_not_in_the_repository() -> None:
    override = compose("compose.key.yaml")
    assert override["services"]["app"]["secrets"] == ["api_keys"]
    assert override["services"]["app"]["environment"] == {"HUMANPARSE_API_KEY_FILE": "/run/secrets/api_keys"}
    assert override["secrets"]["api_keys"]["file"].startswith("${API_KEYS:?")


def test_the_service_knows_the_settings_it_is_given() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for file in (*FILES, "docker/Dockerfile"):
        assert set(re.findall(r"\bHUMANPARSE_[A-Z_]+(?=[=:] ?\S)", (ROOT / file).read_text())) <= known
