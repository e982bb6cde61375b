"""PASCAL-Person-Part: both forms become samples, with or without joints, and what they do not say stays unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from model.taxonomy import PASCAL_PERSON_PART
from tests.figures import draw_figures
from tests.miniatures import drawn, pascal_part, pascal_part_file, pascal_person_part
from training.data.datasets.pascal_person_part import PascalPersonPart
from training.data.samples import DatasetError, Sample

SIZE = (120, 100)
FORMS = (pascal_person_part, pascal_part)
NAMES = PASCAL_PERSON_PART.part_names
HEAD, TORSO = 1, 2
M2FP_HEAD, M2FP_TORSO = 2, 4
MAPS = "Training/{}/2008_000000.png"
MASKS = "Annotations_Part/2008_000000.mat"
JOINTS = "PersonJoints/2008_000000.mat"


def one(form: Callable[..., Path], root: Path, people: int = 2, joints: bool = True) -> Sample:
    """A miniature of one training and one test image; the first one's sample."""
    sample = draw_figures(PASCAL_PERSON_PART, SIZE, people)
    form(root, [sample], [draw_figures(PASCAL_PERSON_PART, SIZE, 1)], joints)
    return sample


def write_maps(root: Path, categories: np.ndarray, humans: np.ndarray) -> None:
    for kind, ids in (("Category_ids", categories), ("Human_ids", humans)):
        Image.fromarray(ids.astype(np.uint8)).save(root / MAPS.format(kind))


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("form", FORMS)
def test_written_samples_are_read(tmp_path: Path, form: Callable[..., Path]) -> None:
    train, test = drawn(PASCAL_PERSON_PART, 4, size=SIZE), drawn(PASCAL_PERSON_PART, 2, 50, size=SIZE)
    dataset = PascalPersonPart(form(tmp_path, train, test))
    assert dataset.split() == ([0, 1, 2, 3], [4, 5])
    for index, expected in enumerate(train + test):
        sample = dataset.load(index)
        for name in ("parts", "people", "keypoints", "has_mask", "boxes"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name), name)
        np.testing.assert_array_equal(sample.joints_labelled, expected.keypoints[:, :, 2] > 0)
        assert np.abs(sample.image.astype(int) - expected.image).mean() < 5
        assert sample.key == dataset.records[index].key


@pytest.mark.parametrize("form", FORMS)
def test_without_joint_files_no_joint_is_labelled(tmp_path: Path, form: Callable[..., Path]) -> None:
    one(form, tmp_path, joints=False)
    sample = PascalPersonPart(tmp_path).load(0)
    assert len(sample.keypoints) == 2
    assert not sample.joints_labelled.any()
    assert sample.has_mask.all()


def test_an_image_without_its_joint_file_is_read(tmp_path: Path) -> None:
    one(pascal_person_part, tmp_path)
    (tmp_path / JOINTS).unlink()
    dataset = PascalPersonPart(tmp_path)
    assert not dataset.load(0).joints_labelled.any()
    assert dataset.load(1).joints_labelled.any()


def test_opening_reads_no_image(tmp_path: Path) -> None:
    for form in FORMS:
        one(form, tmp_path / form.__name__)
        for path in (tmp_path / form.__name__).rglob("*.*"):
            if path.suffix in (".jpg", ".png", ".mat"):
                path.write_bytes(b"")
        assert len(PascalPersonPart(tmp_path / form.__name__)) == 2


def test_category_ids_of_another_release(tmp_path: Path) -> None:
    expected = one(pascal_person_part, tmp_path)
    Image.fromarray(expected.parts).save(tmp_path / MAPS.format("Category_ids"))  # SCHP's order is the taxonomy's
    assert (PascalPersonPart(tmp_path).load(0).parts != expected.parts).any()
    (tmp_path / "categories.txt").write_text("\n".join(NAMES))
    np.testing.assert_array_equal(PascalPersonPart(tmp_path).load(0).parts, expected.parts)
    (tmp_path / "categories.txt").write_text("head\ntorso\narms\n")
    with pytest.raises(DatasetError, match=r"categories\.txt names head, torso, arms: write lower_arms, head"):
        PascalPersonPart(tmp_path)


def test_where_the_two_maps_disagree(tmp_path: Path) -> None:
    one(pascal_person_part, tmp_path, joints=False)
    categories, humans = np.zeros(SIZE), np.zeros(SIZE)
    categories[:40], humans[:20] = M2FP_HEAD, 3  # rows 20-39: a part of nobody
    humans[40:60] = 7  # somebody without a part
    categories[60:80], humans[60:80] = 255, 7
    categories[80:90], humans[80:90] = M2FP_TORSO, 255
    write_maps(tmp_path, categories, humans)
    sample = PascalPersonPart(tmp_path).load(0)
    rows = np.repeat([0, 1, 2, 3, 4, 5, 5], [20, 20, 20, 20, 10, 15, 15])
    np.testing.assert_array_equal(sample.parts[:, 0], np.array([HEAD, 255, 255, 255, 255, 0])[rows])
    np.testing.assert_array_equal(sample.people[:, 0], np.array([1, 255, 2, 2, 255, 0])[rows])  # humans 3 and 7
    assert len(sample.keypoints) == 2


def test_pascal_part_is_merged_and_other_objects_left_out(tmp_path: Path) -> None:
    one(pascal_part, tmp_path, joints=False)
    body, horse = block(np.s_[10:100], np.s_[10:60]), block(np.s_[:], np.s_[60:])
    pascal_part_file(tmp_path / MASKS, [("horse", horse, np.zeros(SIZE)), ("person", body, np.zeros(SIZE))])
    names = ("neck", "lebrow", "rhand", "llarm", "ruarm", "lfoot", "rlleg", "luleg", "hair")
    merged = (
        "torso",
        "head",
        "lower_arms",
        "lower_arms",
        "upper_arms",
        "lower_legs",
        "lower_legs",
        "upper_legs",
        "head",
    )
    anno = loadmat(tmp_path / MASKS)["anno"]
    parts = np.zeros((1, len(names)), [("part_name", object), ("mask", object)])
    expected = np.where(body, 255, 0)  # what is left of the person
    for i, name in enumerate(names):
        stripe = block(np.s_[10 + 9 * i : 19 + 9 * i], np.s_[10:60])
        parts[0, i] = (name, stripe.astype(np.uint8))
        expected[stripe] = NAMES.index(merged[i]) + 1
    anno["objects"][0, 0][0, 1]["parts"] = parts
    savemat(tmp_path / MASKS, {"anno": anno})
    sample = PascalPersonPart(tmp_path).load(0)
    np.testing.assert_array_equal(sample.parts, expected)
    np.testing.assert_array_equal(sample.people, body)


def test_a_person_of_pascal_part_without_parts_is_known(tmp_path: Path) -> None:
    one(pascal_part, tmp_path, joints=False)
    first, second = block(np.s_[10:50], np.s_[10:50]), block(np.s_[30:70], np.s_[30:70])
    pascal_part_file(tmp_path / MASKS, [("person", first, first * HEAD), ("person", second, np.zeros(SIZE))])
    sample = PascalPersonPart(tmp_path).load(0)
    np.testing.assert_array_equal(sample.people, np.where(second, 2, first))  # the later one has a shared pixel
    np.testing.assert_array_equal(sample.parts, np.where(second, 255, first))


def test_other_places_of_the_lists(tmp_path: Path) -> None:
    one(pascal_part, tmp_path)
    folder = tmp_path / "pascal_person_part_trainval_list"
    folder.mkdir()
    for split, number in (("train", "2008_000000"), ("val", "2008_000500")):
        (tmp_path / f"{split}_id.txt").unlink()
        (folder / f"{split}.txt").write_text(f"/JPEGImages/{number}.jpg /pascal_person_part_gt/{number}.png\n")
    dataset = PascalPersonPart(tmp_path)
    assert [record.key for record in dataset.records] == ["2008_000000", "2008_000500"]
    assert dataset.load(1).joints_labelled.any()


def write_joints(root: Path, boxes: list[list[float]], joints: list[np.ndarray]) -> None:
    cells = {"boxes": np.zeros((1, len(boxes)), object), "joints": np.zeros((1, len(joints)), object)}
    for i, box in enumerate(boxes):
        cells["boxes"][0, i] = np.array([box], float)
    for i, pose in enumerate(joints):
        cells["joints"][0, i] = pose
    savemat(root / JOINTS, cells)


def pose(x: float) -> np.ndarray:
    """[14, 3], every joint visible at (x, its number)."""
    return np.stack([np.full(14, x), np.arange(14.0), np.ones(14)], axis=1)


def two_blocks(root: Path) -> None:
    one(pascal_person_part, root)
    humans = np.where(block(np.s_[10:60], np.s_[10:40]), 1, 0) + np.where(block(np.s_[10:60], np.s_[50:80]), 2, 0)
    write_maps(root, (humans > 0) * M2FP_HEAD, humans)


def test_people_find_their_joints_by_their_boxes(tmp_path: Path) -> None:
    two_blocks(tmp_path)
    write_joints(tmp_path, [[52, 12, 83, 61], [9, 8, 41, 58]], [pose(5), pose(6)])
    sample = PascalPersonPart(tmp_path).load(0)
    assert sample.keypoints[:, :, 0].tolist() == [[6] * 14, [5] * 14]
    # All joints of the left side come before those of the right one in the files.
    rows = dict(zip(PASCAL_PERSON_PART.joint_names, sample.keypoints[0, :, 1].tolist(), strict=True))
    assert (rows["forehead"], rows["neck"]) == (0, 1)
    assert [rows[f"left_{joint}"] for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")] == [*range(2, 8)]
    assert (rows["right_shoulder"], rows["right_ankle"]) == (8, 13)


def test_the_box_of_a_person_without_a_mask_is_unknown(tmp_path: Path) -> None:
    two_blocks(tmp_path)
    write_joints(tmp_path, [[30, 70, 60, 110], [50, 10, 79, 59]], [pose(5), pose(6)])
    sample = PascalPersonPart(tmp_path).load(0)
    assert sample.has_mask.tolist() == [True, True, False]
    assert sample.joints_labelled.all(axis=1).tolist() == [False, True, True]
    np.testing.assert_array_equal(sample.boxes[2], [30, 70, 60, 110])
    unknown = block(np.s_[70:111], np.s_[30:61])
    np.testing.assert_array_equal(sample.people == 255, unknown)
    np.testing.assert_array_equal(sample.parts == 255, unknown)


@pytest.mark.parametrize(
    ("written", "visibility"),
    [
        ((40, 50, 1), 2),
        ((40, 50, 2), 1),
        ((40, 50, 0), 0),
        ((np.nan, np.nan, np.nan), 0),
        ((-3, 50, 1), 0),
        ((100, 50, 1), 0),  # beside an image 100 pixels wide
    ],
)
def test_flags_of_joints(tmp_path: Path, written: tuple[float, float, float], visibility: int) -> None:
    two_blocks(tmp_path)
    joints = pose(5)
    joints[1] = written  # the neck
    write_joints(tmp_path, [[10, 10, 39, 59]], [joints])
    sample = PascalPersonPart(tmp_path).load(0)
    assert sample.keypoints[0, 1].tolist() == ([*written[:2], visibility] if visibility else [0, 0, 0])
    assert sample.joints_labelled[0].tolist() == [True, visibility > 0, *[True] * 12]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:150])


def person_part(root: Path, name: str) -> None:
    anno = loadmat(root / MASKS)["anno"]
    anno["objects"][0, 0][0, 0]["parts"][0, 0]["part_name"] = name
    savemat(root / MASKS, {"anno": anno})


HUMANS, CATEGORIES = MAPS.format("Human_ids"), MAPS.format("Category_ids")


@pytest.mark.parametrize(
    ("form", "damage", "message"),
    [
        (
            FORMS[0],
            lambda root: cut(root / "Training/Images/2008_000000.jpg"),
            r"000000\.jpg cannot be decoded.*unpack",
        ),
        (FORMS[0], lambda root: (root / HUMANS).unlink(), r"Human_ids/2008_000000\.png is missing: unpack"),
        (FORMS[0], lambda root: cut(root / CATEGORIES), r"Category_ids/2008_000000\.png cannot be decoded.*unpack"),
        (
            FORMS[0],
            lambda root: write_maps(root, np.full(SIZE, 7), np.ones(SIZE)),
            r"Category_ids/2008_000000\.png has the ids \[7\], known are 0\.\.6 and 255: write",
        ),
        (
            FORMS[0],
            lambda root: write_maps(root, np.zeros((9, 8)), np.zeros(SIZE)),
            r"Category_ids/2008_000000\.png is 9 pixels high and 8 wide, its image 120 and 100: unpack",
        ),
        (FORMS[0], lambda root: cut(root / JOINTS), r"PersonJoints/2008_000000\.mat cannot be read.*unpack"),
        (FORMS[0], lambda root: savemat(root / JOINTS, {"joints": 1}), r"000000\.mat is no file of joints.*unpack"),
        (
            FORMS[0],
            lambda root: write_joints(root, [[1, 2, 3, 4]], [pose(1), pose(2)]),
            r"000000\.mat is no file of joints.*1 boxes, 2 people",
        ),
        (
            FORMS[0],
            lambda root: write_joints(root, [[1, 2, 3, 4]], [np.ones((13, 3))]),
            r"is no file of joints.*unpack",
        ),
        (FORMS[1], lambda root: (root / "JPEGImages/2008_000000.jpg").unlink(), r"2008_000000\.jpg is missing: unpack"),
        (FORMS[1], lambda root: cut(root / MASKS), r"Annotations_Part/2008_000000\.mat cannot be read.*unpack"),
        (FORMS[1], lambda root: savemat(root / MASKS, {"other": 1}), r"000000\.mat is no file of Pascal-Part.*unpack"),
        (FORMS[1], lambda root: person_part(root, "tail"), r"000000\.mat has an unknown part 'tail'; known: head"),
        (
            FORMS[1],
            lambda root: pascal_part_file(root / MASKS, [("person", np.ones((9, 8), bool), np.zeros((9, 8)))]),
            r"000000\.mat has a mask of \(9, 8\), its image is \(120, 100\): unpack",
        ),
        (
            FORMS[1],
            lambda root: pascal_part_file(
                root / MASKS, [("person", block(np.s_[:1], np.s_[:1]), np.zeros(SIZE))] * 255
            ),
            r"000000\.mat has 255 people; at most 254",
        ),
    ],
)
def test_a_broken_file_is_named_and_affects_its_image_alone(
    tmp_path: Path, form: Callable[..., Path], damage: Callable[[Path], object], message: str
) -> None:
    one(form, tmp_path)
    damage(tmp_path)
    dataset = PascalPersonPart(tmp_path)
    with pytest.raises(DatasetError, match=message):
        dataset.load(0)
    assert dataset.load(1).has_mask.all()


@pytest.mark.parametrize(
    ("form", "damage", "message"),
    [
        (FORMS[0], lambda root: (root / "Testing").rename(root / "Test"), r"Testing/Images is missing: unpack"),
        (FORMS[1], lambda root: (root / "val_id.txt").unlink(), r"val_id\.txt is missing: unpack the lists"),
    ],
)
def test_opening_fails_where_the_set_is_incomplete(
    tmp_path: Path, form: Callable[..., Path], damage: Callable[[Path], object], message: str
) -> None:
    one(form, tmp_path)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        PascalPersonPart(tmp_path)
