"""Encodes the masks of all people and parts as COCO RLE (run-length encoding) in one pass over the runs of all ids.

pycocotools needs 250 ms for the masks of six people at 1080p, one by one. The counts equal byte for byte those of
pycocotools on the painted ids.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.id_runs import IdRuns, Ints

Box = tuple[int, int, int, int]  # x, y, width, height


class Mask(NamedTuple):
    """The mask of one id: number of pixels, tight box, and COCO's compressed counts (column-major)."""

    area: int
    box: Box
    counts: str


def encode(runs: IdRuns) -> dict[int, Mask]:
    """Encode the mask of every id but 0, in rising order of ids."""
    seen = np.flatnonzero(runs.ids)
    seen = seen[np.argsort(runs.ids[seen], kind="stable")]
    if not len(seen):
        return {}
    height, width = runs.size_image
    start, end = runs.starts[seen], runs.ends[seen]  # of each mask in turn
    ids, first, number = np.unique(runs.ids[seen], return_index=True, return_counts=True)
    area = np.add.reduceat(end - start, first)
    boxes = _boxes(start, end, first, height)
    counts = _counts(start, end, first, number, height * width)
    values = zip(ids.tolist(), area.tolist(), boxes, counts, strict=True)
    return {i: Mask(pixels, box, text) for i, pixels, box, text in values}


def _boxes(start: Ints, end: Ints, first: Ints, height: int) -> list[Box]:
    left, top = np.divmod(start, height)
    right, bottom = np.divmod(end - 1, height)
    several = left != right  # a run that goes on in the next column reaches both the lower and the upper edge
    top[several], bottom[several] = 0, height - 1
    x, y = np.minimum.reduceat(left, first), np.minimum.reduceat(top, first)
    x_end, y_end = np.maximum.reduceat(right, first) + 1, np.maximum.reduceat(bottom, first) + 1
    return list(zip(x.tolist(), y.tolist(), (x_end - x).tolist(), (y_end - y).tolist(), strict=True))


def _counts(start: Ints, end: Ints, first: Ints, number: Ints, pixels: int) -> list[str]:
    """Compressed counts of masks whose `number` runs each begin at `first`: off, on, off ... over all pixels."""
    gap = start.copy()
    gap[1:] -= end[:-1]
    gap[first] = start[first]
    tail = pixels - end[first + number - 1]  # [masks], written only where it is not 0
    lengths = 2 * number + (tail > 0)  # counts a mask
    begin = np.cumsum(lengths) - lengths
    counts = np.zeros(int(lengths.sum()), dtype=np.int64)
    at = np.repeat(begin - 2 * first, number) + 2 * np.arange(len(start))
    counts[at], counts[at + 1] = gap, end - start
    counts[(begin + 2 * number)[tail > 0]] = tail[tail > 0]
    return _compress(counts, begin)


def _compress(counts: Ints, begin: Ints) -> list[str]:
    """Write the counts of many masks in COCO's text form at once; mask m's counts start at `begin[m]`.

    From the fourth count on the difference to the count before the last one is written; each number as groups of 5
    bits, least significant first, a sixth bit telling that more follow, 48 added to make it printable.
    """
    position = np.arange(len(counts)) - np.repeat(begin, np.diff(np.append(begin, len(counts))))
    values = counts.copy()
    later = np.flatnonzero(position > 2)
    values[later] -= counts[later - 2]

    characters: list[NDArray[Any]] = []
    written: list[NDArray[np.bool_]] = []
    open_ = np.ones(len(values), dtype=np.bool_)
    while open_.any():
        low = values & 31
        values >>= 5
        more = np.where(low & 16, values != -1, values != 0)
        characters.append((low + 32 * more + 48).astype(np.uint8))
        written.append(open_)
        open_ = open_ & more
    used = np.stack(written, axis=1)  # [counts, groups]
    text = np.stack(characters, axis=1)[used].tobytes().decode("ascii")
    ends = np.cumsum(np.add.reduceat(used.sum(axis=1), begin)).tolist()
    return [text[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
