"""Interface of all data sets: images by index, and a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.taxonomy import Taxonomy
from training.data.samples import DatasetError, Sample, UInt8

SYNTHETIC = "synthetic"  # source of synthetic images: every label is exact, an absent joint is outside the frame
OWN = "own"  # source of images in folders without another source


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """Metadata of an image, known without opening it."""

    key: str  # names the image within its data set
    source: str  # the collection it comes from
    negative: bool = False  # known to be person-free
    ground_truth: bool = True  # every person's joints are human-annotated
    license: str = ""  # one of `training.data.licenses.CODES`; empty: unknown


class ImageDataset(ABC):
    """Labelled images on disk. Opening is cheap: only `load` reads image files.

    The constructor raises DatasetError if lists or annotation files are missing or damaged.
    """

    taxonomy: Taxonomy
    records: Sequence[ImageRecord]

    def __len__(self) -> int:
        return len(self.records)

    @abstractmethod
    def load(self, index: int) -> Sample:
        """Read one image and its labels. Raises DatasetError, naming the file, if one is missing or broken."""

    @abstractmethod
    def split(self) -> tuple[list[int], list[int]]:
        """Return indices for training and for validation: the official split if the data set has one."""


def read_image(path: Path, mode: str | None) -> UInt8:
    """Read pixels uint8 [H, W] or [H, W, 3], converted to Pillow's `mode`; None keeps stored values (label maps).

    Raises DatasetError if the file is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as file:
            if mode is None and file.mode[0] in "IF":
                raise DatasetError(f"{path} has more than 8 bits a pixel: write label maps as 8-bit PNGs")
            return np.asarray(file if mode is None or file.mode == mode else file.convert(mode), dtype=np.uint8)
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: unpack its archive again") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be decoded ({error}): unpack its archive again") from error
