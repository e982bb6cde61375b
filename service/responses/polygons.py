"""Outlines of masks that keep every component and every hole.

A corner is a grid point whose four neighbouring cells do not form a straight edge. Sorted along a row, corners pair up
into horizontal edges; sorted along a column, into vertical ones; following the two in turn closes every ring. No pixel
centre is approximated: a polygon covers exactly the pixels of its mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.parsing.id_grid import IdGrid, Ints
from service.responses.masks import Box

Ring = list[int]  # x1, y1, x2, y2, ... of pixel corners: 0 is the image's left or top edge
Polygon = list[Ring]  # the outline, then its holes


def polygons(grid: IdGrid, id_: int, box: Box) -> list[Polygon]:
    """One polygon for each connected component (by edges, not corners) of an id inside its `box` in image pixels."""
    x, y, width, height = box
    left, right = np.searchsorted(grid.x_starts, (x, x + width))
    top, bottom = np.searchsorted(grid.y_starts, (y, y + height))
    mask = np.pad(grid.ids[top:bottom, left:right] == id_, 1)
    corners = _rings(mask)
    # A corner at padded index i lies at grid line i - 1 of the crop.
    rings = [np.stack([grid.x_starts[r[:, 0] + left - 1], grid.y_starts[r[:, 1] + top - 1]], 1) for r in corners]
    outlines = [k for k, r in enumerate(corners) if mask[r[0, 1], r[0, 0]]]
    holes = [k for k, r in enumerate(corners) if not mask[r[0, 1], r[0, 0]]]
    result = {k: [rings[k].ravel().tolist()] for k in outlines}
    for k in holes:
        # The cell above a hole's first corner belongs to the component around it.
        point = corners[k][0, 0] + 0.5, corners[k][0, 1] - 0.5
        around = [o for o in outlines if _contains(corners[o], point)]
        owner = min(around, key=lambda o: _area(corners[o]))
        result[owner].append(rings[k].ravel().tolist())
    return list(result.values())


def _rings(mask: NDArray[np.bool_]) -> list[Ints]:
    """Closed rings of (x, y) corners of a mask whose border cells are all off.

    A ring begins at the leftmost of its topmost corners: the cell to its lower right is on for an outline, off for a
    hole.
    """
    nw, ne, sw, se = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    odd = nw ^ ne ^ sw ^ se
    falling = nw & se & ~ne & ~sw  # two cells that touch at a corner only: two corners at one point
    rising = ne & sw & ~nw & ~se
    number = odd + 2 * (falling | rising).astype(np.int8)
    y, x = np.repeat(np.argwhere(number), number[number > 0], axis=0).T + 1
    if not len(x):
        return []
    twin = np.zeros(len(x), dtype=np.int64)  # 1 for the second corner at a point: it owns the edge to the right
    twin[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    # Of two corners at a point, the one with the edge to the left also has the upper edge, where the cells fall.
    vertical_twin = np.where(rising[y - 1, x - 1], 1 - twin, twin)
    across = _partners(np.lexsort((twin, x, y)))
    down = _partners(np.lexsort((vertical_twin, y, x)))

    rings: list[Ints] = []
    open_ = [True] * len(x)
    points = np.stack([x, y], axis=1)
    for first in range(len(x)):  # argwhere's order: topmost, then leftmost
        if not open_[first]:
            continue
        ring, at = [], first
        while open_[at]:
            beside = across[at]
            ring += [at, beside]
            open_[at] = open_[beside] = False
            at = down[beside]
        rings.append(points[ring])
    return rings


def _partners(order: Ints) -> list[int]:
    """For each corner the other end of its edge, where every two successive ones of `order` share an edge."""
    partner = np.empty(len(order), dtype=np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner.tolist()


def _area(ring: Ints) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _contains(ring: Ints, point: tuple[float, float]) -> bool:
    """Whether a ray from the point to the left crosses an odd number of the ring's vertical edges."""
    x, y = ring.T
    y_next = np.roll(y, -1)
    crossed = (x < point[0]) & ((y > point[1]) != (y_next > point[1]))
    return bool(crossed.sum() % 2)
