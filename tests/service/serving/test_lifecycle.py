"""From loading to the end, and what is refused when."""

from __future__ import annotations

import asyncio

import pytest

from service.problems import Problem
from service.serving.lifecycle import Lifecycle, Phase
from service.settings import Settings, SettingsError
from tests.service.serving.conftest import send


def test_draining_is_unready_but_serves_and_stopping_refuses(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    gate.open.set()
    lifecycle.drain()
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
    assert "humanparse_model_ready 0.0" in client.get("/metrics").text
    assert send(client, png).status_code == 200
    lifecycle.stop()
    refused = send(client, png)
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:humanparse:problem:not-ready"
    assert "retry-after" in refused.headers


def test_while_loading_nothing_is_served(settings: Settings) -> None:
    lifecycle = Lifecycle(settings)
    with pytest.raises(Problem, match="the service is starting") as info:
        lifecycle.serving()
    assert (info.value.status, info.value.retry_after) == (503, 5)
    lifecycle.close()


def test_a_bundle_that_cannot_be_served_ends_the_start(
    settings: Settings, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    failures = []
    lifecycle = Lifecycle(settings.model_copy(update={"bundle": tmp_path}), lambda: failures.append(1))
    asyncio.run(lifecycle.load())
    assert (lifecycle.phase, failures) == (Phase.FAILED, [1])
    assert "is not a bundle" in caplog.text
    lifecycle.close()


def test_a_key_file_must_hold_a_key(settings: Settings, tmp_path: object) -> None:
    with pytest.raises(SettingsError, match="HUMANPARSE_API_KEY_FILE cannot be read"):
        Lifecycle(settings.model_copy(update={"api_key_file": tmp_path / "none"}))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        Lifecycle(settings.model_copy(update={"api_key_file": tmp_path / "empty"}))
