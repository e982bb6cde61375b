from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.raw_prediction import RawPrediction
from service.parsing.loading import load_parser
from service.runtimes.openvino import OpenVinoBackend
from service.settings import Settings
from tests.bundles import figure_bundle


def test_an_image_gets_the_canvas_that_shows_it_largest(settings: Settings, png: bytes) -> None:
    parser = load_parser(settings)
    prepared = parser.prepare(png)
    assert [fit.canvas.shape for fit in prepared.fitted] == [(256, 384, 3)]
    assert parser.infer(prepared).size_canvas == (256, 384)
    assert 0 < parser.seconds < 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], int]]:
    """Shape of each canvas that the backend is given, and how often the network sees it."""
    calls = []
    infer = OpenVinoBackend.infer

    def counting(backend: OpenVinoBackend, canvas: np.ndarray, views: int = 1) -> RawPrediction:
        calls.append((canvas.shape[:2], views))
        return infer(backend, canvas, views)

    monkeypatch.setattr(OpenVinoBackend, "infer", counting)
    monkeypatch.setattr("service.parsing.turned.SURE", 0.0)  # no further inferences
    return calls


def test_a_level_with_two_views_shows_the_network_a_canvas_twice(settings: Settings, png: bytes, seen: list) -> None:
    parser = load_parser(settings)
    seen.clear()
    for detail in ("high", "finest", "finest"):
        assert parser.infer(parser.prepare(png, detail)).detail == detail
    assert seen == [((256, 384), 1), *[((256, 384), 2)] * 3]  # the golden canvas before the first answer of a level


def test_a_united_level_answers_once_for_two_canvases(
    settings: Settings, png: bytes, seen: list, tmp_path: Path
) -> None:
    folder = figure_bundle(tmp_path / "bundle", scales={"finest": ("fast", "high")})
    parser = load_parser(settings.model_copy(update={"bundle": folder}))
    seen.clear()
    alone, united = (parser.infer(parser.prepare(png, detail)) for detail in ("high", "finest"))
    assert seen == [((256, 384), 1), ((64, 96), 1), ((256, 384), 1)]
    assert (united.detail, united.size_canvas, united.letterbox) == ("finest", alone.size_canvas, alone.letterbox)
    assert int((united.output.person_score > 0).sum()) == 2
    np.testing.assert_array_equal(united.output.part_map, alone.output.part_map)
