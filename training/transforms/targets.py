"""Training targets of labelled canvases, and batches of them.

Cell (x, y) of the stride-4 grid has its center at canvas coordinates (4 x + 1.5, 4 y + 1.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import STRIDE, DecoderConfig
from model.errors import InputError
from model.taxonomy import IGNORE, Taxonomy
from training.data.samples import Bool, Float32, Sample, UInt8
from training.transforms.fields import Float16, center_maps, dilate, joint_maps, limb_maps, projection_map
from training.transforms.part_weights import part_weights

LIMB_SIGMA = 9 / 32  # of the radius R: section 3.3 has 9 and 32 pixels, and small canvases need less of both
MAX_PEOPLE = 32  # rows of `Targets.joints`
_FIRST_CELL = np.float32((STRIDE - 1) / 2)  # center of cell 0, in canvas pixels


class Targets(NamedTuple):
    """Targets of one canvas, for C parts, K joints and L limbs. Weights are 0 if the label is unknown, else 1.

    Those of parts may differ from 1 (see `part_weights`).
    """

    parts: UInt8  # [H, W], 0 background, 1..C, 255 unknown
    part_weight: Float16  # [H, W]
    heatmap: UInt8  # [K, h, w], 1 within R of a joint of class k
    heatmap_weight: UInt8  # [K, h, w]
    offsets: Float16  # [K, 2, h, w] in cells, to the nearest joint of class k; valid where `heatmap` is 1
    projection: Float16  # [2, h, w] in cells, to the nearest joint of the same person
    projection_weight: UInt8  # [h, w]
    limbs: Float16  # [L, h, w] in [0, 1]
    limb_weight: UInt8  # [L, h, w]
    joints: Float32  # [32, K, 3], x, y in canvas pixels, v; the first `person_count` rows are people
    boxes: Float32  # [32, 4], x0, y0, x1, y1 of the people, in canvas pixels
    person_count: NDArray[np.int64]  # []


def ideal_centers(targets: Targets) -> tuple[UInt8, Float32]:
    """Return `fields.center_maps` of the people of `targets`."""
    joints = targets.joints[: int(targets.person_count)]
    xy_cell = (joints[:, :, :2] - _FIRST_CELL) / np.float32(STRIDE)
    return center_maps(xy_cell, joints[:, :, 2] > 0, targets.heatmap.shape[1:])


class Batch(NamedTuple):
    """The tensors of `Targets` with a leading batch axis, after the canvases."""

    image: Tensor  # uint8 [B, H, W, 3]
    parts: Tensor
    part_weight: Tensor
    heatmap: Tensor
    heatmap_weight: Tensor
    offsets: Tensor
    projection: Tensor
    projection_weight: Tensor
    limbs: Tensor
    limb_weight: Tensor
    joints: Tensor
    boxes: Tensor
    person_count: Tensor


def encode(
    sample: Sample,
    taxonomy: Taxonomy,
    config: DecoderConfig,
    pseudo_mask_weight: float = 1.0,
    boundary_weight: float = 1.0,
) -> Targets:
    """Encode a canvas as targets. Raises InputError if a side is no multiple of the stride.

    `pseudo_mask_weight` and `boundary_weight` are those of `part_weights`. Unknown labels have weight 0: heatmaps and
    limbs in ignore regions outside every labelled joint's disk, and around a person the heatmap of each joint that is
    not labelled, with the limbs that end in it. A limb that the canvas cuts is unknown as well. "Around" is the
    person's mask (its box, without a mask), dilated by R, because the disk of an unlabelled joint may reach that far.
    """
    height, width = sample.size
    if height % STRIDE or width % STRIDE:
        raise InputError(f"{sample.key}: canvas {height}x{width} is not a multiple of {STRIDE}; choose one that is")
    size = (height // STRIDE, width // STRIDE)
    joints = (sample.keypoints[:, :, :2] - _FIRST_CELL) / np.float32(STRIDE)  # [n, K, 2], canvas pixels to cells
    present = sample.keypoints[:, :, 2] > 0
    people = sample.people[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]  # [h, w]
    radius = config.radius / STRIDE

    heatmap, offsets = joint_maps(joints, present, size, radius)
    projection, projection_weight = projection_map(people, joints, present)
    limbs = limb_maps(joints, present, taxonomy.limbs, size, LIMB_SIGMA * radius)

    known = (people != IGNORE).astype(np.uint8)  # [h, w]
    heatmap_weight = np.repeat(known[None], len(heatmap), axis=0)
    limb_weight = np.repeat(known[None], len(limbs), axis=0)
    starts, ends = np.array(taxonomy.limbs).T
    for row, labelled in enumerate(sample.joints_labelled):
        # A limb is known whole, or known to be outside.
        both = labelled[starts] & labelled[ends] & (present[row, starts] == present[row, ends])
        if not (labelled.all() and both.all()):
            elsewhere = ~dilate(_region(sample, row, people), round(radius))
            heatmap_weight[~labelled] &= elsewhere
            limb_weight[~both] &= elsewhere

    limb_weight[limbs > 0.5] = 1
    count = min(len(joints), MAX_PEOPLE)
    padded = np.zeros((MAX_PEOPLE, *sample.keypoints.shape[1:]), np.float32)
    padded[:count] = sample.keypoints[:count]
    boxes = np.zeros((MAX_PEOPLE, 4), np.float32)
    boxes[:count] = sample.boxes[:count]
    return Targets(
        parts=sample.parts,
        part_weight=part_weights(sample, pseudo_mask_weight, boundary_weight),
        heatmap=heatmap,
        heatmap_weight=heatmap_weight | heatmap,
        offsets=offsets,
        projection=projection.astype(np.float16),
        projection_weight=projection_weight,
        limbs=limbs.astype(np.float16),
        limb_weight=limb_weight,
        joints=padded,
        boxes=boxes,
        person_count=np.array(count),
    )


def _region(sample: Sample, row: int, people: UInt8) -> Bool:
    """Return the cells [h, w] of a person's mask, or of its box if there is no mask."""
    if sample.has_mask[row]:
        return people == row + 1
    x0, y0, x1, y1 = (sample.boxes[row] / STRIDE).astype(int)
    region = np.zeros(people.shape, bool)
    region[y0 : y1 + 1, x0 : x1 + 1] = True
    return region


def collate(items: Sequence[tuple[UInt8, Targets]]) -> Batch:
    """Stack items into tensors of the same types."""
    columns = zip(*((image, *targets) for image, targets in items), strict=True)
    return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))
