"""Several data sets of one taxonomy as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from training.data.datasets.base import ImageDataset, ImageRecord
from training.data.samples import DatasetError, Sample


class ConcatDataset(ImageDataset):
    """The images of all sets, one set after the other.

    Raises DatasetError if there is no set or their taxonomies differ.
    """

    def __init__(self, sets: Sequence[ImageDataset]) -> None:
        if not sets:
            raise DatasetError("no data set to open: name at least one")
        names = sorted({dataset.taxonomy.name for dataset in sets})
        if len(names) > 1:
            raise DatasetError(f"the data sets label {' and '.join(names)}: join sets of one taxonomy")
        self.taxonomy = sets[0].taxonomy
        self.records: list[ImageRecord] = [record for dataset in sets for record in dataset.records]
        self._sets = list(sets)
        self._starts = [0, *accumulate(len(dataset) for dataset in sets)][:-1]  # index of each set's first image

    def load(self, index: int) -> Sample:
        """Read one image and its labels. Raises DatasetError as its set does, IndexError for an index out of range."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        which = bisect_right(self._starts, index) - 1
        return self._sets[which].load(index - self._starts[which])

    def split(self) -> tuple[list[int], list[int]]:
        """Return the union of the sets' own splits."""
        training: list[int] = []
        validation: list[int] = []
        for start, dataset in zip(self._starts, self._sets, strict=True):
            for whole, part in zip((training, validation), dataset.split(), strict=True):
                whole += [start + index for index in part]
        return training, validation
