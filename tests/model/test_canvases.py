"""The canvas table and the choice from it."""

from __future__ import annotations

import pytest

from model.canvases import CANVASES, best_canvas
from model.config import CANVAS_MULTIPLE


@pytest.mark.parametrize(
    ("size_image", "expected"),
    [
        ((480, 640), (224, 288)),
        ((640, 480), (288, 224)),
        ((300, 300), (256, 256)),
        ((360, 640), (192, 352)),
        ((1000, 100), (352, 192)),
    ],
)
def test_an_image_goes_where_it_is_largest(size_image: tuple[int, int], expected: tuple[int, int]) -> None:
    assert best_canvas(size_image, CANVASES["fast"]) == expected


def test_of_equal_scales_the_smaller_canvas_is_chosen() -> None:
    assert best_canvas((10, 10), [(64, 96), (64, 64), (96, 64)]) == (64, 64)


def test_levels_hold_both_orientations_of_multiples() -> None:
    for sizes in CANVASES.values():
        assert {(w, h) for h, w in sizes} == set(sizes)
        assert all(side % CANVAS_MULTIPLE == 0 for size in sizes for side in size)
