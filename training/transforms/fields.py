"""Target fields on the grid of cells: heatmaps, offsets, projection field, limbs and centers.

Everything is in cells: joints are (x, y) with a cell's center at integers. Shapes: n people, K joints, L limbs, h x w
cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from training.data.samples import Bool, Float32, UInt8

Float16 = NDArray[np.float16]  # of offsets: at most R cells, hence exact to 1/128 cell

Size = tuple[int, int]  # height, width in cells


def joint_maps(joints: Float32, present: Bool, size: Size, radius: float) -> tuple[UInt8, Float16]:
    """Render the heatmaps M and offsets O of Eq. 8.

    Args:
        joints: [n, K, 2] positions of each person's joints.
        present: [n, K], which of them exist.
        size: h, w.
        radius: R in cells.

    Returns the heatmaps [K, h, w], 1 within R of any joint of class k, and there the offsets [K, 2, h, w] from a cell
    to the nearest joint of class k (elsewhere 0).
    """
    (h, w), classes = size, joints.shape[1]
    reach = int(radius + 0.5)  # a disk fits into this many cells around the rounded joint
    margin = reach + 1
    # With a margin on all sides, windows need no clipping at the border.
    nearest = np.full((classes, h + 2 * margin, w + 2 * margin), np.inf, np.float32)  # squared distances
    offsets = np.zeros((classes, 2, h + 2 * margin, w + 2 * margin), np.float16)
    window = np.arange(-reach, reach + 1)
    for points, exists in zip(joints, present, strict=True):  # within one person no two windows are of one class
        k = np.flatnonzero(exists)
        points = points[k]  # [m, 2]
        center = np.clip(np.rint(points), -1, [w, h]).astype(int)
        columns, rows = center[:, :1] + window, center[:, 1:] + window  # [m, win]
        dx, dy = points[:, :1] - columns, points[:, 1:] - rows
        distance = (dy**2)[:, :, None] + (dx**2)[:, None, :]  # [m, win, win]
        index = (k[:, None, None], rows[:, :, None] + margin, columns[:, None, :] + margin)
        closer = (distance <= radius**2) & (distance < nearest[index])
        nearest[index] = np.where(closer, distance, nearest[index])
        for axis, delta in ((0, dx[:, None, :]), (1, dy[:, :, None])):
            at = (index[0], axis, *index[1:])
            offsets[at] = np.where(closer, delta, offsets[at])
    inner = slice(margin, margin + h), slice(margin, margin + w)
    return np.isfinite(nearest[:, *inner]).astype(np.uint8), offsets[:, :, *inner]


def projection_map(people: UInt8, joints: Float32, present: Bool) -> tuple[Float32, UInt8]:
    """Render the dense-to-sparse projection field D: from a person's cell to the nearest joint of the same person.

    Args:
        people: [h, w], 0 nobody, i = person i-1, 255 unknown.
        joints: [n, K, 2] positions of each person's joints.
        present: [n, K], which of them exist.

    Returns the field [2, h, w] and its weight [h, w]: 1 on people with at least one joint, elsewhere both 0.
    """
    field = np.zeros((2, *people.shape), np.float32)
    weight = np.zeros(people.shape, np.uint8)
    for person, (points, exists) in enumerate(zip(joints, present, strict=True), start=1):
        rows, columns = np.nonzero(people == person)
        points = points[exists]  # [m, 2]
        if rows.size and len(points):
            dx = points[:, 0] - columns[:, None].astype(np.float32)  # [cells, m]
            dy = points[:, 1] - rows[:, None].astype(np.float32)
            best = (np.arange(rows.size), np.argmin(dx**2 + dy**2, axis=1))
            field[0, rows, columns], field[1, rows, columns] = dx[best], dy[best]
            weight[rows, columns] = 1
    return field, weight


def limb_maps(joints: Float32, present: Bool, limbs: Sequence[tuple[int, int]], size: Size, sigma: float) -> Float32:
    """Render the limb maps Q [L, h, w] in [0, 1]; the largest response if limbs of several people meet.

    The response is exp(-d^2 / (2 sigma^2)), d being the distance to the *segment* between a limb's joints: 1 along the
    limb, a Gaussian of width `sigma` (cells) across it, and round caps past its ends; 0 beyond three sigma.

    Differs from the paper: "elliptical Gaussian" leaves the ellipse's axes open; one whose response falls off along
    the limb would make the mean response depend on the limb's length.
    """
    maps = np.zeros((len(limbs), *size), np.float32)
    starts, ends = np.array(limbs, int).T  # [L]
    reach = 3 * sigma
    for points, exists in zip(joints, present, strict=True):
        known = np.flatnonzero(exists[starts] & exists[ends])
        if not known.size:
            continue
        a, b = points[starts[known]], points[ends[known]]  # [m, 2]
        both = np.concatenate([a, b])
        x0, y0 = np.maximum(np.floor(both.min(axis=0) - reach), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(both.max(axis=0) + reach) + 1, size[::-1]).astype(int)
        x = np.arange(x0, x1, dtype=np.float32) - a[:, :1]  # [m, w']
        y = np.arange(y0, y1, dtype=np.float32) - a[:, 1:]  # [m, h']
        direction = b - a
        square = np.maximum((direction**2).sum(axis=1, keepdims=True), 1e-6)
        # Position along the limb, 0 at its start and 1 at its end; linear, so a sum of a row and a column.
        along = (x * (direction[:, :1] / square))[:, None, :] + (y * (direction[:, 1:] / square))[:, :, None]
        np.clip(along, 0, 1, out=along)  # [m, h', w']
        dx = x[:, None, :] - along * direction[:, :1, None]
        dy = y[:, :, None] - along * direction[:, 1:, None]
        distance = dx**2 + dy**2
        response = np.where(distance < reach**2, np.exp(distance * (-0.5 / sigma**2)), 0)
        area = maps[:, y0:y1, x0:x1]
        area[known] = np.maximum(area[known], response)
    return maps


def center_maps(joints: Float32, present: Bool, size: Size) -> tuple[UInt8, Float32]:
    """Render people's centers and the vectors from cells to their joints, as a perfect network predicts them.

    Args:
        joints: [n, K, 2] positions of each person's joints.
        present: [n, K], which of them exist; the center is the middle of the box around them.
        size: h, w.

    Returns the centers [1, h, w], 1 at the cell of each, and the vectors [K, 2, h, w] from a cell to the joints of the
    person with the nearest center; for absent joints, to the center.
    """
    center = np.zeros((1, *size), np.uint8)
    ways = np.zeros((joints.shape[1], 2, *size), np.float32)
    nearest = np.full(size, np.inf, np.float32)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    for points, exists in zip(joints, present, strict=True):
        if not exists.any():
            continue
        middle = (points[exists].min(axis=0) + points[exists].max(axis=0)) / 2
        column, row = np.clip(np.rint(middle), 0, (size[1] - 1, size[0] - 1)).astype(int)
        center[0, row, column] = 1
        distance = np.hypot(x - column, y - row)
        targets = np.where(exists[:, None], points, middle)[:, :, None, None]  # [K, 2, 1, 1]
        ways = np.where(distance < nearest, targets - np.stack((x, y)), ways)
        nearest = np.minimum(distance, nearest)
    return center, ways.astype(np.float32)


def dilate(mask: Bool, reach: int) -> Bool:
    """Dilate `mask` [h, w] by a square of 2 * `reach` + 1 cells."""
    dilated: Bool = maximum_filter(mask, 2 * reach + 1, mode="constant")
    return dilated
