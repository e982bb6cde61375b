"""Polygons of few points, close to those of many."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon

from model.contours import enlarge
from model.id_runs import IdRuns
from service.responses.masks import encode
from service.responses.polygons import polygons
from service.responses.simplify import simplified


def blob(seed: int) -> np.ndarray:
    """A smooth outline with a hole, at a third of the size of what it is enlarged to."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 28 + 8 * np.sin(3 * angle + rng.uniform(0, 6)) + 4 * np.sin(5 * angle + rng.uniform(0, 6))
    outline = np.stack([50 + radius * np.sin(angle), 50 + radius * np.cos(angle)], axis=1)
    mask = polygon2mask((100, 100), outline)
    mask[44:56, 42:58] = False
    return mask.astype(np.uint16)


def distances(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """How far points are from the nearest edge of a ring."""
    start, way = ring[None], np.roll(ring, -1, axis=0)[None] - ring[None]
    share = ((points[:, None] - start) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-9)
    foot = start + np.clip(share, 0, 1)[..., None] * way
    return np.linalg.norm(points[:, None] - foot, axis=-1).min(axis=1)


@pytest.mark.parametrize("tolerance", [0.8, 1.5, 4.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_point_is_farther_than_the_tolerance(seed: int, tolerance: float) -> None:
    runs: IdRuns = enlarge(blob(seed), (300, 300))
    (before,) = polygons(runs.painted(), 1, encode(runs)[1].box)
    after = simplified(before, tolerance)
    points, fewer = np.reshape(before, (-1, 2)), np.reshape(after, (-1, 2))
    assert set(map(tuple, fewer.tolist())) <= set(map(tuple, points.tolist()))
    assert 4 < len(fewer) < len(points) / (2 if tolerance < 1 else 8)
    assert distances(points, fewer).max() <= tolerance + 1e-9
    # The slit to the hole: the same two points on the way there and back.
    corners, counts = np.unique(fewer, axis=0, return_counts=True)
    assert len(corners[counts > 1]) == 2


@pytest.mark.parametrize("seed", range(4))
def test_an_open_line_keeps_the_points_that_scikit_image_keeps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    line = np.stack([np.arange(0, 200, 2), rng.integers(0, 997, 100)], axis=1)
    there_and_back = np.concatenate([line, line[-2:0:-1]])  # every inner point twice would stay
    there_and_back[100:] += (0, 4000)  # far off
    kept = np.reshape(simplified(there_and_back.ravel().tolist(), 300.0), (-1, 2)).tolist()
    expected = approximate_polygon(np.vstack([there_and_back, there_and_back[:1]]), 300.0)[:-1].tolist()
    assert kept == expected


def test_what_would_become_a_line_stays() -> None:
    pixel, thread = [3, 3, 4, 3, 4, 4, 3, 4], [0, 0, 9, 0, 9, 1, 0, 1]
    assert simplified(pixel, 1.5) == pixel
    assert simplified(thread, 1.5) == thread
