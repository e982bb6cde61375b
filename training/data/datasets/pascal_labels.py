"""The two forms in which PASCAL-Person-Part stores people and parts. Both are read as two maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.taxonomy import IGNORE, PASCAL_PERSON_PART
from training.data.datasets.label_files import MAX_PEOPLE, read_labels, read_mat
from training.data.samples import Bool, DatasetError, UInt8

# Pascal-Part's part names and the six that they are merged into; {} is l or r.
PARTS = {
    **dict.fromkeys(("head", "{}eye", "{}ear", "{}ebrow", "nose", "mouth", "hair"), "head"),
    **dict.fromkeys(("torso", "neck"), "torso"),
    "{}uarm": "upper_arms",
    **dict.fromkeys(("{}larm", "{}hand"), "lower_arms"),
    "{}uleg": "upper_legs",
    **dict.fromkeys(("{}lleg", "{}foot"), "lower_legs"),
}
MERGED = {name.format(side): PASCAL_PERSON_PART.part_names.index(PARTS[name]) + 1 for name in PARTS for side in "lr"}


@dataclass(frozen=True)
class LabelMaps:
    """Category ids and human ids of one image in two PNGs.

    `order[i]` names the part of category id i + 1.
    """

    categories: Path
    humans: Path
    order: tuple[str, ...]

    def read(self, size: tuple[int, int]) -> tuple[UInt8, UInt8]:
        """Read maps [H, W] of parts and people. Pixels with a part but no human, or the reverse, are unknown.

        Raises DatasetError if a map is missing or broken, or has an unknown id.
        """
        part_of = np.full(IGNORE + 1, IGNORE, np.uint8)
        part_of[0] = 0
        part_of[1 : len(self.order) + 1] = [PASCAL_PERSON_PART.part_names.index(name) + 1 for name in self.order]
        parts = part_of[read_labels(self.categories, size, len(self.order))]  # [H, W]
        people = _renumber(read_labels(self.humans, size, MAX_PEOPLE))  # [H, W]
        people[(people == 0) & (parts > 0)] = IGNORE
        parts[(people == IGNORE) | ((people > 0) & (parts == 0))] = IGNORE
        return parts, people


@dataclass(frozen=True)
class PartMasks:
    """Pascal-Part's `anno` of one image: a mask for every object and each of its parts, in a MATLAB file."""

    path: Path

    def read(self, size: tuple[int, int]) -> tuple[UInt8, UInt8]:
        """Read maps [H, W] of parts and people; a person's pixels without a part have part 255.

        Raises DatasetError if the file is missing or broken, or has an unknown part name or masks of another size.
        """
        parts, people = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        row = 0
        try:
            for person in self._people():
                row += 1
                mask = self._mask(person, size)
                parts[mask], people[mask] = IGNORE, row
                for part in np.atleast_1d(person.parts):
                    mask = self._mask(part, size)
                    parts[mask], people[mask] = MERGED[part.part_name], row
        except KeyError as error:
            raise DatasetError(f"{self.path} has an unknown part {error}; known: {', '.join(MERGED)}") from error
        except AttributeError as error:
            raise DatasetError(f"{self.path} is no file of Pascal-Part ({error}): unpack its archive again") from error
        return parts, _renumber(people)

    def _people(self) -> Iterator[Any]:
        annotation: Any = read_mat(self.path, squeeze_me=True, struct_as_record=False).get("anno")
        people = [o for o in np.atleast_1d(annotation.objects) if getattr(o, "class") == "person"]
        if len(people) > MAX_PEOPLE:
            raise DatasetError(f"{self.path} has {len(people)} people; at most {MAX_PEOPLE} can be told apart")
        yield from people

    def _mask(self, labelled: Any, size: tuple[int, int]) -> Bool:
        mask: Bool = np.asarray(labelled.mask).astype(bool)
        if mask.shape != size:
            raise DatasetError(f"{self.path} has a mask of {mask.shape}, its image is {size}: unpack both again")
        return mask


def _renumber(people: UInt8) -> UInt8:
    """Renumber people 1..n without gaps, in the same order; 0 and 255 stay."""
    present = np.unique(people)
    present = present[(present > 0) & (present < IGNORE)]
    number = np.zeros(IGNORE + 1, np.uint8)
    number[IGNORE] = IGNORE
    number[present] = np.arange(1, len(present) + 1)
    return number[people]
