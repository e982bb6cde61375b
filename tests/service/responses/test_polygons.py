"""Polygons: drawn again they are the mask, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest

from model.letterbox import letterbox_geometry
from service.parsing.id_grid import id_grid
from service.responses.masks import encode
from service.responses.polygons import polygons
from tests.service.responses.random_maps import random_maps


def fill(rings: list[list[int]], size: tuple[int, int]) -> np.ndarray:
    """Even-odd fill of rectilinear rings: toggle everything right of each vertical edge."""
    mask = np.zeros(size, dtype=bool)
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            assert (x1 == x2) != (y1 == y2)  # edges are level or upright
            if x1 == x2:
                mask[min(y1, y2) : max(y1, y2), x1:] ^= True
    return mask


@pytest.mark.parametrize("seed", range(30))
def test_polygons_cover_exactly_their_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size_image = int(rng.integers(1, 120)), int(rng.integers(1, 120))
    letterbox = letterbox_geometry(size_image, (64, 64))
    part_map, person_map = random_maps(rng, (64, 64), people=2, parts=2)
    grid = id_grid(part_map, person_map, letterbox, size_image)
    ids = grid.enlarged()
    for i, mask in encode(grid).items():
        total = np.zeros(size_image, dtype=int)
        for polygon in polygons(grid, i, mask.box):
            one = fill(polygon, size_image)
            hole_area = sum(fill([hole], size_image).sum() for hole in polygon[1:])
            assert fill(polygon[:1], size_image).sum() - hole_area == one.sum()  # holes lie inside their own outline
            total += one
        np.testing.assert_array_equal(total, (ids == i).astype(int))


def test_a_ring_around_a_dot_is_two_components_and_one_hole() -> None:
    part_map = np.zeros((32, 32), dtype=np.uint8)
    part_map[4:20, 4:20] = 1
    part_map[8:16, 8:16] = 0
    part_map[10:12, 10:12] = 1
    grid = id_grid(part_map, part_map, letterbox_geometry((32, 32), (32, 32)), (32, 32))
    ring, dot = polygons(grid, 257, encode(grid)[257].box)
    assert ring == [[4, 4, 20, 4, 20, 20, 4, 20], [8, 8, 16, 8, 16, 16, 8, 16]]
    assert dot == [[10, 10, 12, 10, 12, 12, 10, 12]]


def test_cells_that_touch_at_a_corner_stay_apart() -> None:
    part_map = np.zeros((32, 32), dtype=np.uint8)
    part_map[0:2, 0:2] = part_map[2:4, 2:4] = 1
    part_map[10:12, 12:14] = part_map[12:14, 10:12] = 1
    grid = id_grid(part_map, part_map, letterbox_geometry((32, 32), (32, 32)), (32, 32))
    found = polygons(grid, 257, encode(grid)[257].box)
    assert [len(p) for p in found] == [1, 1, 1, 1]
    assert all(len(p[0]) == 8 for p in found)
