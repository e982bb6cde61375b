"""Thins a polygon out by the algorithm of Ramer (1972) and of Douglas and Peucker (1973)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.id_runs import Ints
from service.responses.polygons import Polygon


def simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """Return some of a ring's points, so that the others lie within `tolerance` pixels of the new edges.

    Points at which the ring meets itself stay, so that the slit to a hole keeps having no width. A ring that would
    shrink to a line stays as it is.
    """
    points = np.reshape(polygon, (-1, 2))
    _, which, counts = np.unique(points @ (1 << 32, 1), return_inverse=True, return_counts=True)
    kept = counts[which] > 1
    kept[0] = True
    chain = np.concatenate([points, points[:1]])
    ends = np.append(np.flatnonzero(kept), len(points))
    pieces = list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
    while pieces:
        first, last = pieces.pop()
        if last - first < 2:
            continue
        apart = _distances(chain[first + 1 : last], chain[first], chain[last])
        if apart.max() > tolerance:
            middle = first + 1 + int(apart.argmax())
            kept[middle] = True
            pieces += [(first, middle), (middle, last)]
    return points[kept].ravel().tolist() if kept.sum() > 2 else polygon


def _distances(points: Ints, start: Ints, end: Ints) -> NDArray[np.float64]:
    """Return how far points [n, 2] are from the segment between two others, which may be one point."""
    way, from_start = end - start, points - start
    share = np.clip(from_start @ way / max(int(way @ way), 1), 0, 1)
    apart: NDArray[np.float64] = np.hypot(*(from_start - share[:, None] * way).T)
    return apart
