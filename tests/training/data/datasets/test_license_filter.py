"""Licenses in a folder's annotations, and images chosen by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.taxonomy import DENSEPOSE_COCO, PASCAL_PERSON_PART
from tests.figures import draw_figures, write_folder
from training.data.datasets.concat import ConcatDataset
from training.data.datasets.folders import FolderDataset
from training.data.datasets.license_filter import with_licenses
from training.data.samples import DatasetError

T = DENSEPOSE_COCO
FIELDS: list[dict[str, object]] = [
    {"license_id": 4},
    {"license": "CC-BY-SA-2.0"},
    {"license": 7},
    {},
    {"license_id": 3},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = [draw_figures(T, (32, 32), people=1, seed=seed) for seed in range(5)]
    root = write_folder(tmp_path / "set", samples, T, fields=FIELDS)
    path = root / "annotations.json"
    listed = [{"id": 7, "name": "mine", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licenses": listed}))
    return root


def test_a_folders_images_have_licenses(folder: Path) -> None:
    dataset = FolderDataset([folder], T)
    assert [record.license for record in dataset.records] == ["by", "by-sa", "cc0", "", "by-nc-nd"]
    joined = ConcatDataset([dataset, dataset])
    assert joined.records[6].license == "by-sa"


def test_images_of_other_and_unknown_licenses_are_left_out(folder: Path) -> None:
    dataset = FolderDataset([folder], T)
    kept, said = with_licenses(dataset, [4, 3, 2, 1, 0], ("by", "cc0"))
    assert kept == [2, 0]
    assert said == "2 images with other licenses and 1 without a known one are left out"
    with pytest.raises(DatasetError, match=r"is under us-government: 4 images with other licenses and 1 without a kno"):
        with_licenses(dataset, range(5), ("us-government",))


def test_an_invalid_license_list_is_ignored(tmp_path: Path) -> None:
    root = write_folder(tmp_path, [draw_figures(PASCAL_PERSON_PART, (32, 32), people=1)], PASCAL_PERSON_PART)
    path = root / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licenses": {"1": "by"}}))
    assert FolderDataset([root], PASCAL_PERSON_PART).records[0].license == ""
