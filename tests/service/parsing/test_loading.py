"""Which level of detail is served, and what is checked before anything is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from model.manifest import GOLDEN, GRAPH, Manifest, read_bundle
from service.parsing import loading
from service.parsing.loading import choose_detail, load_parser, served_levels
from service.parsing.self_check import check_contract, check_golden
from service.runtimes.openvino import OpenVinoBackend
from service.runtimes.types import Backend, BackendError, Output
from service.settings import Settings
from tests.bundles import CANVASES, VIEWS, figure_bundle, write_manifest


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
    chosen, seconds = choose_detail(CANVASES, manifest, Slow(), auto)
    assert chosen == detail
    pixels = max(h * w for h, w in CANVASES[detail]) * VIEWS.get(detail, 1)
    assert seconds == pytest.approx(pixels / 1e6, rel=0.5)
    assert choose_detail(CANVASES, manifest, Slow(), auto.model_copy(update={"detail": "fast"}))[0] == "fast"


def test_no_level_beyond_the_finest_is_served(bundle: Path, settings: Settings) -> None:
    manifest = read_bundle(bundle)
    auto = settings.model_copy(update={"detail": "auto", "inference_budget_seconds": 10.0})
    assert list(served_levels(manifest, auto)) == ["fast", "standard", "high", "finest"]
    limited = auto.model_copy(update={"finest_detail": "standard"})
    parser = load_parser(limited)
    assert (list(parser.levels), parser.detail) == (["fast", "standard"], "standard")
    with pytest.raises(
        BackendError, match=r"DETAIL=high is finer than HUMANPARSE_FINEST_DETAIL: choose of auto, fast,"
    ):
        served_levels(manifest, limited.model_copy(update={"detail": "high"}))


def test_a_level_the_bundle_lacks(tmp_path: Path, settings: Settings) -> None:
    figure_bundle(tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"high"', '"higher"'))
    with pytest.raises(BackendError, match="DETAIL=high is not in the bundle: choose of auto, fast, standard, higher"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


def test_a_photo_gets_the_canvas_that_shows_it_largest(settings: Settings, png: bytes) -> None:
    parser = load_parser(settings)
    prepared = parser.prepare(png)
    assert prepared.canvas.shape == (256, 384, 3)
    assert parser.infer(prepared).size_canvas == (256, 384)
    assert 0 < parser.seconds < 1


def test_at_the_finest_level_the_network_sees_a_canvas_twice(
    settings: Settings, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = load_parser(settings)
    seen = []

    class Counting(OpenVinoBackend):
        def infer(self, canvas: np.ndarray, views: int = 1) -> Output:
            seen.append(views)
            return super().infer(canvas, views)

    monkeypatch.setattr(parser.backend, "__class__", Counting)
    for detail in ("high", "finest"):
        assert parser.infer(parser.prepare(png, detail)).detail == detail
    assert seen == [1, 2]


def outputs(bundle: Path) -> Output:
    return OpenVinoBackend(bundle / GRAPH).infer(np.zeros((64, 96, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.zeros((4, 17, 3), np.float32)}, r"keypoints is float32 \(4, 17, 3\), .* \(4, 14, 3\)"),
        ({"part_map": np.zeros((64, 96), np.int32)}, "part_map is int32"),
        ({"part_map": np.full((64, 96), 7, np.uint8)}, "beyond the manifest"),
        ({"person_map": np.full((64, 96), 5, np.uint8)}, "beyond the manifest"),
    ],
)
def test_a_broken_contract(bundle: Path, change: dict[str, np.ndarray], message: str) -> None:
    manifest, good = read_bundle(bundle), outputs(bundle)
    check_contract(good, (64, 96), manifest)
    with pytest.raises(BackendError, match=message):
        check_contract(good._replace(**change), (64, 96), manifest)


def test_a_backend_that_computes_something_else_is_refused(tmp_path: Path, settings: Settings) -> None:
    figure_bundle(tmp_path)
    with np.load(tmp_path / GOLDEN) as file:
        golden = dict(file)
    person_map = golden["high_person_map"]
    person_map[:, : person_map.shape[1] // 8] += 1  # a sliver of one person goes to another
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    with pytest.raises(BackendError, match=r"computes another person_map than the bundle promises .*% of the pixels"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


def test_people_may_come_in_another_order_than_the_bundle_promises(tmp_path: Path, settings: Settings) -> None:
    """Of people with equal scores rounding decides who comes first."""
    figure_bundle(tmp_path)
    with np.load(tmp_path / GOLDEN) as file:
        golden = dict(file)
    assert set(np.unique(golden["high_person_map"])) == {0, 1, 2}
    golden["high_person_map"] = np.array([0, 2, 1], np.uint8)[golden["high_person_map"]]
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    assert load_parser(settings.model_copy(update={"bundle": tmp_path})).detail == "high"
    golden["high_person_map"][golden["high_person_map"] > 0] = 1  # two people are not one
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    with pytest.raises(BackendError, match="another person_map"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


class Wrong:
    """Sees nobody anywhere."""

    name, precision = "openvino", "bf16"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def infer(self, canvas: np.ndarray, views: int) -> Output:
        return self._backend.infer(np.zeros_like(canvas), views)


def test_where_bf16_answers_otherwise_auto_takes_f32(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_(bundle: Path, manifest: Manifest, asked: Settings) -> Backend:
        backend = OpenVinoBackend(bundle / GRAPH)
        return backend if asked.precision == "f32" else Wrong(backend)

    monkeypatch.setattr(loading, "open_backend", open_)
    assert load_parser(settings.model_copy(update={"precision": "auto"})).backend.precision == "f32"
    with pytest.raises(
        BackendError, match=r"openvino in bf16 computes another part_map .*: try HUMANPARSE_PRECISION=f32"
    ):
        load_parser(settings.model_copy(update={"precision": "bf16"}))


def test_a_bundle_may_lack_golden_maps(bundle: Path, tmp_path: Path) -> None:
    backend, manifest = OpenVinoBackend(bundle / GRAPH), read_bundle(bundle)
    check_golden(backend, tmp_path, manifest, "fast")
    check_golden(backend, bundle, manifest, "unheard-of")
    check_golden(backend, bundle, manifest, "fast")
