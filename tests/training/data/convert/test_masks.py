"""Masks as tools write them, against pictures drawn by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from tests.training.data.convert.exports import brush_strokes, run_lengths
from training.data.convert.masks import brush_mask, coco_mask, polygon_mask
from training.data.samples import Bool, DatasetError


def blocks(seed: int, size: tuple[int, int]) -> Bool:
    """Patches of four by five pixels, with single pixels here and there."""
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((-(-size[0] // 4), -(-size[1] // 5))) > 0.5, np.ones((4, 5), bool))[: size[0], : size[1]]
    return mask ^ (rng.random(size) > 0.95)


def test_a_polygon_contains_pixels_with_their_center_inside() -> None:
    square = np.zeros((8, 10), bool)
    square[2:5, 3:7] = True
    np.testing.assert_array_equal(polygon_mask([[3, 2, 7, 2, 7, 5, 3, 5]], (8, 10)), square)
    square[0, 9] = True
    np.testing.assert_array_equal(polygon_mask([[3, 2, 7, 2, 7, 5, 3, 5], [9, 0, 10, 0, 10, 1, 9, 1]], (8, 10)), square)


def test_run_lengths_compressed_or_not() -> None:
    mask = blocks(0, (23, 31))
    compressed = coco.encode(np.asfortranarray(mask).astype(np.uint8))
    for counts in (compressed["counts"], compressed["counts"].decode(), run_lengths(mask)):
        np.testing.assert_array_equal(coco_mask({"size": [23, 31], "counts": counts}, (23, 31)), mask)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "three points"),
        ([[1, 2, 3, 4]], "three points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "three points"),
        ({"counts": [80]}, "neither polygons nor RLE"),
        ("", "neither polygons nor RLE"),
        ({"size": [10, 8], "counts": [80]}, r"of \[10, 8\] pixels, not of \[8, 10\]"),
        ({"size": [8, 10], "counts": [70]}, "covers 70 pixels of 80"),
        ({"size": [8, 10], "counts": "#"}, "cannot be decoded"),
    ],
)
def test_a_broken_segmentation_is_refused(segmentation: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        coco_mask(segmentation, (8, 10))


def test_a_brush_stroke_decoded_by_hand() -> None:
    """Two pixels, the second painted: a run of four zeros, then three zeros and a 255 one by one."""
    bits = f"{8:032b}" + f"{7:05b}" + "0000" + "0001" + "0010" + "0011"  # widths of 1, 2, 3 and 4 bits
    bits += "1" + "01" + "11" + "00000000"  # a run, length in two bits: four
    bits += "0" + "11" + "0011" + "00000000" * 3 + "11111111"  # literals, length in four bits: four
    bits += "0" * (-len(bits) % 8)
    stroke = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    np.testing.assert_array_equal(brush_mask(stroke, (1, 2)), [[False, True]])
    np.testing.assert_array_equal(brush_mask(stroke, (2, 1)), [[False], [True]])


@pytest.mark.parametrize("size", [(1, 1), (23, 31), (64, 40)])
@pytest.mark.parametrize("widths", [(3, 4, 8, 16), (1, 2, 3, 8)])
def test_brush_strokes(size: tuple[int, int], widths: tuple[int, int, int, int]) -> None:
    for seed in range(3):
        mask = blocks(seed, size)
        np.testing.assert_array_equal(brush_mask(brush_strokes(mask, widths), size), mask)


@pytest.mark.parametrize(
    ("stroke", "message"),
    [
        ([], "ends too early"),
        (brush_strokes(blocks(0, (9, 9)))[:-3], "ends too early"),
        (brush_strokes(blocks(0, (9, 8))), "it is of 72 pixels, the image of 81"),
        ([300], "cannot be decoded"),
        (["a"], "cannot be decoded"),
        ([255] * 40, "pixels, the image of 81"),
    ],
)
def test_a_broken_brush_stroke_is_refused(stroke: list[Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        brush_mask(stroke, (9, 9))
