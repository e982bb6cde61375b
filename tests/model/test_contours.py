"""Enlarged ids: smooth where the map has stairs, a partition whatever the map, and never far from it."""

from __future__ import annotations

import numpy as np
import pytest

from model.contours import enlarge
from tests.service.responses.random_maps import random_maps


def nearest(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = ((2 * np.arange(to) + 1) * source // (2 * to) for to, source in zip(size, ids.shape, strict=True))
    return ids[np.ix_(rows, columns)]


def disk(size: int, radius: float) -> np.ndarray:
    """A disk in the middle of a square, its radius a share of the side."""
    place = (np.arange(size) + 0.5) / size - 0.5
    return np.hypot(place[:, None], place) < radius


@pytest.mark.parametrize("seed", range(40))
def test_every_pixel_has_an_id_of_the_map_at_most_a_pixel_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 60, 2)
    target = np.maximum(1, size * rng.uniform(0.3, 5)).astype(int)
    part_map, person_map = random_maps(rng, tuple(size), people=4, parts=5)
    ids = person_map.astype(np.uint16) << 8 | part_map
    runs = enlarge(ids, tuple(target.tolist()))
    assert runs.starts[0] == 0
    assert (runs.ids[1:] != runs.ids[:-1]).all()
    assert (np.diff(runs.ends) > 0).all()
    painted, around = runs.painted(), np.pad(ids, 1, mode="edge")
    shifted = [nearest(around[y : y + size[0], x : x + size[1]], tuple(target)) for y in (0, 1, 2) for x in (0, 1, 2)]
    assert (painted == np.stack(shifted)).any(0).all()
    np.testing.assert_array_equal(runs.people().painted(), painted >> 8)


def test_a_disk_loses_its_stairs() -> None:
    true = disk(480, 0.4)
    ids = disk(80, 0.4).astype(np.uint16)
    stairs, smooth = (
        np.count_nonzero(m != true) for m in (nearest(ids, (480, 480)), enlarge(ids, (480, 480)).painted())
    )
    assert smooth < 0.5 * stairs


def test_a_border_that_climbs_slowly_becomes_a_line() -> None:
    y, x = np.mgrid[:30, :40] + 0.5
    ids = (y > 10 + x / 5).astype(np.uint16)
    y, x = (np.mgrid[:240, :320] + 0.5) / 8
    distance = np.abs(y - 10 - x / 5)
    inner = (x > 3) & (x < 37)
    wrong = enlarge(ids, (240, 320)).painted() != (y > 10 + x / 5)
    assert distance[wrong & inner].max() < 0.3  # pixels of the map; nearest neighbors miss by half a pixel


def test_straight_borders_stay_and_neighbors_share_them() -> None:
    ids = np.zeros((20, 20), np.uint16)
    ids[5:15, 4:10], ids[5:15, 10:16] = 1, 2
    painted = enlarge(ids, (60, 60)).painted()
    np.testing.assert_array_equal(painted[22:38], nearest(ids, (60, 60))[22:38])


def test_thin_lines_and_single_pixels_do_not_get_lost() -> None:
    ids = np.zeros((20, 20), np.uint16)
    ids[3, 2:18], ids[np.arange(8, 16), np.arange(8, 16)], ids[12, 4] = 1, 2, 3
    painted = enlarge(ids, (100, 100)).painted()
    assert (painted[17, 15:85] == 1).all()
    assert {1, 2, 3} <= set(np.unique(painted).tolist())


def test_without_enlargement_nothing_moves() -> None:
    part_map, person_map = random_maps(np.random.default_rng(3), (40, 50), people=3, parts=3)
    ids = person_map.astype(np.uint16) << 8 | part_map
    np.testing.assert_array_equal(enlarge(ids, (40, 50)).painted(), ids)
    np.testing.assert_array_equal(enlarge(ids, (17, 23)).painted(), nearest(ids, (17, 23)))
