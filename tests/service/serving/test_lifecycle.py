"""From loading to the end, and what is refused when."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model.raw_prediction import RawPrediction
from service.parsing.parser import ImageParser
from service.problems import Problem
from service.runtimes.batching import BatchingBackend
from service.runtimes.types import Backend
from service.serving.lifecycle import Lifecycle, Phase, load_parser
from service.settings import Settings, SettingsError
from tests.service.conftest import running
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
    lifecycle = Lifecycle(settings.model_copy(update={"bundle": tmp_path}))
    lifecycle.on_failure = lambda: failures.append(1)
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


class Pairs:
    """A runtime that takes two canvases together."""

    name, precision, parallel, max_batch = "gpu", "f32", 1, 2

    def __init__(self, backend: Backend) -> None:
        self.infer = backend.infer

    def infer_batch(self, canvases: np.ndarray) -> list[RawPrediction]:
        return [self.infer(canvas) for canvas in canvases]


def test_the_metric_of_batch_sizes_counts_what_ran_together(
    settings: Settings, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batching(settings: Settings) -> ImageParser:
        parser = load_parser(settings)
        sizes = parser.levels["fast"]
        return replace(parser, backend=BatchingBackend(Pairs(parser.backend), sizes, delay=20.0))

    monkeypatch.setattr("service.parsing.turned.SURE", 0.0)  # one inference an image
    monkeypatch.setattr("service.serving.lifecycle.load_parser", batching)
    with running(settings.model_copy(update={"detail": "fast"})) as (client, _), ThreadPoolExecutor(2) as pool:
        assert [r.status_code for r in pool.map(lambda _: send(client, png), range(2))] == [200, 200]
        metrics = client.get("/metrics").text
    assert "humanparse_batch_size_count 1.0" in metrics
    assert "humanparse_batch_size_sum 2.0" in metrics
