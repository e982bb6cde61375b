"""The same graph on every runtime, whole and cut, gives the same tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.manifest import GRAPH
from model.raw_prediction import RawPrediction
from service.runtimes.onnxruntime import OnnxRuntimeBackend
from service.runtimes.openvino import OFTEN, RECENT, OpenVinoBackend
from service.runtimes.types import Backend, BackendError
from tests.bundles import HEADS, figure_image

SIZES = [(64, 96), (128, 192)]


def figure_canvas(size: tuple[int, int]) -> np.ndarray:
    canvas = figure_image(size, (1, 2, (5, 8, 30, 50)), (2, 4, (40, 10, 60, 60)))
    canvas[0, 0] = (255, 0, 255)
    return canvas


def check_equal(a: RawPrediction, b: RawPrediction, tolerance: float = 0.0) -> None:
    for name, x, y in zip(RawPrediction._fields, a, b, strict=True):
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
    assert (onnx.name, onnx.precision) == ("onnxruntime", "f32")
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


def test_bf16_is_only_for_machines_that_compute_it(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.runtimes.openvino.supports_bf16", lambda: False)
    with pytest.raises(BackendError, match="needs a CPU with AVX512-BF16 or AMX"):
        OpenVinoBackend(bundle / GRAPH, precision="bf16")


def test_a_canvas_that_comes_often_gets_a_graph_of_its_own(bundle: Path) -> None:
    backend = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS)
    expected = backend.infer(figure_canvas(SIZES[0]))
    frequent = backend._frequent
    for size in (*[SIZES[0]] * OFTEN, SIZES[1]):
        backend.infer(figure_canvas(size))
    frequent._compiling.join()
    assert list(frequent._graphs) == [(1, *SIZES[0], 3)]
    check_equal(backend.infer(figure_canvas(SIZES[0])), expected)
    # A canvas with more pixels takes its place once it weighs twice as much.
    for _ in range(OFTEN):
        backend.infer(figure_canvas(SIZES[1]))
    frequent._compiling.join()
    assert list(frequent._graphs) == [(1, *SIZES[1], 3)]


def test_a_graph_that_gives_another_answer_is_not_used(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.runtimes.openvino.MATCH", 1.1)
    backend = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS)
    for _ in range(OFTEN):
        backend.infer(figure_canvas(SIZES[0]))
    backend._frequent._compiling.join()
    backend.infer(figure_canvas(SIZES[0]))
    backend._frequent._compiling.join()
    assert not backend._frequent._graphs
    assert caplog.text.count("gives another answer") == 1  # nor tried again


def test_prepared_canvases_have_graphs_before_they_come(bundle: Path) -> None:
    backend = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS)
    canvases = [figure_canvas(size) for size in SIZES]
    expected = [backend.infer(canvas) for canvas in canvases]
    backend.prepare([(size, 1) for size in SIZES])()
    assert list(backend._frequent._graphs) == [(1, *size, 3) for size in SIZES]
    for _ in range(RECENT):
        for canvas, people in zip(canvases, expected, strict=True):
            check_equal(backend.infer(canvas), people)
    assert backend._frequent._compiling is None


def test_no_graph_replaces_another_where_answers_must_repeat(bundle: Path) -> None:
    backend = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS)
    backend.prepare([(SIZES[0], 1)])()
    backend.repeat()
    for _ in range(OFTEN):
        backend.infer(figure_canvas(SIZES[1]))
    assert backend._frequent._compiling is None
    assert list(backend._frequent._graphs) == [(1, *SIZES[0], 3)]


def test_memory_that_was_not_needed_of_late_is_given_back(bundle: Path) -> None:
    backend = OpenVinoBackend(bundle / GRAPH, cut_at=HEADS)
    small, large = (figure_canvas(size) for size in SIZES)
    expected = [backend.infer(canvas) for canvas in (small, large)]
    backend.prepare([(SIZES[1], 1)])()
    assert backend._any_size.held_values == 0
    backend.infer(np.concatenate([large, large]))  # a canvas that comes once
    for _ in range(RECENT // 2):
        assert backend._any_size.held_values == 2 * large.size
        check_equal(backend.infer(small), expected[0])
        check_equal(backend.infer(large), expected[1])
    assert backend._any_size.held_values == 0
    check_equal(backend.infer(small), expected[0])
    assert backend._any_size.held_values == small.size  # and taken again
