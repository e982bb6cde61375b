"""Layouts are told apart by their files, and several sets become one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, MHP_V2, PASCAL_PERSON_PART, Taxonomy
from tests.figures import draw_figures, write_folder
from tests.miniatures import densepose_coco, mhp_v2, pascal_part, pascal_person_part
from training.data.datasets.base import ImageDataset
from training.data.datasets.concat import ConcatDataset
from training.data.datasets.densepose_coco import DensePoseCoco
from training.data.datasets.folders import FolderDataset
from training.data.datasets.mhp_v2 import MhpV2
from training.data.datasets.open import open_dataset, open_split
from training.data.datasets.pascal_person_part import PascalPersonPart
from training.data.samples import DatasetError


def folder(root: Path, people: int = 1, images: int = 2, taxonomy: Taxonomy = DENSEPOSE_COCO) -> Path:
    return write_folder(root, [draw_figures(taxonomy, (64, 64), people, seed) for seed in range(images)], taxonomy)


@pytest.mark.parametrize(
    ("write", "kind", "taxonomy"),
    [
        (mhp_v2, MhpV2, MHP_V2),
        (densepose_coco, DensePoseCoco, DENSEPOSE_COCO),
        (pascal_person_part, PascalPersonPart, PASCAL_PERSON_PART),
        (pascal_part, PascalPersonPart, PASCAL_PERSON_PART),
        (folder, FolderDataset, DENSEPOSE_COCO),
    ],
)
def test_the_layout_is_recognized_from_the_files(
    tmp_path: Path, write: Callable[[Path], Path], kind: type[ImageDataset], taxonomy: Taxonomy
) -> None:
    root = write(tmp_path / "set")
    for asked in (None, taxonomy):
        dataset = open_dataset([root], asked)
        assert type(dataset) is kind
        assert dataset.taxonomy == taxonomy
    assert dataset.load(0).key == dataset.records[0].key


def test_the_folder_above_mhp_v2_will_do(tmp_path: Path) -> None:
    mhp_v2(tmp_path)
    assert isinstance(open_dataset([tmp_path]), MhpV2)


def test_folders_are_one_set(tmp_path: Path) -> None:
    dataset = open_dataset([folder(tmp_path / "a"), folder(tmp_path / "b", 2)])
    assert type(dataset) is FolderDataset
    assert len(dataset) == 4


def test_sets_are_joined_and_keep_their_splits(tmp_path: Path) -> None:
    roots = [densepose_coco(tmp_path / "coco", 3, 2), folder(tmp_path / "a", 1, 2), folder(tmp_path / "b", 2, 3)]
    dataset = open_dataset(roots)
    assert type(dataset) is ConcatDataset
    folders, coco = FolderDataset(roots[1:], DENSEPOSE_COCO), DensePoseCoco(roots[0])
    assert len(dataset) == 10
    for index in range(10):
        expected = folders.load(index) if index < 5 else coco.load(index - 5)
        np.testing.assert_array_equal(dataset.load(index).image, expected.image)
        assert dataset.records[index].key == expected.key
    training, validation = dataset.split()
    assert training == [*folders.split()[0], 5, 6, 7]
    assert validation == [*folders.split()[1], 8, 9]


def test_two_roots_of_one_published_set_are_joined(tmp_path: Path) -> None:
    dataset = open_dataset([mhp_v2(tmp_path / "a", 2, 1), mhp_v2(tmp_path / "b", 1, 1)])
    assert dataset.split() == ([0, 1, 3], [2, 4])


@pytest.mark.parametrize("index", [-1, 6])
def test_a_joined_set_has_no_other_images(tmp_path: Path, index: int) -> None:
    dataset = ConcatDataset([MhpV2(mhp_v2(tmp_path / "a", 2, 1)), MhpV2(mhp_v2(tmp_path / "b", 2, 1))])
    with pytest.raises(IndexError):
        dataset.load(index)


def test_another_taxonomy_is_refused(tmp_path: Path) -> None:
    root = mhp_v2(tmp_path / "mhp")
    with pytest.raises(DatasetError, match="LV-MHP-v2 has the labels of mhp_v2, but densepose_coco is asked for"):
        open_dataset([root], DENSEPOSE_COCO)
    with pytest.raises(DatasetError, match="the data sets label densepose_coco and mhp_v2: join sets of one"):
        open_dataset([root, densepose_coco(tmp_path / "coco")])
    with pytest.raises(DatasetError, match="other parts: mhp_v2"):
        open_dataset([root, folder(tmp_path / "own")])


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").touch()
    with pytest.raises(DatasetError, match=r"annotations\.json.*LV-MHP-v2.*DensePose-COCO.*PASCAL.*docs/datasets\.md"):
        open_dataset([tmp_path])
    with pytest.raises(DatasetError, match="missing is no folder: name the folder"):
        open_dataset([tmp_path / "missing"])
    with pytest.raises(DatasetError, match="name at least one"):
        open_dataset([])


def test_listed_images_are_not_trained_on(tmp_path: Path) -> None:
    root = folder(tmp_path / "own", images=5)
    dataset, everyone, held = open_split([root], DENSEPOSE_COCO)
    apart = [dataset.records[index].key for index in everyone[:2]]
    names = tmp_path / "apart.txt"
    names.write_text("\n".join(apart), encoding="utf-8")
    assert open_split([root], DENSEPOSE_COCO, names)[1:] == (everyone[2:], held)
    names.write_text("\n".join(record.key for record in dataset.records), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"no images to train on in .*own"):
        open_split([root], DENSEPOSE_COCO, names)
