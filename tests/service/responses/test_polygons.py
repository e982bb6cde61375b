"""Polygons: drawn again they are the mask, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from model.contours import enlarge
from model.id_runs import IdRuns
from service.responses.masks import encode
from service.responses.polygons import polygons
from tests.service.responses.random_maps import random_maps


def fill(polygon: list[int], size: tuple[int, int]) -> np.ndarray:
    """Even-odd fill of a rectilinear polygon: toggle everything right of each vertical edge."""
    mask = np.zeros(size, dtype=bool)
    points = np.array(polygon).reshape(-1, 2)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        assert x1 == x2 or y1 == y2  # edges are level or upright
        if x1 == x2:
            mask[min(y1, y2) : max(y1, y2), x1:] ^= True
    return mask


def winding(polygon: list[int], size: tuple[int, int]) -> np.ndarray:
    """How often a polygon goes around each pixel, for the nonzero rule."""
    number = np.zeros(size, dtype=int)
    points = np.array(polygon).reshape(-1, 2)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if x1 == x2:
            number[min(y1, y2) : max(y1, y2), x1:] += np.sign(y1 - y2)
    return number


@pytest.mark.parametrize("seed", range(30))
def test_polygons_cover_exactly_their_mask_in_every_reader(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size_image = int(rng.integers(1, 120)), int(rng.integers(1, 120))
    part_map, person_map = random_maps(rng, (64, 64), people=2, parts=2)
    runs = enlarge(person_map.astype(np.uint16) << 8 | part_map, size_image)
    ids = runs.painted()
    for i, mask in encode(runs).items():
        found = polygons(ids, i, mask.box)
        assert all(len(polygon) >= 8 for polygon in found)  # pycocotools takes four numbers for a box
        expected = (ids == i).astype(int)
        np.testing.assert_array_equal(sum(fill(p, size_image).astype(int) for p in found), expected)
        np.testing.assert_array_equal(sum(np.abs(winding(p, size_image)) for p in found), expected)
        decoded = coco.decode(coco.merge(coco.frPyObjects(found, *size_image)))
        np.testing.assert_array_equal(decoded, expected)


def polygons_of(mask: np.ndarray) -> list[list[int]]:
    flat = mask.T.ravel().astype(np.uint16)
    runs = IdRuns(flat, np.arange(flat.size), mask.shape)
    return polygons(runs.painted(), 1, encode(runs)[1].box)


def test_a_ring_around_a_dot_is_two_components_and_the_hole_is_cut_open() -> None:
    part_map = np.zeros((32, 32), dtype=np.uint8)
    part_map[4:20, 4:20] = 1
    part_map[8:16, 8:16] = 0
    part_map[10:12, 10:12] = 1
    ring, dot = polygons_of(part_map)
    assert ring == [4, 4, 8, 4, 8, 8, 16, 8, 16, 16, 8, 16, 8, 8, 8, 4, 20, 4, 20, 20, 4, 20]
    assert dot == [10, 10, 12, 10, 12, 12, 10, 12]


def test_holes_below_each_other_are_joined_through_each_other() -> None:
    part_map = np.zeros((32, 32), dtype=np.uint8)
    part_map[2:30, 2:30] = 1
    for top in (4, 10, 16, 22):
        part_map[top : top + 4, 8:16] = 0
    (polygon,) = polygons_of(part_map)
    np.testing.assert_array_equal(fill(polygon, (32, 32)), part_map == 1)


def test_cells_that_touch_at_a_corner_stay_apart() -> None:
    part_map = np.zeros((32, 32), dtype=np.uint8)
    part_map[0:2, 0:2] = part_map[2:4, 2:4] = 1
    part_map[10:12, 12:14] = part_map[12:14, 10:12] = 1
    found = polygons_of(part_map)
    assert [len(p) for p in found] == [8, 8, 8, 8]
