"""Training set: the order, augmentation and targets of the samples of each epoch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset
from tqdm import tqdm

from model.errors import InputError
from model.letterbox import LETTERBOX_COLOR
from model.taxonomy import BACKGROUND, IGNORE
from training.config.train_config import TrainConfig
from training.data.datasets.base import SYNTHETIC, ImageDataset
from training.data.samples import DatasetError, Sample, UInt8
from training.transforms.augment import Augmentation, augment
from training.transforms.copy_paste import copy_paste
from training.transforms.targets import Targets, encode

TOLERATED = 16  # so many unreadable images never end a run


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
            hflip_prob=config.hflip_prob,
            scale=config.scale,
            rotation=config.rotation,
            color_jitter=config.color_jitter,
            jpeg_prob=config.jpeg_prob,
        )
        share = config.synthetic_fraction
        if not 0 <= share < 1:
            raise InputError(f"synthetic_fraction={share}: use a share from 0 to below 1 of an epoch's samples")
        for name, value in (
            ("pseudo_label_fraction", config.pseudo_label_fraction),
            ("copy_paste_prob", config.copy_paste_prob),
            ("jpeg_prob", config.jpeg_prob),
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
        config = self.config
        targets = encode(
            sample, self.dataset.taxonomy, config.decoder, config.pseudo_mask_weight, config.boundary_weight
        )
        return sample.image, targets


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
        pseudo_mask=np.zeros(0, bool),
        boxes=np.zeros((0, 4), np.float32),
        key="unreadable",
        source="unreadable",
    )
