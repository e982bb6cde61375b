"""Converts masks to COCO polygons that keep every component and every hole.

A corner is a grid point whose four neighboring cells do not form a straight edge. Sorted along a row, corners pair up
into horizontal edges; sorted along a column, into vertical ones; following the two in turn closes every ring. No pixel
center is approximated: a polygon covers exactly the pixels of its mask.

COCO has no holes in polygons. A hole is therefore cut open: a slit of no width leads from the outline to the hole, and
back after its border. By the even-odd and the nonzero rule alike, and in pycocotools, the pixels are those of the mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.id_runs import Ids, Ints
from service.responses.masks import Box

Polygon = list[int]  # x1, y1, x2, y2, ... of pixel corners: 0 is the image's left or top edge
Points = list[tuple[int, int]]


def polygons(ids: Ids, id_: int, box: Box) -> list[Polygon]:
    """Return one polygon per connected component (by edges, not corners) of an id inside its `box`.

    `ids` is [height, width]; box and polygons are in its pixels.
    """
    left, top, width, height = box
    mask = np.pad(ids[top : top + height, left : left + width] == id_, 1)
    rings = _rings(mask)
    # A ring's first corner is its topmost, and the cell to the lower right of it is on for an outline, off for a hole.
    outlines: list[Points] = [_points(r) for r in rings if mask[r[0, 1], r[0, 0]]]
    for hole in (r for r in rings if not mask[r[0, 1], r[0, 0]]):  # from top to bottom
        _cut_open(outlines, _points(hole), mask)
    return [[v for x, y in outline for v in (x + left - 1, y + top - 1)] for outline in outlines]


def _points(ring: Ints) -> Points:
    return [(x, y) for x, y in ring.tolist()]


def _cut_open(outlines: list[Points], hole: Points, mask: NDArray[np.bool_]) -> None:
    """Join a hole, in place, to the outline that its topmost corner sees straight above."""
    x, y = hole[0]
    above = y
    while mask[above - 1, x]:
        above -= 1
    # The edge there is an outline's, or that of a hole higher up, which is part of an outline by now.
    for outline in outlines:
        for i, ((x_1, y_1), (x_2, y_2)) in enumerate(zip(outline, [*outline[1:], outline[0]], strict=True)):
            if y_1 == y_2 == above and min(x_1, x_2) <= x < max(x_1, x_2):
                outline[i + 1 : i + 1] = [(x, above), *hole, hole[0], (x, above)]
                return


def _rings(mask: NDArray[np.bool_]) -> list[Ints]:
    """Trace the closed rings of (x, y) corners of a mask whose border cells are all off.

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
    """Return the other end of each corner's edge: every two successive corners of `order` share one."""
    partner = np.empty(len(order), dtype=np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner.tolist()
