"""Open data sets: the layout of each path is recognized from its files. `docs/datasets.md` shows the layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.taxonomy import Taxonomy
from training.data.datasets.base import ImageDataset
from training.data.datasets.concat import ConcatDataset
from training.data.datasets.densepose_coco import DensePoseCoco
from training.data.datasets.folder_records import ANNOTATIONS, folder_taxonomy
from training.data.datasets.folders import FolderDataset
from training.data.datasets.image_lists import listed
from training.data.datasets.mhp_v2 import MhpV2
from training.data.datasets.pascal_person_part import PascalPersonPart
from training.data.samples import DatasetError

PUBLISHED = (MhpV2, DensePoseCoco, PascalPersonPart)
LAYOUTS = (
    f"a folder with {ANNOTATIONS}",
    "LV-MHP-v2 (list/, train/parsing_annos/)",
    "DensePose-COCO (annotations/densepose_coco_2014_minival.json, val2014/)",
    "PASCAL-Person-Part (Training/Category_ids/, or Annotations_Part/)",
)


def open_dataset(roots: Sequence[Path], taxonomy: Taxonomy | None = None) -> ImageDataset:
    """Open all roots as one data set; plain folders share one split, published sets keep theirs.

    The default taxonomy is the sets' own; of a plain folder, the built-in one with the part names of its annotations.
    Raises DatasetError if a root has no known layout or another taxonomy than the given one.
    """
    folders: list[Path] = []
    sets: list[ImageDataset] = []
    for root in map(Path, roots):
        if not root.is_dir():
            raise DatasetError(f"{root} is no folder: name the folder that a data set was unpacked into")
        if (root / ANNOTATIONS).is_file():
            folders.append(root)
        else:
            sets.append(_open_published(root, taxonomy))
    if folders:
        chosen = taxonomy or (sets[0].taxonomy if sets else folder_taxonomy(folders[0]))
        sets.insert(0, FolderDataset(folders, chosen))
    return sets[0] if len(sets) == 1 else ConcatDataset(sets)


def open_split(
    roots: Sequence[Path], taxonomy: Taxonomy, exclude: Path | None = None
) -> tuple[ImageDataset, list[int], list[int]]:
    """Open all roots; returns the data set, the indices to train on and the held-out indices.

    Images listed in the file `exclude` are not trained on. Raises DatasetError as `open_dataset` and `listed` do, and
    if no image is left to train on.
    """
    dataset = open_dataset(roots, taxonomy)
    training, validation = dataset.split()
    if exclude is not None:
        apart = set(listed(dataset, exclude))
        training = [index for index in training if index not in apart]
    if not training:
        raise DatasetError(f"no images to train on in {', '.join(map(str, roots))}")
    return dataset, training, validation


def _open_published(root: Path, taxonomy: Taxonomy | None) -> ImageDataset:
    for kind in PUBLISHED:
        if kind.matches_layout(root):
            if taxonomy is not None and taxonomy != kind.taxonomy:
                raise DatasetError(
                    f"{root} has the labels of {kind.taxonomy.name}, but {taxonomy.name} is asked for: "
                    f"choose a recipe or weights of {kind.taxonomy.name}"
                )
            return kind(root)
    raise DatasetError(f"{root} is in no known layout; looked for {'; '.join(LAYOUTS)}: see docs/datasets.md")
