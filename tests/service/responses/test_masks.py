"""Masks: byte for byte what pycocotools makes of the enlarged map."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from model.letterbox import letterbox_geometry
from service.parsing.id_grid import id_grid
from service.responses.masks import encode
from tests.service.responses.random_maps import random_maps


def enlarged_reference(ids, letterbox, size_image):
    rows = [letterbox.offset_y + int((i + 0.5) * letterbox.height / size_image[0]) for i in range(size_image[0])]
    columns = [letterbox.offset_x + int((i + 0.5) * letterbox.width / size_image[1]) for i in range(size_image[1])]
    return ids[rows][:, columns]


@pytest.mark.parametrize("seed", range(40))
def test_counts_area_and_box_equal_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size_canvas = int(rng.integers(1, 5)) * 32, int(rng.integers(1, 5)) * 32
    size_image = int(rng.integers(1, 400)), int(rng.integers(1, 400))
    letterbox = letterbox_geometry(size_image, size_canvas)
    part_map, person_map = random_maps(rng, size_canvas, people=4, parts=5)
    grid = id_grid(part_map, person_map, letterbox, size_image)
    expected = enlarged_reference(person_map.astype(int) * 256 + part_map, letterbox, size_image)
    np.testing.assert_array_equal(grid.enlarged(), expected)
    for ids, masks in ((expected, encode(grid)), (expected // 256, encode(grid.people()))):
        assert sorted(masks) == [i for i in np.unique(ids) if i]
        for i, mask in masks.items():
            reference = coco.encode(np.asfortranarray((ids == i).astype(np.uint8)))
            assert mask.counts.encode() == reference["counts"]
            assert mask.area == coco.area(reference)
            assert list(mask.box) == coco.toBbox(reference).tolist()


def test_a_photo_full_of_one_person_is_one_run() -> None:
    ones = np.ones((32, 32), dtype=np.uint8)
    grid = id_grid(ones, ones, letterbox_geometry((50, 40), (32, 32)), (50, 40))
    (mask,) = encode(grid).values()
    assert (mask.area, mask.box) == (2000, (0, 0, 40, 50))
    assert coco.area({"size": [50, 40], "counts": mask.counts.encode()}) == 2000


def test_an_empty_photo_has_no_masks() -> None:
    zeros = np.zeros((32, 32), dtype=np.uint8)
    assert encode(id_grid(zeros, zeros, letterbox_geometry((50, 40), (32, 32)), (50, 40))) == {}
