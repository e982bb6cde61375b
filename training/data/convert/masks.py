"""Decode masks of annotation tools: polygons, COCO's run-length encoding (RLE), Label Studio's brush."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco

from training.data.samples import Bool, DatasetError, UInt8

CHANNELS = 4  # a brush stroke is an RGBA picture whose last channel is the stroke


def polygon_mask(polygons: list[list[float]], size: tuple[int, int]) -> Bool:
    """Rasterize polygons, each x0, y0, x1, y1, ... from the image's upper left corner, to one mask [H, W].

    Raises DatasetError for a polygon of fewer than three points.
    """
    if not polygons or any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise DatasetError("a polygon needs at least three points of x and y")
    runs = coco.frPyObjects([[float(v) for v in polygon] for polygon in polygons], *size)
    return coco.decode(coco.merge(runs)).astype(bool)


def coco_mask(segmentation: Any, size: tuple[int, int]) -> Bool:
    """Decode a COCO `segmentation`, polygons or RLE (compressed or not), to a mask [H, W]; else raise DatasetError."""
    if isinstance(segmentation, list):
        return polygon_mask(segmentation, size)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise DatasetError("its segmentation is neither polygons nor RLE")
    if list(segmentation["size"]) != list(size):
        raise DatasetError(f"its RLE is of {list(segmentation['size'])} pixels, not of {list(size)}")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        if sum(counts) != size[0] * size[1]:
            raise DatasetError(f"its RLE covers {sum(counts)} pixels of {size[0] * size[1]}")
        segmentation = coco.frPyObjects(segmentation, *size)
    try:
        return coco.decode(segmentation).astype(bool)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"its RLE cannot be decoded ({error})") from error


def brush_mask(rle: list[int], size: tuple[int, int]) -> Bool:
    """Decode Label Studio's `value.rle` to a mask [H, W]. Raises DatasetError if it is truncated or of another size.

    The bytes are a bit stream, most significant first: the number of values (32 bits), the width of a value minus one
    (5), four widths of run lengths minus one (4 each). Then packets: a bit that tells a run from literals, the index of
    the length's width (2), the length minus one, and one value or as many as the length.
    Source: thi.ng/rle-pack, which Label Studio uses.
    """
    try:
        values = _unpack(bytes(rle), size[0] * size[1] * CHANNELS)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"its brush stroke cannot be decoded ({error}); export it again") from error
    return values.reshape(*size, CHANNELS)[:, :, -1] > 0


def _unpack(data: bytes, expected: int) -> UInt8:
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(width: int) -> int:
        nonlocal place
        place += width
        if place > len(bits):
            raise ValueError("it ends too early")
        return int(bits[place - width : place], 2)

    total = read(32)
    if total != expected:
        raise ValueError(f"it is of {total // CHANNELS} pixels, the image of {expected // CHANNELS}")
    word = read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeated, length = read(1), read(widths[read(2)]) + 1
        if repeated:
            values[done : done + length] = read(word)
        else:
            values[done : done + length] = [read(word) for _ in range(min(length, total - done))]
        done += length
    return values
