"""Readers that several published sets share: lists of ids, label maps in PNGs, MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from model.taxonomy import IGNORE
from training.data.datasets.base import read_image
from training.data.samples import Bool, DatasetError, Float32, UInt8

MAX_PEOPLE = IGNORE - 1  # a people map has 8 bits: 0 is nobody, 255 unknown


def read_ids(path: Path) -> list[str]:
    """Read the image ids of a list file: the first word of each line, without folder and suffix.

    Raises DatasetError if the list is missing or empty.
    """
    try:
        ids = [Path(line.split()[0]).stem for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: unpack the lists of the data set again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): unpack the lists of the data set again") from error
    if not ids:
        raise DatasetError(f"{path} names no image: unpack the lists of the data set again")
    return ids


def list_names(folder: Path) -> list[str]:
    """List a folder's file names, sorted. One call per folder: opening a large set needs no look-up per image."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"{folder} is missing: unpack its archive again") from None


def read_labels(path: Path, size: tuple[int, int], highest: int) -> UInt8:
    """Read ids [H, W] of a gray, palette or color PNG (ids in its first channel).

    Raises DatasetError if the file is missing or broken, is not of the image's `size`, or has an id other than
    0..`highest` and 255 (unknown).
    """
    labels = read_image(path, None)
    labels = labels if labels.ndim == 2 else labels[:, :, 0]  # [H, W]
    if labels.shape != size:
        raise DatasetError(
            f"{path} is {labels.shape[0]} pixels high and {labels.shape[1]} wide, its image {size[0]} and {size[1]}: "
            "unpack both again; label maps have the size of the image as it was published"
        )
    unknown = np.unique(labels[(labels > highest) & (labels != IGNORE)])
    if unknown.size:
        raise DatasetError(f"{path} has the ids {unknown.tolist()}, known are 0..{highest} and 255: write it again")
    return labels


def read_mat(path: Path, **options: Any) -> dict[str, Any]:
    """Read the variables of a MATLAB file. Raises DatasetError if it is missing or broken."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: unpack its archive again")
    try:
        content: dict[str, Any] = loadmat(path, **options)
    except Exception as error:  # what scipy raises for damaged bytes depends on where they are damaged
        raise DatasetError(f"{path} cannot be read ({error}): unpack its archive again") from error
    return content


def inside(x: Float32, y: Float32, size: tuple[int, int]) -> Bool:
    """Return which points lie inside an image; False for NaN."""
    within: Bool = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
    return within


def ignore_box(parts: UInt8, people: UInt8, box: Float32) -> None:
    """Set background pixels in a box (x0, y0, x1, y1, inclusive) to 255, in place: a person without a mask is there."""
    x0, y0 = np.floor(np.maximum(box[:2], 0)).astype(int)
    x1, y1 = np.ceil(np.maximum(box[2:], 0)).astype(int)
    window = np.s_[y0 : y1 + 1, x0 : x1 + 1]
    nobody = people[window] == 0
    parts[window][nobody] = people[window][nobody] = IGNORE
