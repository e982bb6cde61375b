"""From paths to a data set: which layout it is in is seen from the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.taxonomy import Taxonomy
from training.datasets.base import PhotoDataset
from training.datasets.folders import FolderDataset


def open_dataset(roots: Sequence[Path], taxonomy: Taxonomy) -> PhotoDataset:
    """The photos of all roots as one data set. Raises DatasetError for a root in no known layout."""
    return FolderDataset(roots, taxonomy)
