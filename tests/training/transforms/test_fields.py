"""Label maps against plain loops over every cell, person and joint."""

from __future__ import annotations

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from training.transforms.fields import dilate, joint_maps, limb_maps, projection_map

SIZE = (20, 27)
LIMBS = DENSEPOSE_COCO.limbs
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]


def people(seed: int, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    joints = rng.uniform(-0.45, [SIZE[1] - 0.55, SIZE[0] - 0.55], (count, 17, 2)).astype(np.float32)
    return joints, rng.random((count, 17)) < 0.7


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [8.0, 2.5])
def test_heatmap_and_offsets_belong_to_the_nearest_joint(seed: int, radius: float) -> None:
    joints, present = people(seed)
    heatmap, offsets = joint_maps(joints, present, SIZE, radius)
    for k in range(17):
        dx = joints[present[:, k], k, 0][:, None, None] - COLUMNS  # [n, h, w]
        dy = joints[present[:, k], k, 1][:, None, None] - ROWS
        distance = np.hypot(dx, dy)
        best = distance.argmin(axis=0)[None] if len(distance) else np.zeros((1, *SIZE), int)
        inside = (distance <= radius).any(axis=0)
        np.testing.assert_array_equal(heatmap[k], inside)
        for axis, delta in enumerate((dx, dy)):
            expected = np.take_along_axis(delta, best, 0)[0] if len(distance) else np.zeros(SIZE)
            np.testing.assert_allclose(offsets[k, axis][inside], expected[inside], atol=0.01)
            assert not offsets[k, axis][~inside].any()


def test_a_joint_on_a_cell_covers_the_disk_of_197_cells() -> None:
    heatmap, _ = joint_maps(np.array([[[13, 10]]], np.float32), np.ones((1, 1), bool), (30, 30), 8.0)
    assert heatmap.sum() == 197


@pytest.mark.parametrize("seed", range(3))
def test_projection_points_to_the_nearest_joint_of_the_same_person(seed: int) -> None:
    joints, present = people(seed)
    present[2] = False
    owner = np.random.default_rng(seed).choice([0, 1, 2, 3, 4, 255], SIZE).astype(np.uint8)
    field, weight = projection_map(owner, joints, present)
    np.testing.assert_array_equal(weight, np.isin(owner, [1, 2, 4]))
    for y, x in np.argwhere(weight):
        own = joints[owner[y, x] - 1][present[owner[y, x] - 1]]
        nearest = np.hypot(*(own - [x, y]).T).min()
        assert np.hypot(*field[:, y, x]) == pytest.approx(nearest, abs=1e-4)
        assert np.abs(own - [x, y] - field[:, y, x]).sum(axis=1).min() < 1e-4
    assert not field[:, weight == 0].any()


@pytest.mark.parametrize("seed", range(3))
def test_limbs_are_gaussians_of_the_distance_to_the_nearest_segment(seed: int) -> None:
    joints, present = people(seed, count=2)
    maps = limb_maps(joints, present, LIMBS, SIZE, 2.25)
    for limb, (a, b) in enumerate(LIMBS):
        expected = np.zeros(SIZE)
        for points, exists in zip(joints, present, strict=True):
            if exists[a] and exists[b]:
                along = np.linspace(points[a], points[b], 4000)  # the segment as a dense row of points
                squared = (along[:, 0, None, None] - COLUMNS) ** 2 + (along[:, 1, None, None] - ROWS) ** 2
                distance = np.sqrt(squared.min(axis=0))
                response = np.where(distance < 6.75, np.exp(-0.5 * (distance / 2.25) ** 2), 0)
                expected = np.maximum(expected, response)
        np.testing.assert_allclose(maps[limb], expected, atol=0.012)  # 0.011 is the response at three sigma


def test_a_limb_of_no_length_is_a_round_spot() -> None:
    joints = np.full((1, 17, 2), 10, np.float32)
    maps = limb_maps(joints, np.ones((1, 17), bool), LIMBS[:1], SIZE, 2.25)
    assert maps[0, 10, 10] == 1
    assert maps[0, 10, 12] == pytest.approx(np.exp(-0.5 * (2 / 2.25) ** 2))


@pytest.mark.parametrize("reach", [0, 1, 3, 8, 40])
def test_grow_reaches_exactly_so_many_cells(reach: int) -> None:
    mask = np.zeros(SIZE, bool)
    mask[4, 5] = mask[17, 20] = True
    expected = np.zeros(SIZE, bool)
    for y, x in ((4, 5), (17, 20)):
        expected |= (np.abs(ROWS - y) <= reach) & (np.abs(COLUMNS - x) <= reach)
    np.testing.assert_array_equal(dilate(mask, reach), expected)
    assert mask.sum() == 2


def test_maps_without_people_are_empty() -> None:
    joints, present = np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), bool)
    heatmap, offsets = joint_maps(joints, present, SIZE, 8.0)
    field, weight = projection_map(np.zeros(SIZE, np.uint8), joints, present)
    limbs = limb_maps(joints, present, LIMBS, SIZE, 2.25)
    assert heatmap.shape == (17, *SIZE)
    for array in (heatmap, offsets, field, weight, limbs):
        assert not array.any()
