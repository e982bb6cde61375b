"""The same graph on every runtime, whole and cut, gives the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.canvas_people import CanvasPeople
from model.manifest import GRAPH, Manifest
from model.onnxruntime import ort
from service.runtimes.choice import open_backend
from service.runtimes.onnxruntime import OnnxRuntimeBackend
from service.runtimes.openvino import OpenVinoBackend, network_precision
from service.runtimes.types import Backend, BackendError
from service.settings import Settings
from tests.bundles import HEADS, figure_photo

SIZES = [(64, 96), (128, 192)]


def figure_canvas(size: tuple[int, int]) -> np.ndarray:
    canvas = figure_photo(size, (1, 2, (5, 8, 30, 50)), (2, 4, (40, 10, 60, 60)))
    canvas[0, 0] = (255, 0, 255)
    return canvas


def check_equal(a: CanvasPeople, b: CanvasPeople, tolerance: float = 0.0) -> None:
    for name, x, y in zip(CanvasPeople._fields, a, b, strict=True):
        assert np.allclose(x, y, rtol=0, atol=tolerance), name


@pytest.mark.parametrize("size", SIZES)
def test_openvino_cut_in_two_equals_openvino_whole(bundle: Path, size: tuple[int, int]) -> None:
    whole = OpenVinoBackend(bundle / GRAPH).infer(figure_canvas(size))
    two = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS).infer(figure_canvas(size))
    check_equal(whole, two)
    assert whole.part_map.shape == size
    assert whole.part_map[10, 10] == 2
    assert whole.person_map[20, 50] == 2
    assert whole.overflow == 3


@pytest.mark.parametrize("size", SIZES)
def test_onnxruntime_equals_openvino(bundle: Path, size: tuple[int, int]) -> None:
    onnx = OnnxRuntimeBackend(bundle / GRAPH)
    assert (onnx.name, onnx.precision) == ("onnxruntime-cpu", "f32")
    openvino = OpenVinoBackend(bundle / GRAPH)
    check_equal(onnx.infer(figure_canvas(size)), openvino.infer(figure_canvas(size)), tolerance=1e-4)


@pytest.mark.parametrize("make", [OnnxRuntimeBackend, OpenVinoBackend])
def test_an_answer_is_not_overwritten_by_the_next(bundle: Path, make: Callable[[Path], Backend]) -> None:
    backend = make(bundle / GRAPH)
    first = backend.infer(figure_canvas(SIZES[0]))
    before = [np.copy(x) for x in first]
    backend.infer(np.zeros((*SIZES[0], 3), dtype=np.uint8))
    assert all(np.array_equal(x, y) for x, y in zip(first, before, strict=True))


def test_a_tensor_to_cut_at_must_exist(bundle: Path) -> None:
    with pytest.raises(BackendError, match="no tensor heatmaps to cut at"):
        OpenVinoBackend(bundle / GRAPH, cut_at=["red", "heatmaps"])


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available")
def test_cuda_that_fell_back_to_the_cpu_stops_the_start(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: both)
    with pytest.raises(BackendError, match="fell back to the CPU"):
        OnnxRuntimeBackend(bundle / GRAPH)


def test_bf16_is_only_for_machines_that_compute_it(
    bundle: Path, manifest: Manifest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtimes.openvino.supports_bf16", lambda: False)
    assert network_precision("auto") == network_precision("f32") == "f32"
    with pytest.raises(BackendError, match="needs a CPU with AVX512-BF16 or AMX"):
        network_precision("bf16")
    asked = settings.model_copy(update={"backend": "onnxruntime", "precision": "bf16"})
    with pytest.raises(BackendError, match="is for the openvino backend"):
        open_backend(bundle, manifest, asked)
