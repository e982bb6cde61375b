"""Training targets of labelled canvases, and batches of them.

Cell (x, y) of the stride-4 grid has its center at canvas coordinates (4 x + 1.5, 4 y + 1.5).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from model.config import STRIDE, DecoderConfig
from model.errors import InputError
from model.letterbox import LETTERBOX_COLOR
from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.config.train_config import TrainConfig
from training.data.datasets.base import SYNTHETIC, ImageDataset
from training.data.samples import Bool, DatasetError, Float32, Sample, UInt8
from training.transforms.augment import Augmentation, augment
from training.transforms.copy_paste import copy_paste
from training.transforms.fields import Float16, center_maps, dilate, joint_maps, limb_maps, projection_map

LIMB_SIGMA = 9 / 32  # of the radius R: section 3.3 has 9 and 32 pixels, and small canvases need less of both
MAX_PEOPLE = 32  # rows of `Targets.joints`
_FIRST_CELL = np.float32((STRIDE - 1) / 2)  # center of cell 0, in canvas pixels
TOLERATED = 16  # so many unreadable images never end a run


class Targets(NamedTuple):
    """Targets of one canvas, for C parts, K joints and L limbs. Weights are 1 if the label is known, else 0."""

    parts: UInt8  # [H, W], 0 background, 1..C, 255 unknown
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


def encode(sample: Sample, taxonomy: Taxonomy, config: DecoderConfig) -> Targets:
    """Encode a canvas as targets. Raises InputError if a side is no multiple of the stride.

    Unknown labels have weight 0: heatmaps and limbs in ignore regions outside every labelled joint's disk, and around
    a person the heatmap of each joint that is not labelled, with the limbs that end in it. A limb that the canvas cuts
    is unknown as well. "Around" is the person's mask (its box, without a mask), dilated by R, because the disk of an
    unlabelled joint may reach that far.
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


class SampleSpec(NamedTuple):
    """An image of an epoch, and the canvas size it is shown at."""

    epoch: int
    image: int  # index
    canvas: tuple[int, int] | None = None  # size; without, that of the configuration


Indices = NDArray[np.int_]


class TrainingSet(Dataset[tuple[UInt8, Targets]]):
    """The samples of each epoch, their order and augmentation: a function of (seed, epoch, image) alone.

    An epoch has every human-annotated image once and a random `config.pseudo_label_fraction` of those with
    pseudo-labels. It adds a random subset of the synthetic ones so that they make up `config.synthetic_fraction` of
    all. If there are no real or no synthetic images, all others are used. Item (epoch, index) is the augmented canvas
    of image `index` of the data set and its targets (see `SampleSpec`). With probability `config.copy_paste_prob`,
    people of another image of the epoch are pasted into it: of a real image if there are any, never of one outside of
    `indices`. An image that cannot be read is reported and becomes a canvas without known labels. Its DatasetError
    ends the run if `strict`, or if most images cannot be read.

    Raises InputError if a fraction or probability is out of range.
    """

    def __init__(
        self, dataset: ImageDataset, indices: Sequence[int], config: TrainConfig, strict: bool = False
    ) -> None:
        self.dataset, self.config, self.strict = dataset, config, strict
        self.indices = list(indices)
        self.augmentation = Augmentation(
            hflip_prob=config.hflip_prob, scale=config.scale, rotation=config.rotation, color_jitter=config.color_jitter
        )
        share = config.synthetic_fraction
        if not 0 <= share < 1:
            raise InputError(f"synthetic_fraction={share}: use a share from 0 to below 1 of an epoch's samples")
        for name, value in (
            ("pseudo_label_fraction", config.pseudo_label_fraction),
            ("copy_paste_prob", config.copy_paste_prob),
        ):
            if not 0 <= value <= 1:
                raise InputError(f"{name}={value}: use a number from 0 to 1")
        chosen = np.array(indices, int)
        rendered = np.array([dataset.records[i].source == SYNTHETIC for i in indices], bool)
        human = np.array([dataset.records[i].ground_truth for i in indices], bool)
        self._real, self._rendered = chosen[~rendered], chosen[rendered]
        self._human, self._taught = chosen[~rendered & human], chosen[~rendered & ~human]
        self._shows_people = np.array([not record.negative for record in dataset.records], bool)  # all images
        self._taught_drawn = round(len(self._taught) * config.pseudo_label_fraction)
        self._drawn = len(self._rendered)
        if self._real.size:
            real = len(self._human) + self._taught_drawn
            self._drawn = min(self._drawn, round(real * share / (1 - share)))
        if not len(self) and self._taught.size:
            raise InputError(
                f"pseudo_label_fraction={config.pseudo_label_fraction} leaves no image to train on: use a larger one"
            )
        self._read, self._unreadable = 0, set[int]()  # of this loading process

    def __len__(self) -> int:
        """Number of images per epoch."""
        return len(self._human) + self._taught_drawn + self._drawn

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps per epoch; images that do not fill a batch are left for another epoch."""
        return max(1, len(self) // self.config.batch_size)

    def order(self, epoch: int) -> list[int]:
        """Return indices into `dataset` in the order of this epoch."""
        rng = np.random.default_rng((self.config.seed, epoch))
        drawn = rng.permutation(self._rendered)[: self._drawn]
        return [int(i) for i in rng.permutation(np.concatenate([self._real_of(epoch), drawn]))]

    def canvas(self, view: SampleSpec | tuple[int, int]) -> Sample:
        """Return an image as augmented in this epoch, before encoding. Raises DatasetError if it cannot be read."""
        epoch, index, size = SampleSpec(*view)
        rng = np.random.default_rng((self.config.seed, epoch, index))
        sample = self.dataset.load(index)
        pasting = rng.spawn(1)[0]  # a stream of its own: other views stay as they are without pasting
        if pasting.random() < self.config.copy_paste_prob and (sources := self._sources(epoch, index)).size:
            source = self.dataset.load(int(pasting.choice(sources)))
            sample = copy_paste(sample, source, pasting, self.dataset.taxonomy, self.config.color_jitter)
        sample = augment(sample, rng, size or self.config.input_size, self.dataset.taxonomy, self.augmentation)
        return _with_nobody(sample) if self.config.unlabeled_as == "background" else sample

    def _real_of(self, epoch: int) -> Indices:
        """Return the real images of an epoch: all human-annotated ones and a random fraction of the others."""
        if self.config.pseudo_label_fraction == 1:
            return self._real
        rng = np.random.default_rng((self.config.seed, epoch)).spawn(1)[0]
        return np.sort(np.concatenate([self._human, rng.permutation(self._taught)[: self._taught_drawn]]))

    def _sources(self, epoch: int, index: int) -> Indices:
        """Return the other images of an epoch to paste people from: real ones if there are any."""
        candidates = self._real_of(epoch) if self._real.size else self._rendered
        return candidates[self._shows_people[candidates] & (candidates != index)]

    def __getitem__(self, view: SampleSpec | tuple[int, int]) -> tuple[UInt8, Targets]:
        try:
            sample = self.canvas(view)
            self._read += 1
        except DatasetError as error:
            if self.strict or len(self._unreadable) > max(TOLERATED, self._read):
                raise
            if view[1] not in self._unreadable:
                tqdm.write(f"left out: {error}", file=sys.stderr)
                self._unreadable.add(view[1])
            sample = _unknown(
                SampleSpec(*view).canvas or self.config.input_size, len(self.dataset.taxonomy.joint_names)
            )
        return sample.image, encode(sample, self.dataset.taxonomy, self.config.decoder)


def _with_nobody(sample: Sample) -> Sample:
    """Turn unknown pixels into background, including a person's pixels with an unknown part."""
    unknown = sample.parts == IGNORE
    return replace(
        sample,
        parts=np.where(unknown, BACKGROUND, sample.parts).astype(np.uint8),
        people=np.where(unknown, BACKGROUND, sample.people).astype(np.uint8),
    )


def _unknown(size: tuple[int, int], joints: int) -> Sample:
    """Return a canvas without known labels."""
    nobody = np.zeros((0, joints, 3), np.float32)
    return Sample(
        image=np.full((*size, 3), LETTERBOX_COLOR, np.uint8),
        parts=np.full(size, IGNORE, np.uint8),
        people=np.full(size, IGNORE, np.uint8),
        keypoints=nobody,
        joints_labelled=nobody[..., 0] > 0,
        has_mask=np.zeros(0, bool),
        boxes=np.zeros((0, 4), np.float32),
        key="unreadable",
        source="unreadable",
    )


def collate(items: Sequence[tuple[UInt8, Targets]]) -> Batch:
    """Stack items into tensors of the same types."""
    columns = zip(*((image, *targets) for image, targets in items), strict=True)
    return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))
