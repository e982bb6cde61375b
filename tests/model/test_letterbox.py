"""How an image lies in a canvas."""

from __future__ import annotations

import numpy as np
import pytest

from model.letterbox import letterbox_geometry


def test_a_wide_image_touches_left_and_right_and_is_centred() -> None:
    box = letterbox_geometry((300, 600), (256, 256))
    assert (box.height, box.width, box.offset_x, box.offset_y) == (128, 256, 0, 64)


def test_a_tall_image_is_enlarged_to_the_height() -> None:
    box = letterbox_geometry((50, 21), (256, 256))
    assert (box.height, box.width) == (256, 108)
    assert (box.offset_x, box.offset_y) == (74, 0)


def test_an_odd_rest_makes_the_right_bar_larger() -> None:
    box = letterbox_geometry((64, 61), (64, 64))
    assert (box.offset_x, 64 - box.offset_x - box.width) == (1, 2)


@pytest.mark.parametrize("seed", range(50))
def test_every_image_fits_and_its_corners_return(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size_image = int(rng.integers(1, 5000)), int(rng.integers(1, 5000))
    size_canvas = int(rng.integers(1, 20)) * 32, int(rng.integers(1, 20)) * 32
    box = letterbox_geometry(size_image, size_canvas)
    assert 1 <= box.height <= size_canvas[0]
    assert 1 <= box.width <= size_canvas[1]
    assert box.height == size_canvas[0] or box.width == size_canvas[1]
    # The image's outer edges, half a pixel outside its corner pixels' centres, are the resized image's.
    assert box.to_canvas(-0.5, -0.5) == pytest.approx((box.offset_x - 0.5, box.offset_y - 0.5))
    far = box.to_canvas(size_image[1] - 0.5, size_image[0] - 0.5)
    assert far == pytest.approx((box.offset_x + box.width - 0.5, box.offset_y + box.height - 0.5))
    point = rng.uniform(0, size_image[1]), rng.uniform(0, size_image[0])
    assert box.to_image(*box.to_canvas(*point)) == pytest.approx(point)


@pytest.mark.parametrize(("size_image", "size_canvas"), [((0, 10), (32, 32)), ((10, 10), (32, -32))])
def test_sides_must_be_positive(size_image: tuple[int, int], size_canvas: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        letterbox_geometry(size_image, size_canvas)
