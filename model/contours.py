"""Enlarges a map of ids with smooth contours instead of a pixel's stairs.

The borders between ids form one graph of unit edges between the map's pixels. Its vertices move to the middle of their
neighbors, again and again, but less than half a pixel of the map: only so far that stairs of one pixel of the enlarged
image stay. This is the constrained surface net of Gibson (1998). Neighbors share the border between them, so they
neither overlap nor gape. Each column of the image has a run begin where it cuts a border; pixels inside of a region
cost nothing. Torch-free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.id_runs import IdRuns, Ids, Ints, joined
from model.manifest import Size

ROUNDS = 8  # of smoothing: what is left of a border that climbs one pixel in eight is a tenth of a pixel

Float = NDArray[np.float32]


def enlarge(ids: Ids, size_image: Size) -> IdRuns:
    """Return the runs of an id map [h, w] at another size; at the same or a smaller one the borders stay."""
    (height, width), (h, w) = size_image, ids.shape
    borders = _borders(ids)
    x, y = _smoothed(borders, ids.shape, size_image)
    # From pixel corners of the map to pixel centers of the image.
    x, y = x * np.float32(width / w) - np.float32(0.5), y * np.float32(height / h) - np.float32(0.5)
    column, row, crossed = _cuts(x[borders.a], y[borders.a], x[borders.b], y[borders.b])
    swapped = x[borders.a[crossed]] > x[borders.b[crossed]]
    first, second = borders.first[crossed], borders.second[crossed]
    above, below = np.where(swapped, second, first), np.where(swapped, first, second)

    edges = np.ceil(np.arange(w + 1, dtype=np.float32) * np.float32(width / w) - np.float32(0.5)).astype(np.int64)
    source = np.repeat(np.arange(w), np.diff(edges))  # [width], the map's column at the image's upper and lower edge
    top, bottom = ids[0, source].astype(np.int64), ids[-1, source].astype(np.int64)
    start = np.append(column * height + np.clip(row, 0, height), np.arange(width) * height)
    step = np.append(below - above, top - np.append(0, bottom[:-1]))
    return _runs(start, step, np.append(below, top), size_image)


class _Borders(NamedTuple):
    """Edges a to b between pixels of different ids; `first` is the id to the left of the way from a to b."""

    vertices: Ints  # [v], corners of pixels, as y * (w + 1) + x
    a: Ints  # [e], index into vertices
    b: Ints
    first: Ints
    second: Ints


def _borders(ids: Ids) -> _Borders:
    h, w = ids.shape
    flat = ids.ravel().astype(np.int64)
    level = np.flatnonzero(ids[1:] != ids[:-1])  # pixels above a level edge, which goes to the right
    upright = np.flatnonzero(ids[:, 1:] != ids[:, :-1])  # of rows of w - 1 pixels, left of an edge that goes down
    row = upright // max(w - 1, 1)
    a = np.append(level + level // w + w + 1, upright + 2 * row + 1)
    b = np.append(level + level // w + w + 2, upright + 2 * row + w + 2)
    left = upright + row
    first, second = np.append(flat[level], flat[left + 1]), np.append(flat[level + w], flat[left])
    used = np.zeros((h + 1) * (w + 1), np.bool_)
    used[a] = used[b] = True
    vertices = np.flatnonzero(used)
    number = np.empty(len(used), np.int64)
    number[vertices] = np.arange(len(vertices))
    return _Borders(vertices, number[a], number[b], first, second)


def _smoothed(borders: _Borders, size: tuple[int, ...], size_image: Size) -> tuple[Float, Float]:
    """Positions x, y [v] of the vertices; those at the edge of the map stay."""
    h, w = size
    count = len(borders.vertices)
    y, x = np.divmod(borders.vertices, w + 1)
    degree = np.bincount(borders.a, minlength=count) + np.bincount(borders.b, minlength=count)
    fixed = (x == 0) | (x == w) | (y == 0) | (y == h)
    pull = np.where(fixed, 0, 0.5 / np.maximum(degree, 1))
    result = []
    for origin, side, side_image in ((x, w, size_image[1]), (y, h, size_image[0])):
        place = origin.astype(float)
        reach = max(0.0, 0.5 - 0.5 * side / side_image)
        low, high = place - reach, place + reach
        for _ in range(ROUNDS):
            way = place[borders.b] - place[borders.a]
            way = np.bincount(borders.a, way, count) - np.bincount(borders.b, way, count)
            place = np.clip(place + pull * way, low, high)
        result.append(place.astype(np.float32))
    return result[0], result[1]


def _cuts(x_a: Float, y_a: Float, x_b: Float, y_b: Float) -> tuple[Ints, Ints, Ints]:
    """Where edges cut columns of pixel centers: column, first row below the cut, and the edge, [n] each."""
    begin = np.ceil(np.minimum(x_a, x_b)).astype(np.int64)
    number = np.ceil(np.maximum(x_a, x_b)).astype(np.int64) - begin
    edge = np.repeat(np.arange(len(number)), number)
    column = np.arange(len(edge)) + np.repeat(begin - (np.cumsum(number) - number), number)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (y_b - y_a) / (x_b - x_a)
    row = np.ceil(y_a[edge] + (column - x_a[edge]) * slope[edge]).astype(np.int64)
    return column, row, edge


def _runs(start: Ints, step: Ints, below: Ints, size_image: Size) -> IdRuns:
    """Runs of unordered cuts: at the pixel `start` the id changes by `step`, to `below` if no borders have crossed.

    Where they have, in slivers too thin for their pixels, a sum of steps may be no id; the run before goes on there.
    """
    order = np.argsort(start, kind="stable")
    start, step, below = start[order], step[order], below[order]
    first = np.flatnonzero(np.append(True, start[1:] != start[:-1]))  # of the cuts at a pixel
    number = np.diff(np.append(first, len(start)))
    ids = np.cumsum(step)[first + number - 1]
    true = np.logical_or.reduceat(below == np.repeat(ids, number), first)
    ids = ids[np.maximum.accumulate(np.where(true, np.arange(len(ids)), 0))]
    inside = start[first] < size_image[0] * size_image[1]
    return joined(ids[inside].astype(np.uint16), start[first][inside], size_image)
