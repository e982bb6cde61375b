"""Which level of detail is served, and what is checked before anything is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from model.manifest import GRAPH, Manifest, read_bundle
from model.raw_prediction import RawPrediction
from service.parsing.loading import choose_detail, load_parser, served_levels
from service.runtimes import choice
from service.runtimes.openvino import OpenVinoBackend
from service.runtimes.types import Backend, BackendError
from service.settings import Settings
from tests.bundles import CANVASES, figure_bundle


class Slow:
    """Takes a second for each million canvas pixels, each time that they are seen."""

    name, precision = "slow", "f32"

    def infer(self, canvas: np.ndarray, views: int) -> None:
        time.sleep(views * canvas.shape[0] * canvas.shape[1] / 1e6)


@pytest.mark.parametrize(
    ("budget", "detail"),
    [(1.0, "finest"), (0.14, "high"), (0.06, "standard"), (0.015, "fast"), (0.0, "fast")],
)
def test_auto_takes_the_finest_level_within_the_budget(
    bundle: Path, settings: Settings, budget: float, detail: str
) -> None:
    auto = settings.model_copy(update={"detail": "auto", "inference_budget_seconds": budget})
    manifest = read_bundle(bundle)
    assert choose_detail(CANVASES, manifest, Slow(), auto) == detail
    assert choose_detail(CANVASES, manifest, Slow(), auto.model_copy(update={"detail": "fast"})) == "fast"


def test_no_level_beyond_the_finest_is_served(bundle: Path, settings: Settings) -> None:
    manifest = read_bundle(bundle)
    auto = settings.model_copy(update={"detail": "auto", "inference_budget_seconds": 10.0})
    assert list(served_levels(manifest, auto)) == ["fast", "standard", "high", "finest"]
    limited = auto.model_copy(update={"max_detail": "standard"})
    parser = load_parser(limited)
    assert (list(parser.levels), parser.detail) == (["fast", "standard"], "standard")
    with pytest.raises(BackendError, match=r"DETAIL=high is finer than HUMANPARSE_MAX_DETAIL: choose of auto, fast,"):
        served_levels(manifest, limited.model_copy(update={"detail": "high"}))


def test_a_level_the_bundle_lacks(tmp_path: Path, settings: Settings) -> None:
    figure_bundle(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"high"', '"higher"'))
    with pytest.raises(BackendError, match="DETAIL=high is not in the bundle: choose of auto, fast, standard, higher"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


class Wrong:
    """Sees nobody anywhere."""

    name, precision, parallel = "openvino", "bf16", 1

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def infer(self, canvas: np.ndarray, views: int) -> RawPrediction:
        return self._backend.infer(np.zeros_like(canvas), views)


def test_where_bf16_answers_otherwise_auto_takes_f32(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_(name: str, bundle: Path, manifest: Manifest, precision: str, settings: Settings) -> Backend:
        backend = OpenVinoBackend(bundle / GRAPH)
        return backend if precision == "f32" else Wrong(backend)

    monkeypatch.setattr(choice, "open_backend", open_)
    assert load_parser(settings.model_copy(update={"precision": "auto"})).backend.precision == "f32"
    with pytest.raises(
        BackendError, match=r"openvino in bf16 computes another part_map .*: try HUMANPARSE_PRECISION=f32"
    ):
        load_parser(settings.model_copy(update={"precision": "bf16"}))
