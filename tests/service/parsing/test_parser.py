from __future__ import annotations

import numpy as np
import pytest

from service.parsing.loading import load_parser
from service.runtimes.openvino import OpenVinoBackend
from service.runtimes.types import Output
from service.settings import Settings


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
