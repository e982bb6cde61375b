"""DensePose-COCO: COCO's JSON with part masks becomes samples, and what it does not say stays unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as run_lengths
from scipy.ndimage import binary_erosion

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from tests.miniatures import densepose_coco, drawn, part_masks
from training.data.datasets.densepose_coco import DensePoseCoco
from training.data.samples import DatasetError, Sample

SIZE = (120, 100)
TRAIN = "annotations/densepose_coco_2014_train.json"


def one(root: Path, people: int = 2, seed: int = 0) -> Sample:
    """A miniature of one training and one validation image; the first one's sample."""
    sample = draw_figures(DENSEPOSE_COCO, SIZE, people, seed)
    densepose_coco(root, [sample], [draw_figures(DENSEPOSE_COCO, SIZE, 1)])
    return sample


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((root / TRAIN).read_text())
    change(value)
    (root / TRAIN).write_text(json.dumps(value))


def edit_person(root: Path, person: int, **changes: Any) -> None:
    edit(root, lambda value: value["annotations"][person].update(changes))


def rle(mask: np.ndarray) -> dict[str, Any]:
    coded = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": coded["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """COCO's crowds: counts of zeros and ones in turn, down the columns."""
    flat = mask.ravel(order="F").astype(int)
    ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff([0, *ends]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


def test_written_samples_are_read(tmp_path: Path) -> None:
    train, minival = drawn(DENSEPOSE_COCO, 4, size=SIZE), drawn(DENSEPOSE_COCO, 2, 50, size=SIZE)
    dataset = DensePoseCoco(densepose_coco(tmp_path, train, minival))
    for index, expected in enumerate(train + minival):
        sample = dataset.load(index)
        for name in ("parts", "people", "keypoints", "has_mask", "boxes"):  # smaller than the grid: nothing is lost
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name), name)
        assert np.abs(sample.image.astype(int) - expected.image).mean() < 5
        assert sample.key == dataset.records[index].key


def test_people_larger_than_the_grid_are_read_up_to_its_cells(tmp_path: Path) -> None:
    expected = draw_figures(DENSEPOSE_COCO, (700, 600), 2)
    sample = DensePoseCoco(densepose_coco(tmp_path, [expected], 1)).load(0)
    inner = np.zeros_like(expected.people, bool)
    for person in range(3):
        for part in range(15):
            region = (expected.people == person) & (expected.parts == part)
            inner |= binary_erosion(region, np.ones((3, 3)), iterations=2)  # a cell is up to 600 / 256 pixels wide
    assert inner.mean() > 0.8
    assert inner[expected.people > 0].mean() > 0.5
    np.testing.assert_array_equal(sample.parts[inner], expected.parts[inner])
    np.testing.assert_array_equal(sample.people[inner], expected.people[inner])


def test_the_split_is_that_of_the_paper(tmp_path: Path) -> None:
    dataset = DensePoseCoco(densepose_coco(tmp_path, 2, 1, rest=3))
    folders = [record.image.parent.name for record in dataset.records]
    assert folders == ["train2014"] * 2 + ["val2014"] * 4
    assert dataset.split() == ([0, 1], [5])
    assert dataset.split(valminusminival=True) == ([0, 1, 2, 3, 4], [5])


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("annotations/densepose_minival2014.json", "images/val2014"),
        ("annotations/densepose_minival2014_cse.json", "coco_val2014"),
        ("DensePose_COCO/densepose_coco_2014_minival.json", "val2014"),
        ("densepose_coco_2014_minival.json", "val2014"),
    ],
)
def test_other_names_of_the_releases(tmp_path: Path, file: str, folder: str) -> None:
    densepose_coco(tmp_path / "old", 0, 1)
    for old, new in (("annotations/densepose_coco_2014_minival.json", file), ("val2014", folder)):
        (tmp_path / "new" / new).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / old).rename(tmp_path / "new" / new)
    dataset = DensePoseCoco(tmp_path / "new")  # who only evaluates needs no training files
    assert dataset.split() == ([], [0])
    assert dataset.load(0).has_mask.all()


def test_an_image_without_a_densepose_person_is_left_out(tmp_path: Path) -> None:
    densepose_coco(tmp_path, [draw_figures(DENSEPOSE_COCO, SIZE, 1, seed) for seed in range(4)], 1)

    def strip(value: dict[str, Any]) -> None:
        value["annotations"][0].pop("dp_masks")
        value["annotations"][1]["dp_masks"] = []
        value["annotations"][2]["dp_masks"] = [[]] * 14

    edit(tmp_path, strip)
    assert [record.split for record in DensePoseCoco(tmp_path).records] == ["train", "minival"]


def test_a_person_without_part_masks_is_known_and_its_parts_are_not(tmp_path: Path) -> None:
    expected = one(tmp_path)
    edit_person(tmp_path, 0, dp_masks=[])
    sample = DensePoseCoco(tmp_path).load(0)
    np.testing.assert_array_equal(sample.people, expected.people)
    np.testing.assert_array_equal(sample.parts, np.where(expected.people == 1, 255, expected.parts))
    assert sample.has_mask.all()


@pytest.mark.parametrize("absent", [[], "", None])
def test_pixels_of_a_person_without_a_part_are_unknown(tmp_path: Path, absent: Any) -> None:
    expected = one(tmp_path, people=1)

    def drop_the_head(value: dict[str, Any]) -> None:
        value["annotations"][0]["dp_masks"][13] = absent

    edit(tmp_path, drop_the_head)
    sample = DensePoseCoco(tmp_path).load(0)
    assert (expected.parts == 14).any()
    np.testing.assert_array_equal(sample.parts, np.where(expected.parts == 14, 255, expected.parts))
    np.testing.assert_array_equal(sample.people, expected.people)


def test_part_masks_reach_beyond_the_segmentation_but_not_into_that_of_others(tmp_path: Path) -> None:
    one(tmp_path)
    torso = np.ones(SIZE, np.uint8)
    box = np.array([10.0, 20, 60, 40])
    edit_person(tmp_path, 0, bbox=box.tolist(), segmentation=rle(block(np.s_[30:50], np.s_[20:40])))
    edit_person(tmp_path, 0, dp_masks=part_masks(torso, box))
    edit_person(tmp_path, 1, segmentation=rle(block(np.s_[30:50], np.s_[35:80])), dp_masks=[])
    sample = DensePoseCoco(tmp_path).load(0)
    people = np.where(block(np.s_[20:60], np.s_[10:70]), 1, 0)
    people[30:50, 35:80] = 2  # the later person has what both segmentations claim
    np.testing.assert_array_equal(sample.people, people)
    np.testing.assert_array_equal(sample.parts, np.choose(people, [0, 1, 255]))
    np.testing.assert_array_equal(sample.boxes, [[10, 20, 69, 59], [35, 30, 79, 49]])


def test_a_box_beyond_the_image_is_clipped(tmp_path: Path) -> None:
    one(tmp_path, people=1)
    halves = np.zeros((256, 256), np.uint8)
    halves[:, 128:] = 1
    masks = [rle(halves), rle(1 - halves), *([[]] * 12)]
    edit_person(tmp_path, 0, bbox=[-40.0, -30.0, 100.0, 200.0], segmentation=[], dp_masks=masks)
    sample = DensePoseCoco(tmp_path).load(0)
    expected = np.zeros(SIZE, np.uint8)
    expected[:, :10], expected[:, 10:60] = 2, 1  # the middle of the box is at x = 10
    np.testing.assert_array_equal(sample.parts, expected)


def test_part_masks_may_be_uncompressed(tmp_path: Path) -> None:
    one(tmp_path, people=1)
    right = np.zeros((256, 256), np.uint8)
    right[:, 128:] = 1
    edit_person(tmp_path, 0, bbox=[20.0, 20, 40, 40], segmentation=[], dp_masks=[uncompressed(right), *([""] * 13)])
    sample = DensePoseCoco(tmp_path).load(0)
    np.testing.assert_array_equal(sample.parts == 1, block(np.s_[20:60], np.s_[40:60]))


def test_polygons_are_drawn(tmp_path: Path) -> None:
    one(tmp_path, people=1)
    squares = [[20, 30, 40, 30, 40, 60, 20, 60], [70, 80, 90, 80, 90, 90, 70, 90]]
    line = [0, 0, 90, 90]  # COCO's library would take it for a box
    edit_person(tmp_path, 0, segmentation=[*squares, line], dp_masks=[rle(np.zeros((256, 256))), *([[]] * 13)])
    sample = DensePoseCoco(tmp_path).load(0)
    expected = block(np.s_[30:60], np.s_[20:40]) | block(np.s_[80:90], np.s_[70:90])
    np.testing.assert_array_equal(sample.people == 1, expected)
    np.testing.assert_array_equal(sample.boxes, [[20, 30, 89, 89]])


@pytest.mark.parametrize("code", [rle, uncompressed])
def test_a_crowd_is_unknown_and_no_person(tmp_path: Path, code: Callable[[np.ndarray], dict[str, Any]]) -> None:
    expected = one(tmp_path)
    crowd = block(np.s_[:], np.s_[40:100])
    record = {"id": 9, "image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [40, 0, 60, 120]}
    edit(tmp_path, lambda value: value["annotations"].insert(0, {**record, "segmentation": code(crowd)}))
    sample = DensePoseCoco(tmp_path).load(0)
    unknown = crowd & (expected.people == 0)
    np.testing.assert_array_equal(sample.people, np.where(unknown, 255, expected.people))
    np.testing.assert_array_equal(sample.parts, np.where(unknown, 255, expected.parts))
    assert len(sample.keypoints) == 2


def test_the_box_of_a_person_without_any_mask_is_unknown(tmp_path: Path) -> None:
    expected = one(tmp_path)
    edit_person(tmp_path, 0, segmentation=[], dp_masks=[], bbox=[10.0, 20.0, 30.0, 40.0])
    sample = DensePoseCoco(tmp_path).load(0)
    assert sample.has_mask.tolist() == [False, True]
    np.testing.assert_array_equal(sample.boxes[0], [10, 20, 39, 59])
    unknown = block(np.s_[20:60], np.s_[10:40]) & (expected.people != 2)
    np.testing.assert_array_equal(sample.people == 255, unknown)
    np.testing.assert_array_equal(sample.parts == 255, unknown)


def test_a_joint_without_a_label_is_unknown(tmp_path: Path) -> None:
    sample = draw_figures(DENSEPOSE_COCO, SIZE, 2)
    sample.keypoints[0, 5] = 0
    sample.keypoints[1] = 0
    densepose_coco(tmp_path, [replace(sample)], 1)
    edit_person(tmp_path, 1, num_keypoints=0)
    labelled = DensePoseCoco(tmp_path).load(0).joints_labelled
    assert not labelled[1].any()
    np.testing.assert_array_equal(labelled[0], sample.keypoints[0, :, 2] > 0)


def test_annotations_of_other_categories_and_without_joints(tmp_path: Path) -> None:
    one(tmp_path)

    def change(value: dict[str, Any]) -> None:
        value["annotations"].append({**value["annotations"][0], "category_id": 18})
        value["annotations"][1].pop("keypoints")

    edit(tmp_path, change)
    sample = DensePoseCoco(tmp_path).load(0)
    assert len(sample.keypoints) == 2
    assert not sample.joints_labelled[1].any()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


IMAGE = "train2014/COCO_train2014_000000000001.jpg"
CROWDED = [{"id": i, "image_id": 1, "bbox": [0, 0, 9, 9]} for i in range(254)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: cut(root / IMAGE), r"_000000000001\.jpg cannot be decoded.*unpack"),
        (lambda root: (root / IMAGE).unlink(), r"_000000000001\.jpg is missing: unpack"),
        (
            lambda root: edit_person(root, 0, dp_masks=[{**rle(np.eye(300)), "size": [256, 256]}, *([[]] * 13)]),
            r"train\.json: masks of COCO_train2014_000000000001\.jpg cannot be decoded.*download",
        ),
        (
            lambda root: edit_person(root, 0, segmentation=rle(np.ones((9, 9)))),
            r"train\.json: masks of COCO_train2014_000000000001\.jpg.*annotation 100 is \(9, 9\), the image \(120, 100",
        ),
        (
            lambda root: edit(root, lambda value: value["annotations"].extend(CROWDED)),
            r"_000000000001\.jpg has 256 people; at most 254",
        ),
    ],
)
def test_a_broken_file_is_named_and_affects_its_image_alone(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    one(tmp_path)
    damage(tmp_path)
    dataset = DensePoseCoco(tmp_path)
    with pytest.raises(DatasetError, match=message):
        dataset.load(0)
    assert dataset.load(1).has_mask.all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: [path.unlink() for path in (root / "annotations").iterdir()],
            r"no DensePose file such as.*downl",
        ),
        (lambda root: (root / "val2014").rename(root / "elsewhere"), r"val2014 is missing: unpack COCO's val2014\.zip"),
        (lambda root: cut(root / TRAIN), r"train\.json is damaged.*download it again"),
        (lambda root: (root / TRAIN).write_text("[]"), r"train\.json is damaged"),
        (lambda root: edit(root, lambda value: value["annotations"][0].pop("bbox")), r"train\.json is damaged.*bbox"),
        (lambda root: edit_person(root, 0, dp_masks=[[]] * 13), r"annotation 100 has 13 part masks, not 14"),
        (
            lambda root: edit_person(root, 0, dp_masks=[rle(np.ones((9, 9)))] * 14),
            r"part mask is \[9, 9\], not 256x256",
        ),
        (lambda root: edit_person(root, 0, keypoints=[1, 2, 2]), r"train\.json is damaged"),
    ],
)
def test_opening_fails_where_the_set_is_incomplete(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    one(tmp_path)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        DensePoseCoco(tmp_path)
