"""`Sample`, an image with its labels, independent of the data set.

A pixel's center is at integer coordinates; points are (x, y). Ids follow the sample's taxonomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import UserError

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


class DatasetError(UserError):
    """A data set cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its labels; n people.

    Unknown labels are marked in three ways, so that no loss takes them for "absent":
        a pixel is 255 in both maps (crowds, people without a mask); a pixel has a person but part 255 (unknown part of
        a known person); a joint has v = 0 and `joints_labelled` False.
    A joint with v = 0 and `joints_labelled` True is known to lie outside the image.
    """

    image: UInt8  # [H, W, 3] sRGB
    parts: UInt8  # [H, W], 0 background, 1..C part, 255 unknown
    people: UInt8  # [H, W], 0 nobody, i = row i-1 of the arrays below, 255 unknown
    keypoints: Float32  # [n, K, 3], x, y in pixels of `image`; v is 0 absent, 1 occluded, 2 visible
    joints_labelled: Bool  # [n, K], False: this joint was not annotated
    has_mask: Bool  # [n], False: no pixel carries this person's index, its region is 255
    pseudo_mask: Bool  # [n], True: a model made the mask; False for somebody without a mask
    boxes: Float32  # [n, 4], x0, y0, x1, y1 around the visible person; used if there is no mask
    key: str  # names the image within its data set
    source: str  # the collection it comes from

    def __post_init__(self) -> None:
        size, n = self.image.shape[:2], len(self.keypoints)
        if self.parts.shape != size or self.people.shape != size:
            raise DatasetError(
                f"{self.key}: image is {size}, parts {self.parts.shape}, people {self.people.shape}: "
                "the three must have one size; write the label maps again"
            )
        per_person = (self.joints_labelled, self.has_mask, self.pseudo_mask, self.boxes)
        if any(len(values) != n for values in per_person):
            raise DatasetError(f"{self.key}: the arrays about people differ in length; they need one row a person")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.parts.shape[0], self.parts.shape[1]


def mask_boxes(people: UInt8, count: int) -> Float32:
    """Return boxes [count, 4] (x0, y0, x1, y1) around the pixels of person 1..count; zeros if a person has none."""
    boxes = np.zeros((count, 4), np.float32)
    for row in range(count):
        mask = people == row + 1
        xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if xs.size:
            boxes[row] = xs[0], ys[0], xs[-1], ys[-1]
    return boxes
